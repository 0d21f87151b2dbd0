// Datagrams that are short, foreign, damaged or nonsense: each is refused, by its cause.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { acquainted, causeOf, KEY_2, open, PLAIN, type Who, withEachCipher } from "./channels.js";

withEachCipher("refusals", (make) => {
  test("short datagrams are refused as short, also when the buffer goes on", () => {
    const { a, b } = acquainted(make);
    const sealed = a.seal(2, new Uint8Array(0));
    for (let length = 0; length < sealed.length; length++) {
      assert.equal(causeOf(open(b, sealed.subarray(0, length))), "short");
      assert.equal(causeOf(b.open(0, Buffer.from(sealed), 0, length)), "short");
    }
    assert.equal(causeOf(b.open(0, Buffer.from(sealed), 1, sealed.length)), "short");
  });

  test("foreign datagrams are refused by what is foreign about them", () => {
    const b = make({ nodeId: 2 });
    const sealed = (who: Who, to = 2) => open(b, make(who).seal(to, PLAIN));
    assert.equal(causeOf(sealed({ nodeId: 1, cluster: "back" })), "foreign_cluster");
    assert.equal(causeOf(sealed({ nodeId: 1, keys: [KEY_2] })), "unknown_key");
    assert.equal(causeOf(sealed({ nodeId: 4 })), "unknown_node");
    assert.equal(causeOf(sealed({ nodeId: 1 }, 3)), "misaddressed");
    assert.equal(causeOf(open(b, b.seal(2, PLAIN))), "misaddressed");
    const other = make({ nodeId: 1 }).seal(2, PLAIN);
    other[2] = 1;
    assert.equal(causeOf(open(b, other)), "version");
    other[0] = 0;
    assert.equal(causeOf(open(b, other)), "foreign_cluster");
  });

  test("no bit of a datagram can be changed unnoticed, whether its life is proven or not", () => {
    for (const isProven of [true, false]) {
      const { a, b } = isProven ? acquainted(make) : { a: make({ nodeId: 1 }), b: make({ nodeId: 2 }) };
      const sealed = a.seal(2, PLAIN);
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        const damaged = Uint8Array.from(sealed);
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        // Time goes on, or the many unknown lives would be throttled.
        const result = open(b, damaged, 1 + bit);
        assert.ok(!result.ok, `bit ${bit}`);
        assert.ok(
          !["unproven", "handshake", "throttled", "malformed"].includes(result.cause),
          `bit ${bit}: ${result.cause}`,
        );
        assert.equal(result.reply, undefined);
      }
      assert.equal(causeOf(open(b, sealed, 10_000)), isProven ? "opened" : "unproven");
    }
  });

  test("arbitrary bytes are refused, never thrown at", () => {
    const { a, b } = acquainted(make);
    const head = a.seal(2, PLAIN).subarray(0, 32);
    let now_ms = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        now_ms += 10;
        assert.equal(open(b, bytes, now_ms).ok, false);
        assert.equal(open(b, Uint8Array.of(...head, ...bytes), now_ms).ok, false);
        assert.equal(open(b, Uint8Array.of(...head.subarray(0, 16), ...bytes), now_ms).ok, false);
      }),
      { numRuns: 500, seed: 1 },
    );
  });
});
