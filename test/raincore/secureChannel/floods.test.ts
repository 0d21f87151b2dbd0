// Forged lives, and many at once: they cost little, are answered with little, and keep nobody else from being heard.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Aead, AeadKey } from "../../../lib/raincore/aead.js";
import { acquainted, causeOf, channelsOf, converse, KEY_2, open, PLAIN, replyOf, withEachCipher } from "./channels.js";

withEachCipher("floods", (make, aead) => {
  test("who has not the key cannot silence a proven life, nor get an answer", () => {
    const { a, b } = acquainted(make);
    const forger = make({ nodeId: 1, incarnation: 9n, keys: [KEY_2] });
    for (const forged of [forger.seal(2, PLAIN), forger.hello(0, 2) ?? assert.fail("no hello")]) {
      // As far as one can copy: all that is in the clear.
      const datagram = Buffer.from(forged);
      a.seal(2, PLAIN).copy(datagram, 8, 8, 10);
      const result = open(b, datagram, 100);
      assert.equal(causeOf(result), "forged");
      assert.equal(replyOf(result), undefined);
    }
    assert.equal(causeOf(open(b, a.seal(2, PLAIN), 100)), "opened");
  });

  test("nothing is answered with more bytes than came in", () => {
    const { a } = acquainted(make);
    const small = [a.seal(2, new Uint8Array(0)), Buffer.from(a.hello(100, 2) ?? [])];
    for (const [i, datagram] of small.entries()) {
      const reply = replyOf(open(make({ nodeId: 2, incarnation: BigInt(10 + i) }), datagram, 100));
      assert.ok(reply !== undefined && reply.length <= datagram.length);
    }
  });

  test("a recorded question of a life that is not proven is answered now and then, and proves nothing", () => {
    const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 2 })];
    const question = Buffer.from(a.hello(0, 2) ?? []);
    let answers = 0;
    for (let i = 0; i < 1000; i++) {
      if (replyOf(open(b, question, i / 100)) !== undefined) answers += 1;
    }
    // One in half the time in which a challenge is not repeated.
    assert.equal(answers, 4);
    assert.equal(causeOf(open(b, a.seal(2, PLAIN), 10)), "unproven");
    converse(a, b, a.hello(20, 2), 20);
    assert.equal(causeOf(open(b, a.seal(2, PLAIN), 20)), "opened");
  });

  test("forged lives make no keys beyond the one for trying them, and are throttled", () => {
    let keys = 0;
    const counting: Aead = {
      newKey: (): AeadKey => {
        keys += 1;
        return aead.newKey();
      },
      derive: (...args) => aead.derive(...args),
    };
    const { a, b } = { a: make({ nodeId: 1 }), b: channelsOf(counting)({ nodeId: 2 }) };
    const before = keys;
    const causes = new Set<string>();
    const forged = a.seal(2, PLAIN);
    for (let i = 0; i < 1000; i++) {
      forged.writeUInt32BE(i + 100, 16);
      causes.add(causeOf(open(b, forged, 0)));
    }
    assert.equal(keys, before);
    assert.deepEqual([...causes].sort(), ["forged", "throttled"]);
    assert.equal(causeOf(open(b, a.seal(2, PLAIN), 100)), "unproven");
  });

  test("who feigns one node delays the proof of that one only, and not beyond the end of the flood", () => {
    const b = make({ nodeId: 2 });
    const forged = make({ nodeId: 1, keys: [KEY_2] }).seal(2, PLAIN);
    make({ nodeId: 1 }).seal(2, PLAIN).copy(forged, 8, 8, 10);
    let life = 100;
    const flood = (now_ms: number): string => {
      let last = "";
      for (let i = 0; i < 1000; i++) {
        forged.writeUInt32BE(life++, 16);
        last = causeOf(open(b, forged, now_ms));
      }
      return last;
    };
    const [feigned, other] = [make({ nodeId: 1, incarnation: 5n }), make({ nodeId: 3, incarnation: 5n })];
    assert.equal(flood(0), "throttled");
    assert.equal(causeOf(open(b, feigned.hello(0, 2) ?? PLAIN, 0)), "throttled");
    converse(other, b, other.hello(0, 2));
    assert.equal(causeOf(open(b, other.seal(2, PLAIN), 0)), "opened");
    converse(feigned, b, feigned.hello(10, 2), 10);
    // Once proven, no flood in its name silences it.
    assert.equal(flood(10), "throttled");
    assert.equal(causeOf(open(b, feigned.seal(2, PLAIN), 10)), "opened");
  });

  test("256 nodes that begin at once hear each other at the first attempt, and more lives than that are throttled", () => {
    const peers = Array.from({ length: 256 }, (_, i) => i + 1);
    const b = make({ nodeId: 256, peers });
    const causesOf = (incarnation: bigint) =>
      peers
        .filter((nodeId) => nodeId !== 256)
        .map((nodeId) => make({ nodeId, incarnation, peers }).hello(0, 256))
        .map((hello) => causeOf(open(b, hello ?? new Uint8Array(0), 0)));
    assert.deepEqual([...new Set(causesOf(1n))], ["handshake"]);
    assert.deepEqual([...new Set(causesOf(2n))], ["throttled"]);
  });
});
