// What was recorded is not believed again, in the same life or a later one, of the sender or the receiver.
import assert from "node:assert/strict";
import { test } from "node:test";
import { REPLAY_WINDOW } from "../../../lib/raincore/replayWindow.js";
import { acquainted, causeOf, converse, open, PLAIN, replyOf, withEachCipher } from "./channels.js";

withEachCipher("recorded datagrams", (make) => {
  test("a datagram is accepted once", () => {
    const { a, b } = acquainted(make);
    const sealed = a.seal(2, PLAIN);
    assert.equal(causeOf(open(b, sealed)), "opened");
    assert.equal(causeOf(open(b, sealed)), "replayed");
  });

  test("datagrams may overtake each other within the window, and are refused beyond it", () => {
    const { a, b } = acquainted(make);
    const sealed = Array.from({ length: REPLAY_WINDOW + 100 }, () => a.seal(2, PLAIN));
    const opened = (index: number) => causeOf(open(b, sealed[index] ?? new Uint8Array(0)));
    const newest = REPLAY_WINDOW + 50;
    assert.equal(opened(newest), "opened");
    assert.equal(opened(newest - 1), "opened");
    assert.equal(opened(51), "opened");
    assert.equal(opened(51), "replayed");
    assert.equal(opened(50), "replayed");
    assert.equal(opened(newest + 49), "opened");
    assert.equal(opened(newest), "replayed");
  });

  test("a window that moves on by more than its size forgets nothing that it must refuse", () => {
    const { a, b } = acquainted(make);
    const first = a.seal(2, PLAIN);
    assert.equal(causeOf(open(b, first)), "opened");
    let last = first;
    for (let i = 0; i < 3 * REPLAY_WINDOW; i++) last = a.seal(2, PLAIN);
    assert.equal(causeOf(open(b, last)), "opened");
    assert.equal(causeOf(open(b, first)), "replayed");
  });

  test("what was recorded does nothing to a restarted receiver", () => {
    const { a, b } = acquainted(make);
    const recorded = [a.hello(10, 2) ?? new Uint8Array(0), ...Array.from({ length: 20 }, () => a.seal(2, PLAIN))].map(
      (datagram) => Buffer.from(datagram),
    );
    for (const datagram of recorded) open(b, datagram, 10);
    const restarted = make({ nodeId: 2, incarnation: 2n });
    for (const [i, datagram] of recorded.entries()) {
      assert.notEqual(causeOf(open(restarted, datagram, 100 * i)), "opened");
    }
    // And not when the sender, still in the same life, has proved itself to it either.
    converse(restarted, a, restarted.hello(10_000, 1), 10_000);
    assert.equal(causeOf(open(restarted, a.seal(2, PLAIN), 10_000)), "opened");
    for (const datagram of recorded) assert.equal(causeOf(open(restarted, datagram, 20_000)), "replayed");
  });

  test("a recorded handshake proves nothing to a restarted receiver", () => {
    const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 2 })];
    const answer = replyOf(open(a, replyOf(open(b, a.seal(2, PLAIN))) ?? assert.fail("no challenge")));
    const restarted = make({ nodeId: 2, incarnation: 2n });
    const reply = replyOf(open(restarted, a.seal(2, PLAIN)));
    assert.notEqual(reply, undefined);
    open(restarted, answer ?? assert.fail("no answer"), 100);
    assert.equal(causeOf(open(restarted, a.seal(2, PLAIN), 100)), "unproven");
  });

  test("an earlier life cannot come back with the answer that proved it once", () => {
    const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 2 })];
    const answer = replyOf(open(a, replyOf(open(b, a.seal(2, PLAIN))) ?? assert.fail("no challenge")));
    open(b, answer ?? assert.fail("no answer"));
    const restarted = make({ nodeId: 1, incarnation: 2n });
    converse(restarted, b, restarted.hello(100, 2), 100);
    open(b, answer ?? assert.fail("no answer"), 200);
    assert.equal(causeOf(open(b, a.seal(2, PLAIN), 200)), "unproven");
    assert.equal(causeOf(open(b, restarted.seal(2, PLAIN), 200)), "opened");
  });

  test("replays of an earlier life do not keep the present one from proving itself", () => {
    const { a, b } = acquainted(make);
    const recorded = Array.from({ length: 50 }, () => a.seal(2, PLAIN));
    const restarted = make({ nodeId: 1, incarnation: 2n });
    const receiver = make({ nodeId: 2, incarnation: 2n });
    let now_ms = 1000;
    // The challenge that a replay causes goes to the node as it is now, and serves its present life as well.
    for (const datagram of recorded) {
      now_ms += 1;
      converse(receiver, restarted, replyOf(open(receiver, datagram, now_ms)), now_ms);
      if (causeOf(open(receiver, restarted.seal(2, PLAIN), now_ms)) === "opened") break;
    }
    assert.equal(causeOf(open(receiver, restarted.seal(2, PLAIN), now_ms)), "opened");
    assert.equal(causeOf(open(b, restarted.seal(2, PLAIN))), "unproven");
  });
});
