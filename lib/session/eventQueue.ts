// The ring's end of the way to the host: events of one turn of the loop go in one message, and deliveries that follow each other as one
// event. Used by worker.ts; ringThread.ts takes them apart again.
import { ByteBatch } from "./byteBatch.js";
import { eventBytes } from "./eventSize.js";
import type { PostedEvent, PostedEvents, SessionEvent } from "./protocol.js";

/** Words of one delivery in `heads`: from, epoch, origin, length, and the id of the own message that is settled by it, 0 for none. */
const DELIVERY_WORDS = 5;
const LENGTH = 3;
const SETTLED = 4;

export type Post = (posted: PostedEvents, transfer: readonly ArrayBuffer[]) => void;

export class EventQueue {
  readonly #self: number;
  readonly #post: Post;
  readonly #batch = new ByteBatch();
  #heads: number[] = [];
  #events: PostedEvent[] = [];
  #transfer: ArrayBuffer[] = [];
  #bytes = 0;

  constructor(self: number, post: Post) {
    this.#self = self;
    this.#post = post;
  }

  /** Nothing waits to be posted. */
  get isEmpty(): boolean {
    return this.#events.length === 0 && this.#heads.length === 0;
  }

  add(event: SessionEvent): void {
    this.#bytes += sizeOf(event);
    if (event.type === "delivery") {
      if (!this.#batch.hasRoom(event.bytes.length)) this.#endRun();
      this.#heads.push(event.from, event.epoch, event.origin, event.bytes.length, 0);
      this.#batch.add(event.bytes);
      return;
    }
    if (event.type === "settled" && event.outcome === "delivered" && this.#settleLast(event.id)) return;
    this.#endRun();
    this.#events.push(event);
  }

  flush(): void {
    this.#endRun();
    if (this.#events.length === 0) return;
    const [events, bytes, transfer] = [this.#events, this.#bytes, this.#transfer];
    this.#events = [];
    this.#bytes = 0;
    this.#transfer = [];
    this.#post({ events, bytes }, transfer);
  }

  /** An own multicast is settled right after its delivery. */
  #settleLast(id: number): boolean {
    const last = this.#heads.length - DELIVERY_WORDS;
    if (last < 0 || this.#heads[last] !== this.#self || this.#heads[last + SETTLED] !== 0) return false;
    this.#heads[last + SETTLED] = id;
    return true;
  }

  #endRun(): void {
    if (this.#heads.length === 0) return;
    const { bytes, transfer } = this.#batch.take();
    this.#events.push({ type: "deliveries", heads: Float64Array.from(this.#heads), bytes });
    this.#transfer.push(...transfer);
    this.#heads = [];
  }
}

function sizeOf(event: SessionEvent): number {
  if (event.type !== "delivery") return eventBytes(event);
  return DELIVERY_WORDS * Float64Array.BYTES_PER_ELEMENT + event.bytes.length;
}

/** Calls with every event, in the order in which they were added. */
export function unpackEvent(posted: PostedEvent, onEvent: (event: SessionEvent) => void): void {
  if (posted.type !== "deliveries") {
    onEvent(posted);
    return;
  }
  const { heads, bytes } = posted;
  let offset = 0;
  for (let at = 0; at < heads.length; at += DELIVERY_WORDS) {
    const [from, epoch, origin] = [heads[at] ?? 0, heads[at + 1] ?? 0, heads[at + 2] ?? 0];
    const end = offset + (heads[at + LENGTH] ?? 0);
    onEvent({ type: "delivery", from, epoch, origin, bytes: bytes.subarray(offset, end) });
    offset = end;
    const settled = heads[at + SETTLED] ?? 0;
    if (settled !== 0) onEvent({ type: "settled", id: settled, outcome: "delivered" });
  }
}
