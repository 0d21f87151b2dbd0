// What goes to one peer: the bulk messages under way, those that wait for their turn, the token if it is going there, and
// the ids they get. Owned by the sender.
import { ACTIVE_MAX, ID_WINDOW, MESSAGE_BYTES_MAX } from "./limits.js";
import type { Outgoing } from "./outgoing.js";
import type { Priority } from "./packets.js";
import { Window } from "./window.js";

export interface Waiting {
  readonly handle: number;
  readonly bytes: Uint8Array;
  readonly failAt_ms: number;
}

export class Outbox {
  readonly to: number;
  readonly window = new Window();
  readonly active: Outgoing[] = [];
  readonly waiting: Waiting[] = [];
  token: Outgoing | undefined;
  /** When the peer last said something of what it has; or when it was first to say something again. */
  heard_ms = Number.NEGATIVE_INFINITY;
  #activeBytes = 0;
  #nextId: Record<Priority, number>;

  constructor(to: number, firstId: number) {
    this.to = to;
    this.#nextId = { bulk: firstId, token: firstId };
  }

  takeId(priority: Priority): number {
    const id = this.#nextId[priority];
    this.#nextId[priority] = (id + 1) >>> 0;
    return id;
  }

  /** All ids before it are settled. */
  floor(message: Outgoing): number {
    if (message.priority === "token") return message.head.id;
    return this.active[0]?.head.id ?? message.head.id;
  }

  /** The next message that may start: an honest receiver has room for it. */
  takeStartable(): Waiting | undefined {
    const next = this.waiting[0];
    const oldest = this.active[0];
    if (next === undefined) return undefined;
    if (oldest !== undefined) {
      const isFull = this.active.length >= ACTIVE_MAX || this.#activeBytes + next.bytes.length > MESSAGE_BYTES_MAX;
      if (isFull || (this.#nextId.bulk - oldest.head.id) >>> 0 >= ID_WINDOW) return undefined;
    }
    return this.waiting.shift();
  }

  start(message: Outgoing): void {
    this.active.push(message);
    this.#activeBytes += message.bytes.length;
  }

  /** It is settled, or nobody wants it any more. */
  remove(message: Outgoing): void {
    if (this.token === message) {
      this.token = undefined;
      return;
    }
    const at = this.active.indexOf(message);
    if (at < 0) return;
    this.active.splice(at, 1);
    this.#activeBytes -= message.bytes.length;
    this.window.inFlight -= message.inFlight;
  }

  find(priority: Priority, id: number): Outgoing | undefined {
    if (priority === "token") return this.token?.head.id === id ? this.token : undefined;
    return this.active.find((message) => message.head.id === id);
  }

  /** Everything under way. */
  messages(): Outgoing[] {
    return this.token === undefined ? [...this.active] : [this.token, ...this.active];
  }

  get isEmpty(): boolean {
    return this.token === undefined && this.active.length === 0 && this.waiting.length === 0;
  }
}
