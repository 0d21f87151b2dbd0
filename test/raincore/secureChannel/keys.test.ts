// Rings of cluster keys: rolled over while messages go to and fro.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SecureChannel } from "../../../lib/raincore/secureChannel.js";
import { acquainted, causeOf, KEY, KEY_2, KEY_3, open, PLAIN, withEachCipher } from "./channels.js";

withEachCipher("cluster keys", (make) => {
  test("a key is rolled over without a message lost, and the old one is refused at the end", () => {
    const { a, b } = acquainted(make);
    const exchange = (): string[] => [causeOf(open(b, a.seal(2, PLAIN))), causeOf(open(a, b.seal(1, PLAIN)))];
    const steps: [SecureChannel, Uint8Array[]][] = [
      [a, [KEY, KEY_2]],
      [b, [KEY, KEY_2]],
      [a, [KEY_2, KEY]],
      [b, [KEY_2, KEY]],
      [a, [KEY_2]],
    ];
    for (const [channel, keys] of steps) {
      channel.setKeys(keys);
      assert.deepEqual(exchange(), ["opened", "opened"]);
    }
    b.setKeys([KEY_2]);
    assert.deepEqual(exchange(), ["opened", "opened"]);
    const old = make({ nodeId: 1, keys: [KEY] });
    assert.equal(causeOf(open(b, old.seal(2, PLAIN))), "unknown_key");
  });

  test("a datagram that was opened under one key is not opened again after a rollover", () => {
    const { a, b } = acquainted(make);
    const sealed = a.seal(2, PLAIN);
    assert.equal(causeOf(open(b, sealed)), "opened");
    b.setKeys([KEY_3, KEY_2, KEY]);
    assert.equal(causeOf(open(b, sealed)), "replayed");
    assert.equal(causeOf(open(b, a.seal(2, PLAIN))), "opened");
  });

  test("key rings that cannot be used are refused, and change nothing", () => {
    const { a, b } = acquainted(make);
    for (const keys of [[], [KEY, KEY_2, KEY_3, new Uint8Array(32)], [new Uint8Array(16)], [KEY, KEY]]) {
      assert.throws(() => b.setKeys(keys), RangeError);
      assert.throws(() => make({ nodeId: 1, keys }), RangeError);
    }
    assert.equal(causeOf(open(b, a.seal(2, PLAIN))), "opened");
  });
});
