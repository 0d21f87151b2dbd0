// Byte strings that cross to the other thread as one: each would cost microseconds alone. Used by both ends, ringThread.ts and eventQueue.ts.

/** A batch of so many bytes takes no more. */
const BATCH_BYTES = 64 * 1024;
/** From here on, to give the memory away is cheaper than to copy it. */
const GIVEN_BYTES_MIN = 16 * 1024;
const NONE = Buffer.alloc(0);

export interface Packed {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** For postMessage. */
  readonly transfer: ArrayBuffer[];
}

export class ByteBatch {
  #memory: Buffer<ArrayBuffer> = NONE;
  #length = 0;

  /** One that is empty takes anything. */
  hasRoom(bytes: number): boolean {
    return this.#length === 0 || this.#length + bytes <= BATCH_BYTES;
  }

  /** Appends a copy. Only when there is room. */
  add(bytes: Uint8Array): void {
    const end = this.#length + bytes.length;
    // Never of node's pool: that cannot be given away.
    if (end > this.#memory.length) this.#memory = Buffer.allocUnsafeSlow(Math.max(end, BATCH_BYTES));
    this.#memory.set(bytes, this.#length);
    this.#length = end;
  }

  /** All that was added, and the batch is empty again. */
  take(): Packed {
    const memory = this.#memory;
    const length = this.#length;
    this.#length = 0;
    if (length < GIVEN_BYTES_MIN) return { bytes: new Uint8Array(memory.subarray(0, length)), transfer: [] };
    this.#memory = NONE;
    return { bytes: new Uint8Array(memory.buffer, memory.byteOffset, length), transfer: [memory.buffer] };
  }
}

/** A copy without the rest of the memory that `bytes` may be a part of. */
export function packOne(bytes: Uint8Array): Packed {
  const copy = new Uint8Array(bytes);
  return { bytes: copy, transfer: copy.length < GIVEN_BYTES_MIN ? [] : [copy.buffer] };
}
