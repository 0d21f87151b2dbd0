// How much this program has sent and not heard the end of: what lets it send no faster than others take. One for multicasts, one for direct
// messages. Used by pending.ts.

export interface WindowLimits {
  readonly bytes_max: number;
  readonly messages_max: number;
}

export class SendWindow {
  readonly #limits: WindowLimits;
  #bytes = 0;
  #messages = 0;
  #hasRefused = false;

  constructor(limits: WindowLimits) {
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get messages(): number {
    return this.#messages;
  }

  /** False: too much is under way. */
  open(bytes: number): boolean {
    const { bytes_max, messages_max } = this.#limits;
    if (this.#messages >= messages_max || this.#bytes + bytes > bytes_max) {
      this.#hasRefused = true;
      return false;
    }
    this.#messages += 1;
    this.#bytes += bytes;
    return true;
  }

  /** One is settled. True: something was refused, and now half of the room is free. */
  settle(bytes: number): boolean {
    const { bytes_max, messages_max } = this.#limits;
    this.#messages -= 1;
    this.#bytes -= bytes;
    if (!this.#hasRefused || this.#bytes * 2 > bytes_max || this.#messages * 2 > messages_max) return false;
    this.#hasRefused = false;
    return true;
  }
}
