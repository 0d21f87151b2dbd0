// How much this program has sent to all and not heard the end of: what lets it send no faster than the group takes. Used by raincore.ts.

/** As many as lib/raincore/multicast queues. */
const MESSAGES_MAX = 16_384;

export class MulticastWindow {
  readonly #bytes_max: number;
  #bytes = 0;
  #messages = 0;
  #hasRefused = false;

  constructor(bytes_max: number) {
    this.#bytes_max = bytes_max;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get messages(): number {
    return this.#messages;
  }

  /** False: too many are under way. */
  open(bytes: number): boolean {
    if (this.#messages >= MESSAGES_MAX || this.#bytes + bytes > this.#bytes_max) {
      this.#hasRefused = true;
      return false;
    }
    this.#messages += 1;
    this.#bytes += bytes;
    return true;
  }

  /** One is settled. True: something was refused, and now half of the room is free. */
  settle(bytes: number): boolean {
    this.#messages -= 1;
    this.#bytes -= bytes;
    if (!this.#hasRefused || this.#bytes * 2 > this.#bytes_max || this.#messages * 2 > MESSAGES_MAX) return false;
    this.#hasRefused = false;
    return true;
  }
}
