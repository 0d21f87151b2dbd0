// ChaCha20-Poly1305 by node:crypto. It has no in-place calls, so each text is copied once. Used by aead.ts.

import { createCipheriv, createDecipheriv } from "node:crypto";
import { RainfrontError } from "../errors.js";
import type { AeadKey } from "../raincore/aead.js";

const CIPHER = "chacha20-poly1305";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const TAG = { authTagLength: TAG_BYTES };

export class NodeAeadKey implements AeadKey {
  readonly #key = Buffer.alloc(KEY_BYTES);
  readonly #nonce = Buffer.alloc(NONCE_BYTES);
  #hasKey = false;

  setKey(key: Uint8Array): void {
    if (key.length !== KEY_BYTES) throw badArgument("key must be a Uint8Array of 32 bytes");
    this.#key.set(key);
    this.#hasKey = true;
  }

  seal(buffer: Uint8Array, at: number, aadBytes: number, textBytes: number, high: number, low: number): void {
    const [aad, text, tag] = this.#parts(buffer, at, aadBytes, textBytes);
    const cipher = createCipheriv(CIPHER, this.#key, this.#nonceOf(high, low), TAG);
    cipher.setAAD(aad, { plaintextLength: textBytes });
    text.set(cipher.update(text));
    cipher.final();
    tag.set(cipher.getAuthTag());
  }

  open(buffer: Uint8Array, at: number, aadBytes: number, textBytes: number, high: number, low: number): boolean {
    const [aad, text, tag] = this.#parts(buffer, at, aadBytes, textBytes);
    const decipher = createDecipheriv(CIPHER, this.#key, this.#nonceOf(high, low), TAG);
    decipher.setAAD(aad, { plaintextLength: textBytes });
    decipher.setAuthTag(tag);
    const plain = decipher.update(text);
    try {
      decipher.final();
    } catch {
      text.fill(0);
      return false;
    }
    text.set(plain);
    return true;
  }

  destroy(): void {
    this.#key.fill(0);
    this.#hasKey = false;
  }

  #parts(buffer: Uint8Array, at: number, aadBytes: number, textBytes: number): [Uint8Array, Uint8Array, Uint8Array] {
    if (!this.#hasKey) throw badArgument("key must be set before it is used");
    const text = at + aadBytes;
    const tag = text + textBytes;
    if (tag + TAG_BYTES > buffer.length) throw badArgument("offsets must be within the buffer, with room for the tag");
    return [buffer.subarray(at, text), buffer.subarray(text, tag), buffer.subarray(tag, tag + TAG_BYTES)];
  }

  #nonceOf(high: number, low: number): Buffer {
    this.#nonce.writeUInt32BE(high, 4);
    this.#nonce.writeUInt32BE(low, 8);
    return this.#nonce;
  }
}

function badArgument(message: string): RainfrontError {
  return new RainfrontError("RF_ARGUMENT", message);
}
