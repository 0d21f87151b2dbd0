// The two ciphers are one: what one seals, the other opens, and both refuse the same.

import assert from "node:assert/strict";
import { createCipheriv, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { loadNative } from "../../lib/native.js";
import type { Aead, AeadKey } from "../../lib/raincore/aead.js";
import { chooseAead, nativeAead, nodeAead } from "../../lib/session/aead.js";

const native = loadNative();
const KEY = randomBytes(32);
const AAD_BYTES = 32;
const TAG_BYTES = 16;

function keyOf(aead: Aead, bytes: Uint8Array = KEY): AeadKey {
  const key = aead.newKey();
  key.setKey(bytes);
  return key;
}

describe("ChaCha20-Poly1305", () => {
  it("is what node:crypto makes with the same key, nonce and aad", () => {
    const aad = randomBytes(AAD_BYTES);
    const nonce = Buffer.from("000000000102030405060708", "hex");
    const cipher = createCipheriv("chacha20-poly1305", KEY, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(aad, { plaintextLength: 5 });
    const expected = Buffer.concat([aad, cipher.update("token"), cipher.final(), cipher.getAuthTag()]);
    for (const aead of [nativeAead(native), nodeAead()]) {
      const buffer = Buffer.concat([aad, Buffer.from("token"), Buffer.alloc(TAG_BYTES)]);
      keyOf(aead).seal(buffer, 0, AAD_BYTES, 5, 0x01020304, 0x05060708);
      assert.deepEqual(buffer, expected);
    }
  });

  it("makes the same bytes in the addon as in node, and each opens the other's", () => {
    const [ours, nodes] = [keyOf(nativeAead(native)), keyOf(nodeAead())];
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 3000 }),
        fc.nat({ max: 40 }),
        fc.nat({ max: 20 }),
        fc.nat({ max: 0xffff_ffff }),
        fc.nat({ max: 0xffff_ffff }),
        (bytes, aadWanted, at, high, low) => {
          const aad = Math.min(aadWanted, bytes.length);
          const text = bytes.length - aad;
          const start = Buffer.concat([Buffer.alloc(at), bytes, Buffer.alloc(TAG_BYTES + 3)]);
          const [one, other] = [Buffer.from(start), Buffer.from(start)];
          ours.seal(one, at, aad, text, high, low);
          nodes.seal(other, at, aad, text, high, low);
          assert.deepEqual(one, other);
          assert.ok(nodes.open(one, at, aad, text, high, low));
          assert.ok(ours.open(other, at, aad, text, high, low));
          assert.deepEqual(one, other);
          assert.deepEqual(one.subarray(0, at + bytes.length), start.subarray(0, at + bytes.length));
        },
      ),
      { numRuns: 300, seed: 1 },
    );
  });

  it("is taken from the addon when that has it, else from node", () => {
    assert.equal(native.hasAead, true);
    assert.ok(chooseAead(native).newKey() instanceof native.AeadKey);
    assert.ok(!(chooseAead({ ...native, hasAead: false }).newKey() instanceof native.AeadKey));
  });
});

for (const [name, aead] of new Map([
  ["the addon's cipher", nativeAead(native)],
  ["node's cipher", nodeAead()],
])) {
  describe(name, () => {
    const sealed = (): Buffer => {
      const buffer = Buffer.alloc(AAD_BYTES + 100 + TAG_BYTES, 5);
      keyOf(aead).seal(buffer, 0, AAD_BYTES, 100, 1, 2);
      return buffer;
    };

    it("refuses whatever was changed, and shows nothing of it", () => {
      const key = keyOf(aead);
      for (let at = 0; at < AAD_BYTES + 100 + TAG_BYTES; at++) {
        const damaged = sealed();
        damaged[at] = (damaged[at] ?? 0) ^ 0x80;
        assert.equal(key.open(damaged, 0, AAD_BYTES, 100, 1, 2), false, `byte ${at}`);
        assert.ok(damaged.subarray(AAD_BYTES, AAD_BYTES + 100).every((byte) => byte === 0));
      }
      assert.equal(key.open(sealed(), 0, AAD_BYTES, 100, 2, 2), false);
      assert.equal(key.open(sealed(), 0, AAD_BYTES, 100, 1, 3), false);
      assert.equal(key.open(sealed(), 0, AAD_BYTES - 1, 101, 1, 2), false);
      assert.equal(keyOf(aead, randomBytes(32)).open(sealed(), 0, AAD_BYTES, 100, 1, 2), false);
      assert.equal(key.open(sealed(), 0, AAD_BYTES, 100, 1, 2), true, "a failure spoils the key");
    });

    it("works with the key that was set last", () => {
      const key = keyOf(aead, randomBytes(32));
      assert.equal(key.open(sealed(), 0, AAD_BYTES, 100, 1, 2), false);
      key.setKey(KEY);
      assert.equal(key.open(sealed(), 0, AAD_BYTES, 100, 1, 2), true);
      const buffer = Buffer.alloc(AAD_BYTES + 100 + TAG_BYTES, 5);
      key.seal(buffer, 0, AAD_BYTES, 100, 1, 2);
      assert.deepEqual(buffer, sealed());
    });

    it("refuses offsets beyond the buffer, keys of another length, and to work without a key", () => {
      const key = keyOf(aead);
      const buffer = Buffer.alloc(100);
      for (const [at, aad, text] of [
        [0, 32, 53],
        [85, 0, 0],
        [101, 0, 0],
        [0, 85, 0],
        [0xffff_ffff, 1, 1],
        [1, 0xffff_ffff, 1],
        [1, 1, 0xffff_fff0],
      ] as const) {
        assert.throws(() => key.seal(buffer, at, aad, text, 0, 0), { code: "RF_ARGUMENT" });
        assert.throws(() => key.open(buffer, at, aad, text, 0, 0), { code: "RF_ARGUMENT" });
      }
      assert.ok(buffer.every((byte) => byte === 0));
      assert.throws(() => key.setKey(new Uint8Array(31)), { code: "RF_ARGUMENT" });
      key.destroy();
      assert.throws(() => key.seal(buffer, 0, 32, 52, 0, 0), { code: "RF_ARGUMENT" });
      assert.throws(() => aead.newKey().open(buffer, 0, 32, 52, 0, 0), { code: "RF_ARGUMENT" });
    });

    it("derives the same bytes from the same key and text, and others from others", () => {
      const hex = (key: Uint8Array, info: string) => Buffer.from(aead.derive(key, info, 32)).toString("hex");
      assert.equal(hex(KEY, "a"), Buffer.from(nodeAead().derive(KEY, "a", 32)).toString("hex"));
      assert.equal(new Set([hex(KEY, "a"), hex(KEY, "b"), hex(Buffer.alloc(32), "a")]).size, 3);
    });
  });
}
