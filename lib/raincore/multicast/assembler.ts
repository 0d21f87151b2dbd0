// Puts the chunks of large messages together again. What becomes of a message is a function of the records alone, which
// every member of a view sees in the same order: so all of them complete it, or all drop it, with no word between them.
// Used by Multicast only.
import type { ViewId } from "../token.js";
import { FLAG_FIRST, FLAG_LAST, type RecordHead } from "./codec.js";

/** Of all messages that are under way in chunks, as they say themselves. */
export const PARTIAL_BYTES_MAX = 64 * 1024 * 1024;

interface Partial {
  readonly messageBytes: number;
  /** Undefined for an own message: its bytes are here already. */
  readonly buffer: Uint8Array | undefined;
  received: number;
}

export class Assembler {
  readonly #count: (cause: string) => void;
  readonly #limit: number;
  readonly #partials = new Map<number, Partial>();
  #epoch = 0;
  #origin = 0;
  #reserved = 0;

  constructor(count: (cause: string) => void, limit = PARTIAL_BYTES_MAX) {
    this.#count = count;
    this.#limit = limit;
  }

  /** A message is put on within one view; when that is over, what is not complete never will be: its sender starts anew. */
  enterView({ epoch, origin }: ViewId): void {
    if (epoch === this.#epoch && origin === this.#origin) return;
    this.clear();
    this.#epoch = epoch;
    this.#origin = origin;
  }

  clear(): void {
    if (this.#partials.size > 0) this.#count("partial_dropped");
    this.#partials.clear();
    this.#reserved = 0;
  }

  /** Whether a message of so many bytes may set out in the current view. A sender asks, with the token in hand. */
  hasRoom(messageBytes: number): boolean {
    return this.#reserved + messageBytes <= this.#limit;
  }

  /** An own message sets out. */
  beginOwn(self: number, messageBytes: number): void {
    this.#begin(self, messageBytes, undefined);
  }

  /** The sender's message is complete, or is given up. */
  end(sender: number): void {
    const partial = this.#partials.get(sender);
    if (partial === undefined) return;
    this.#reserved -= partial.messageBytes;
    this.#partials.delete(sender);
  }

  /** A chunk, in order; returns the message with its last one. */
  add(record: RecordHead, chunk: Uint8Array): Uint8Array | undefined {
    const { sender, flags, messageBytes } = record;
    if ((flags & FLAG_FIRST) !== 0) {
      if (this.#partials.has(sender)) this.#drop(sender, "partial_replaced");
      // Allocated at once: the length is within the limit of one message, and the sum within that of all.
      if (this.hasRoom(messageBytes)) this.#begin(sender, messageBytes, new Uint8Array(messageBytes));
      else this.#count("partial_refused");
    }
    const partial = this.#partials.get(sender);
    if (partial?.buffer === undefined) {
      this.#count("chunk_without_beginning");
      return undefined;
    }
    const received = partial.received + chunk.length;
    const isLast = (flags & FLAG_LAST) !== 0;
    if (received > partial.messageBytes || (isLast && received < partial.messageBytes)) {
      this.#drop(sender, "partial_of_wrong_length");
      return undefined;
    }
    partial.buffer.set(chunk, partial.received);
    partial.received = received;
    if (!isLast) return undefined;
    this.end(sender);
    return partial.buffer;
  }

  #begin(sender: number, messageBytes: number, buffer: Uint8Array | undefined): void {
    this.#partials.set(sender, { messageBytes, buffer, received: 0 });
    this.#reserved += messageBytes;
  }

  #drop(sender: number, cause: string): void {
    this.#count(cause);
    this.end(sender);
  }
}
