// How a life proves itself, and how the next one takes its place.
import assert from "node:assert/strict";
import { test } from "node:test";
import { acquainted, causeOf, converse, open, PLAIN, replyOf, withEachCipher } from "./channels.js";

withEachCipher("the proof of a life", (make) => {
  test("a first message proves its sender within one round trip, and the receiver half a one later", () => {
    const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 2 })];
    const message = open(b, a.seal(2, PLAIN));
    assert.equal(causeOf(message), "unproven");
    const answer = open(a, replyOf(message) ?? assert.fail("no challenge"));
    assert.equal(causeOf(answer), "handshake");
    const proof = open(b, replyOf(answer) ?? assert.fail("no answer"));
    assert.equal(causeOf(open(b, a.seal(2, PLAIN))), "opened");
    assert.equal(replyOf(open(a, replyOf(proof) ?? assert.fail("no second answer"))), undefined);
    assert.equal(causeOf(open(a, b.seal(1, PLAIN))), "opened");
  });

  test("nodes that greet each other at the same time believe each other, and fall silent", () => {
    const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 2 })];
    const [fromA, fromB] = [a.hello(0, 2), b.hello(0, 1)].map((hello) => Buffer.from(hello ?? []));
    const [answerOfB, answerOfA] = [
      replyOf(open(b, fromA ?? Buffer.alloc(0))),
      replyOf(open(a, fromB ?? Buffer.alloc(0))),
    ];
    assert.equal(converse(b, a, answerOfB), 1);
    assert.equal(converse(a, b, answerOfA), 1);
    assert.equal(causeOf(open(b, a.seal(2, PLAIN))), "opened");
    assert.equal(causeOf(open(a, b.seal(1, PLAIN))), "opened");
  });

  test("handshakes that get lost are made up for by later messages", () => {
    const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 2 })];
    assert.notEqual(replyOf(open(b, a.seal(2, PLAIN), 0)), undefined);
    assert.equal(replyOf(open(b, a.seal(2, PLAIN), 1)), undefined, "challenged again at once");
    converse(b, a, replyOf(open(b, a.seal(2, PLAIN), 50)), 50);
    assert.equal(causeOf(open(b, a.seal(2, PLAIN), 51)), "opened");
  });

  test("a restarted sender is heard after it proved itself, whichever way its clock went, and its earlier life is not any more", () => {
    for (const [incarnation, next] of [
      [5n, 6n],
      [5n, 4n],
      [5n, 5n],
    ] as const) {
      const { a, b } = acquainted(make, { incarnation });
      const restarted = make({ nodeId: 1, incarnation: next });
      assert.equal(causeOf(open(b, restarted.seal(2, PLAIN), 100)), "unproven");
      assert.equal(causeOf(open(b, a.seal(2, PLAIN), 100)), "opened", "not before it proved itself");
      converse(restarted, b, restarted.hello(200, 2), 200);
      assert.equal(causeOf(open(b, restarted.seal(2, PLAIN), 200)), "opened");
      assert.equal(causeOf(open(b, a.seal(2, PLAIN), 200)), "unproven");
    }
  });

  test("a life that proved itself ends the one before, also when its clock was set back, and no recording brings that one back", () => {
    const { a: former, b } = acquainted(make, { incarnation: 9n });
    const recorded = [former.seal(2, PLAIN), former.hello(5, 2) ?? PLAIN, former.seal(2, PLAIN)];
    const next = make({ nodeId: 1, incarnation: 3n });
    converse(next, b, next.hello(10, 2), 10);
    assert.equal(causeOf(open(b, next.seal(2, PLAIN), 10)), "opened");
    for (let now_ms = 20; now_ms < 100; now_ms += 10) {
      for (const datagram of recorded)
        assert.notEqual(causeOf(open(b, datagram, now_ms)), "opened", "a recording is believed");
      assert.equal(causeOf(open(b, next.seal(2, PLAIN), now_ms)), "opened");
    }
  });
});
