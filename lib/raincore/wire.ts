// Bounded binary reading and writing, big endian. Used by messages.ts and by the codecs of the token's modules. A Reader
// throws WireError on anything that does not fit; the decoder that owns it turns that into a refusal.

export class WireError extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "WireError";
  }
}

const TEXT_ENCODER = new TextEncoder();
const TEXT_DECODER = new TextDecoder("utf-8", { fatal: true });

export function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

const CAPACITY_BYTES = 256;

export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  /** `capacity_bytes`: an estimate of what will be written; more than that is moved to larger memory, again and again. */
  constructor(capacity_bytes = CAPACITY_BYTES) {
    this.#bytes = new Uint8Array(capacity_bytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value);
    return this;
  }

  u64(value: bigint): this {
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, value);
    return this;
  }

  f64(value: number): this {
    const at = this.#reserve(8);
    this.#view.setFloat64(at, value);
    return this;
  }

  /** With a u16 length in front. */
  bytes(value: Uint8Array): this {
    if (value.length > 0xffff) throw new WireError("longer than a u16 can tell");
    this.u16(value.length);
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** Without a length: the last field of a message. */
  raw(value: Uint8Array): this {
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** With a u32 length in front. */
  longBytes(value: Uint8Array): this {
    return this.u32(value.length).raw(value);
  }

  text(value: string): this {
    return this.bytes(TEXT_ENCODER.encode(value));
  }

  /** Nothing can be written any more. */
  finish(): Uint8Array {
    const isMostlyUsed = this.#length > this.#bytes.length / 2;
    return isMostlyUsed ? this.#bytes.subarray(0, this.#length) : this.#bytes.slice(0, this.#length);
  }

  #reserve(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}

export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #isOwned: boolean;
  #offset = 0;

  /** `isOwned`: nobody else will write to these bytes, so that what is long need not be copied out of them. */
  constructor(bytes: Uint8Array, isOwned = false) {
    this.#isOwned = isOwned;
    // A Buffer's slice is a view of memory that its owner will overwrite; a Uint8Array's is a copy.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8));
  }

  /** A finite number. */
  f64(): number {
    const value = this.#view.getFloat64(this.#take(8));
    if (!Number.isFinite(value)) throw new WireError("not a finite number");
    return value;
  }

  flag(): boolean {
    const value = this.u8();
    if (value > 1) throw new WireError("neither 0 nor 1");
    return value === 1;
  }

  /** A u16 that is a count of at most `max`. */
  count(max: number): number {
    const value = this.u16();
    if (value > max) throw new WireError(`more than ${max}`);
    return value;
  }

  /** A u16 length and as many bytes, as a copy. */
  bytes(maxLength: number): Uint8Array {
    const length = this.count(maxLength);
    const at = this.#take(length);
    return this.#bytes.slice(at, at + length);
  }

  /** A u32 length and as many bytes: a copy, or a view into bytes that are owned. */
  longBytes(maxLength: number): Uint8Array {
    const length = this.u32();
    if (length > maxLength) throw new WireError(`longer than ${maxLength}`);
    const at = this.#take(length);
    return this.#isOwned ? this.#bytes.subarray(at, at + length) : this.#bytes.slice(at, at + length);
  }

  /** All that is left, as a view into what is read. */
  rest(): Uint8Array {
    const length = this.#bytes.length - this.#offset;
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  text(maxLength: number): string {
    const bytes = this.bytes(maxLength);
    try {
      return TEXT_DECODER.decode(bytes);
    } catch {
      throw new WireError("not UTF-8");
    }
  }

  /** Nothing may follow. */
  end(): void {
    if (this.#offset !== this.#bytes.length) throw new WireError("bytes left over");
  }

  #take(count: number): number {
    const at = this.#offset;
    if (count > this.#bytes.length - at) throw new WireError("cut short");
    this.#offset = at + count;
    return at;
  }
}
