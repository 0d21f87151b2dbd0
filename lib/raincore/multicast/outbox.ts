// A member's own messages until they are settled: the queue, its limits, and how it is cut into records. Used by
// Multicast only.
import { RainfrontError } from "../../errors.js";
import {
  CHUNK_BYTES_MAX,
  FIRST_CHUNK_HEAD_BYTES,
  FLAG_FIRST,
  FLAG_LAST,
  FLAG_SAFE,
  isWhole,
  MESSAGE_BYTES_MAX,
  type Piece,
  RECORD_HEAD_BYTES,
} from "./codec.js";

/** What does not fit is cut only into chunks of at least so many bytes; a message of no more than that is never cut. */
export const CHUNK_BYTES_MIN = 512;

/** agreed: delivered in order; safe: in order, and not before every member has it. */
export type Guarantee = "agreed" | "safe";
/** unknown: membership was lost while it was on its way; unsent: no member ever saw it. */
export type Outcome = "delivered" | "unknown" | "unsent";

export interface OwnMessage {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly guarantee: Guarantee;
}

export interface OutboxConfig {
  readonly queueBytes_max: number;
  readonly queueMessages_max: number;
  readonly onSettled: (id: number, outcome: Outcome) => void;
  /** There was a refusal, and half of the queue is free again. */
  readonly onDrain: () => void;
}

/** What one visit puts on the token. */
export interface Load {
  readonly pieces: readonly Piece[];
  readonly bytes: number;
  /** Messages whose last piece is among them, and which piece that is. */
  readonly completed: readonly { readonly message: OwnMessage; readonly index: number }[];
}

/** May a message of so many bytes set out in chunks? */
export type BeginChunks = (messageBytes: number) => boolean;

export class Outbox {
  readonly #config: OutboxConfig;
  readonly #queue: OwnMessage[] = [];
  /** How much of the first in the queue is on its way already. */
  #put = 0;
  #nextId = 1;
  #messages = 0;
  #bytes = 0;
  #waiting = 0;
  #hasRefused = false;

  constructor(config: OutboxConfig) {
    this.#config = config;
  }

  /** Messages that are not settled. */
  get messages(): number {
    return this.#messages;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** Room that the rest of the queue needs on the token, about. */
  get waiting(): number {
    return Math.min(this.#waiting - this.#put, 0xffff_ffff);
  }

  /** Undefined: the queue is full, and onDrain will tell when it is not. The bytes are copied. */
  offer(bytes: Uint8Array, guarantee: Guarantee): number | undefined {
    const { queueBytes_max, queueMessages_max } = this.#config;
    const bytes_max = Math.min(MESSAGE_BYTES_MAX, queueBytes_max);
    if (bytes.length > bytes_max) {
      throw new RainfrontError("RF_ARGUMENT", `bytes: a message has at most ${bytes_max} bytes, not ${bytes.length}`);
    }
    if (this.#messages >= queueMessages_max || this.#bytes + bytes.length > queueBytes_max) {
      this.#hasRefused = true;
      return undefined;
    }
    const id = this.#nextId++;
    // Not slice(): that of a Buffer would share its memory.
    this.#queue.push({ id, bytes: new Uint8Array(bytes), guarantee });
    this.#messages += 1;
    this.#bytes += bytes.length;
    this.#waiting += RECORD_HEAD_BYTES + bytes.length;
    return id;
  }

  /** Takes from the front what fits into so many bytes of the carriage. */
  take(room: number, begin: BeginChunks): Load {
    const pieces: Piece[] = [];
    const completed: { message: OwnMessage; index: number }[] = [];
    let bytes = 0;
    for (let message = this.#queue[completed.length]; message !== undefined; message = this.#queue[completed.length]) {
      const piece = nextPiece(message, this.#put, room - bytes);
      if (piece === undefined) break;
      const isBeginning = (piece.flags & FLAG_FIRST) !== 0 && !isWhole(piece.flags);
      if (isBeginning && !begin(message.bytes.length)) break;
      bytes += (isBeginning ? FIRST_CHUNK_HEAD_BYTES : RECORD_HEAD_BYTES) + piece.to - piece.from;
      pieces.push(piece);
      this.#put = piece.to;
      if ((piece.flags & FLAG_LAST) === 0) continue;
      completed.push({ message, index: pieces.length - 1 });
      this.#waiting -= RECORD_HEAD_BYTES + message.bytes.length;
      this.#put = 0;
    }
    this.#queue.splice(0, completed.length);
    return { pieces, bytes, completed };
  }

  /** What has been put on of an incomplete message counts no more: it starts anew. */
  restart(): void {
    this.#put = 0;
  }

  /** Messages that were put on in vain go back to the front, in their order. */
  putBack(messages: readonly OwnMessage[]): void {
    this.#put = 0;
    this.#queue.unshift(...messages);
    for (const { bytes } of messages) this.#waiting += RECORD_HEAD_BYTES + bytes.length;
  }

  /** For one that was taken. */
  settle(message: OwnMessage, outcome: Outcome): void {
    this.#messages -= 1;
    this.#bytes -= message.bytes.length;
    this.#config.onSettled(message.id, outcome);
    const { queueBytes_max, queueMessages_max, onDrain } = this.#config;
    if (!this.#hasRefused || this.#bytes * 2 > queueBytes_max || this.#messages * 2 > queueMessages_max) return;
    this.#hasRefused = false;
    onDrain();
  }

  /** Everything that still waits is given up. */
  abandon(): void {
    const given = this.#queue.splice(0);
    this.#put = 0;
    this.#waiting = 0;
    for (const message of given) this.settle(message, "unsent");
  }
}

function nextPiece(message: OwnMessage, from: number, room: number): Piece | undefined {
  const { bytes: source, guarantee } = message;
  const safe = guarantee === "safe" ? FLAG_SAFE : 0;
  const first = from === 0 ? FLAG_FIRST : 0;
  const left = source.length - from;
  if (left <= CHUNK_BYTES_MAX && RECORD_HEAD_BYTES + left <= room) {
    return { source, from, to: source.length, flags: safe | first | FLAG_LAST };
  }
  const chunkBytes = Math.min(CHUNK_BYTES_MAX, left - 1, room - FIRST_CHUNK_HEAD_BYTES);
  if (chunkBytes < CHUNK_BYTES_MIN) return undefined;
  return { source, from, to: from + chunkBytes, flags: safe | first };
}
