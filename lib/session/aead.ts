// The ciphers for lib/raincore/secureChannel.ts: the addon's where there is one, for it seals in a fraction of the time, else node's own.
// Both make the same bytes.

import { hkdfSync } from "node:crypto";
import { loadNativeIfPresent, type NativeAddon } from "../native.js";
import type { Aead, AeadKey } from "../raincore/aead.js";
import { NodeAeadKey } from "./aeadNode.js";

/** ChaCha20-Poly1305 for a SecureChannel: the addon's where there is one, else node's own. Both make the same bytes. */
export function chooseAead(native: NativeAddon | undefined = loadNativeIfPresent()): Aead {
  return native?.hasAead === true ? nativeAead(native) : nodeAead();
}

export function nodeAead(): Aead {
  return { newKey: () => new NodeAeadKey(), derive };
}

/** Only when `native.hasAead`. */
export function nativeAead(native: NativeAddon): Aead {
  return { newKey: (): AeadKey => new native.AeadKey(), derive };
}

function derive(key: Uint8Array, info: string, bytes: number): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", key, new Uint8Array(0), info, bytes));
}
