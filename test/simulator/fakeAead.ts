// A cheap stand-in for the cipher: a keyed checksum, and nothing is hidden. Good against replays, bit flips and wrong keys in a simulated
// world, where nobody computes checksums to deceive.

import type { Aead, AeadKey } from "../../lib/raincore/aead.js";

const TAG_BYTES = 16;
const WORD = 4;

export class FakeAead implements Aead {
  newKey(): AeadKey {
    return new FakeKey();
  }

  derive(key: Uint8Array, info: string, bytes: number): Uint8Array {
    const out = new Uint8Array(bytes);
    const infoBytes = Buffer.from(info);
    for (let at = 0; at < bytes; at += WORD) {
      const word = finish(mix(mix(at + 1, key, 0, key.length), infoBytes, 0, infoBytes.length));
      for (let i = 0; i < WORD && at + i < bytes; i++) out[at + i] = word >>> (8 * i);
    }
    return out;
  }
}

class FakeKey implements AeadKey {
  #seed: number | undefined;

  setKey(key: Uint8Array): void {
    this.#seed = finish(mix(0x9e3779b9, key, 0, key.length));
  }

  seal(buffer: Uint8Array, at: number, aadBytes: number, textBytes: number, high: number, low: number): void {
    const sum = this.#sum(buffer, at, aadBytes, textBytes, high, low);
    for (let i = 0; i < TAG_BYTES; i++) buffer[at + aadBytes + textBytes + i] = tagByte(sum, i);
  }

  open(buffer: Uint8Array, at: number, aadBytes: number, textBytes: number, high: number, low: number): boolean {
    const sum = this.#sum(buffer, at, aadBytes, textBytes, high, low);
    const tag = at + aadBytes + textBytes;
    for (let i = 0; i < TAG_BYTES; i++) {
      if (buffer[tag + i] === tagByte(sum, i)) continue;
      buffer.fill(0, at + aadBytes, tag);
      return false;
    }
    return true;
  }

  destroy(): void {
    this.#seed = undefined;
  }

  #sum(buffer: Uint8Array, at: number, aadBytes: number, textBytes: number, high: number, low: number): number {
    if (this.#seed === undefined) throw new Error("the key was not set");
    const total = aadBytes + textBytes;
    if (at + total + TAG_BYTES > buffer.length) throw new RangeError("beyond the buffer");
    const seed = Math.imul(this.#seed ^ high, 0x85ebca6b) ^ Math.imul(low ^ (total << 8) ^ aadBytes, 0xc2b2ae35);
    return finish(mix(seed, buffer, at, total));
  }
}

/** Every byte changes the state, whatever follows. */
function mix(seed: number, bytes: Uint8Array, at: number, length: number): number {
  let state = seed | 0;
  for (let i = at; i < at + length; i++) state = Math.imul(state ^ (bytes[i] ?? 0), 0x01000193);
  return state;
}

function finish(state: number): number {
  let h = state ^ (state >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function tagByte(sum: number, i: number): number {
  return (Math.imul(sum ^ (i >>> 2), 0x9e3779b1) >>> (8 * (i & 3))) & 0xff;
}
