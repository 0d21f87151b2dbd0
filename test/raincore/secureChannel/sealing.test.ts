// What is sealed for a node: it opens there as it was, and nobody else reads it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SEAL_OVERHEAD_BYTES, SEALED_BYTES_MIN, sealedBytes } from "../../../lib/raincore/secureChannel.js";
import { nodeAead } from "../../../lib/session/aead.js";
import { acquainted, channelsOf, open, PLAIN, withEachCipher } from "./channels.js";

withEachCipher("sealing", (make) => {
  test("what one node seals for another, that one opens, with the sender's name", () => {
    const { a, b } = acquainted(make);
    const result = open(b, a.seal(2, PLAIN));
    assert.ok(result.ok);
    assert.equal(result.from, 1);
    assert.deepEqual(Uint8Array.from(result.plain), PLAIN);
  });

  test("messages of every length come out as they went in, and none is sealed shorter than a handshake", () => {
    const { a, b } = acquainted(make);
    for (let length = 0; length < 70; length++) {
      const plain = Uint8Array.from({ length }, (_, i) => 255 - i);
      const sealed = a.seal(2, plain);
      assert.equal(sealed.length, sealedBytes(length));
      assert.ok(sealed.length >= SEALED_BYTES_MIN);
      const result = open(b, sealed);
      assert.ok(result.ok, `length ${length}`);
      assert.deepEqual(Uint8Array.from(result.plain), plain);
    }
  });

  test("sealing and opening work in place, anywhere in a slab, and touch nothing around", () => {
    const { a, b } = acquainted(make);
    const slab = Buffer.alloc(500, 0xaa);
    const length = a.sealInto(2, PLAIN, slab, 100);
    assert.equal(length, PLAIN.length + SEAL_OVERHEAD_BYTES);
    const result = b.open(0, slab, 100, length);
    assert.ok(result.ok);
    assert.equal(result.plain.buffer, slab.buffer);
    assert.deepEqual(Uint8Array.from(result.plain), PLAIN);
    assert.ok(slab.subarray(0, 100).every((byte) => byte === 0xaa));
    assert.ok(slab.subarray(100 + length).every((byte) => byte === 0xaa));
  });

  test("sealing beyond the end of the buffer is refused before anything is written", () => {
    const a = make({ nodeId: 1 });
    const slab = Buffer.alloc(sealedBytes(PLAIN.length) + 9, 0xaa);
    assert.throws(() => a.sealInto(2, PLAIN, slab, 10), RangeError);
    assert.ok(slab.every((byte) => byte === 0xaa));
  });
});

test("the plaintext cannot be read in the datagram, and no two datagrams are alike", () => {
  const sender = channelsOf(nodeAead())({ nodeId: 1 });
  const [a, b] = [sender.seal(2, PLAIN), sender.seal(2, PLAIN)];
  assert.equal(a.includes(Buffer.from(PLAIN)), false);
  assert.equal(a.subarray(32).equals(b.subarray(32)), false);
});

test("two lives with one incarnation do not share a keystream", () => {
  const make = channelsOf(nodeAead());
  const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 1 })];
  const [x, y] = [a.seal(2, PLAIN), b.seal(2, PLAIN)];
  assert.deepEqual(x.subarray(24, 32), y.subarray(24, 32), "not the same counter");
  assert.equal(x.subarray(32).equals(y.subarray(32)), false);
});
