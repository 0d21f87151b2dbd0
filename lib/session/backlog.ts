// How much the ring's thread has told the host's thread that was not taken yet: a program that stands still while others send must not
// cost memory without end. Counted in shared memory, so that taking costs no message. The ring posts (worker.ts), the host takes
// (ringThread.ts).
import { RainfrontError } from "../errors.js";

/** Both counts wrap around; their difference does not get near that. */
export const BACKLOG_BYTES_MAX = 2 ** 30;

export class Backlog {
  readonly #taken: Uint32Array<SharedArrayBuffer>;
  readonly #bytes_max: number;
  #posted = 0;

  /** `shared` is the same on both ends: see `Backlog.memory`. */
  constructor(shared: SharedArrayBuffer, bytes_max: number) {
    this.#taken = new Uint32Array(shared);
    this.#bytes_max = bytes_max;
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(Uint32Array.BYTES_PER_ELEMENT);
  }

  /** Bytes that were posted and not taken. Only the end that posts knows. */
  get bytes(): number {
    return (this.#posted - Atomics.load(this.#taken, 0)) >>> 0;
  }

  /** Throws `RF_HOST_SLOW` when more than the limit waits now. */
  post(bytes: number): void {
    this.#posted = (this.#posted + bytes) >>> 0;
    const waiting = this.bytes;
    if (waiting <= this.#bytes_max) return;
    throw new RainfrontError("RF_HOST_SLOW", `${waiting} bytes of events wait for a program that does not take them`, {
      fix: "do less at a time in the main thread, or raise eventBytes_max",
    });
  }

  take(bytes: number): void {
    Atomics.add(this.#taken, 0, bytes);
  }
}
