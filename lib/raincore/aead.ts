// The cipher that secureChannel.ts is given: lib/session/aead.ts has real ones, the simulator a cheap one.

/** A cipher with one key at a time. Text, what is authenticated before it (aad) and the tag after it lie in one buffer, worked on in place. */
export interface AeadKey {
  /** 32 bytes. */
  setKey(key: Uint8Array): void;
  /** Seals `textBytes` behind `aadBytes` at `at`, and writes the tag of 16 bytes behind them. The nonce is 4 zero bytes and two words. */
  seal(buffer: Uint8Array, at: number, aadBytes: number, textBytes: number, nonceHigh: number, nonceLow: number): void;
  /** False, with the text wiped, when the tag does not match. */
  open(
    buffer: Uint8Array,
    at: number,
    aadBytes: number,
    textBytes: number,
    nonceHigh: number,
    nonceLow: number,
  ): boolean;
  /** The key is wiped. */
  destroy(): void;
}

/** The cipher that a SecureChannel is given. */
export interface Aead {
  newKey(): AeadKey;
  /** Bytes that nobody without the key can tell from random ones, the same for the same `info`. */
  derive(key: Uint8Array, info: string, bytes: number): Uint8Array;
}
