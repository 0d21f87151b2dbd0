import assert from "node:assert/strict";
import { test } from "node:test";
import { Delivery, fixedGap, type Schedule } from "../../lib/raincore/delivery.js";
import { deriveTimers } from "../../lib/raincore/timers.js";
import { Transport } from "../../lib/raincore/transport/transport.js";

const SCHEDULE: Schedule = { gap: { min_ms: 5, max_ms: 10 }, fail_ms: 70, everyPath: false };
const BYTES = Uint8Array.of(1);
/** The unit is 10 ms. */
const timers = deriveTimers(280);

function newDelivery(paths = 2) {
  const sent: string[] = [];
  const counts = { resends: 0, probes: 0 };
  const parts = { sent: 0 };
  const transport: Transport = new Transport(
    {
      transmit: () => {
        parts.sent += 1;
      },
      pathsOf: () => paths,
      deliver: () => {},
      settled: (id, to, delivered) => delivery.partsSettled(now.ms, to, id, delivered),
      count: () => {},
    },
    { timers, life: 1n, packetBytes_max: 1400, tokenBytes_max: 1 << 17 },
  );
  const now = { ms: 0 };
  const delivery: Delivery = new Delivery(
    {
      transmit: (to, path) => sent.push(`${to}/${path}`),
      probe: () => {
        counts.probes += 1;
      },
      onResend: () => {
        counts.resends += 1;
      },
    },
    transport,
  );
  // So that no path is new, and none is explored for a second.
  for (let path = 0; path < paths; path++) transport.paths.sent(5, path, -1);
  for (let path = 0; path < paths; path++) transport.paths.answered(5, path, -1, undefined);
  return { delivery, transport, sent, counts, parts, now };
}

test("the first send takes one path, resends take all, with gaps that double, and then delivery fails", () => {
  const { delivery, sent, counts } = newDelivery();
  delivery.start(0, 5, BYTES, SCHEDULE);
  assert.deepEqual(sent, ["5/0"]);
  assert.equal(delivery.deadline_ms, 10);
  assert.deepEqual(delivery.tick(9), []);
  assert.deepEqual(delivery.tick(10), []);
  assert.deepEqual(sent, ["5/0", "5/0", "5/1"]);
  assert.equal(delivery.deadline_ms, 30);
  assert.deepEqual(delivery.tick(30), []);
  assert.equal(sent.length, 5);
  assert.equal(delivery.deadline_ms, 70);
  assert.deepEqual(delivery.tick(70), [{ to: 5, isRefused: false }]);
  assert.equal(delivery.deadline_ms, Number.POSITIVE_INFINITY);
  assert.equal(counts.resends, 2);
});

test("an answer ends delivery, and a second answer is not taken for another", () => {
  const { delivery } = newDelivery();
  delivery.start(0, 5, BYTES, SCHEDULE);
  assert.equal(delivery.settle(1, 5, 0), true);
  assert.equal(delivery.settle(1, 5, 0), false);
  assert.deepEqual(delivery.tick(100), []);
});

test("the path that answered a resend is used first from then on", () => {
  const { delivery, sent } = newDelivery();
  delivery.start(0, 5, BYTES, SCHEDULE);
  delivery.tick(10);
  delivery.settle(11, 5, 1);
  sent.length = 0;
  delivery.start(20, 5, BYTES, SCHEDULE);
  assert.deepEqual(sent, ["5/1"]);
});

test("after a late tick overdue sends are made once, not in a burst", () => {
  const { delivery, sent } = newDelivery();
  delivery.start(0, 5, BYTES, SCHEDULE);
  delivery.tick(40);
  assert.deepEqual(sent, ["5/0", "5/0", "5/1"]);
  assert.equal(delivery.deadline_ms, 70);
});

test("an urgent message takes every path at once", () => {
  const { delivery, sent } = newDelivery();
  delivery.start(0, 5, BYTES, { gap: fixedGap(10), fail_ms: 30, everyPath: true });
  assert.deepEqual(sent, ["5/0", "5/1"]);
  delivery.clear(0);
  assert.deepEqual(delivery.tick(100), []);
});

test("measured round trips bring the first resend forward, down to its bound", () => {
  const { delivery } = newDelivery();
  for (const gap_ms of [10, 6, 5, 5]) {
    delivery.start(0, 5, BYTES, SCHEDULE);
    assert.ok(Math.abs(delivery.deadline_ms - gap_ms) < 1, `${delivery.deadline_ms}`);
    delivery.settle(2, 5, 0);
  }
});

test("a message beyond one datagram goes in parts, which the transport resends", () => {
  const { delivery, sent, parts } = newDelivery();
  delivery.start(0, 5, new Uint8Array(20_000), SCHEDULE);
  assert.deepEqual(sent, []);
  assert.equal(parts.sent, 15);
  assert.equal(delivery.deadline_ms, 70);
  assert.deepEqual(delivery.tick(70), [{ to: 5, isRefused: false }]);
});

test("when all parts arrived and the answer did not, the message is sent once more", () => {
  const { delivery, transport, parts, counts } = newDelivery();
  delivery.start(0, 5, new Uint8Array(2000), SCHEDULE);
  assert.equal(parts.sent, 2);
  transport.onHave(1, 5, 0, {
    type: "have",
    priority: "token",
    status: "complete",
    life: 9n,
    senderLife: 1n,
    id: 0,
    collection: 0,
    echoIndex: 1,
    echoAttempt: 1,
    base: 0,
    bits: new Uint8Array(0),
  });
  assert.equal(delivery.deadline_ms, 10);
  delivery.tick(10);
  assert.equal(parts.sent, 4);
  assert.equal(counts.resends, 1);
  assert.equal(delivery.settle(11, 5, 0), true);
  assert.equal(transport.deadline_ms, Number.POSITIVE_INFINITY);
});

test("a suspect's port is asked for with the first send, and twice refused on every path, delivery fails", () => {
  const { delivery, counts } = newDelivery();
  delivery.start(0, 5, BYTES, SCHEDULE, true);
  assert.equal(counts.probes, 1);
  delivery.refused(1, 5, 0);
  delivery.refused(1, 5, 1);
  assert.equal(delivery.deadline_ms, 1 + SCHEDULE.gap.min_ms / 2);
  assert.deepEqual(delivery.tick(4), []);
  assert.equal(counts.probes, 2);
  delivery.refused(5, 5, 0);
  assert.deepEqual(delivery.tick(5), [], "one path says it twice, the other once");
  delivery.refused(5, 5, 1);
  assert.deepEqual(delivery.tick(5), [{ to: 5, isRefused: true }]);
});

test("what is under way to a node when it becomes a suspect is sent again at once, and only that", () => {
  const { delivery, counts, sent } = newDelivery();
  delivery.start(0, 5, BYTES, SCHEDULE);
  delivery.suspect(2, 6);
  assert.equal(delivery.deadline_ms, 10);
  delivery.suspect(2, 5);
  assert.equal(delivery.deadline_ms, 2);
  sent.length = 0;
  assert.deepEqual(delivery.tick(2), []);
  assert.ok(sent.length > 0);
  assert.deepEqual(counts, { resends: 1, probes: 1 });
  delivery.refused(3, 6, 0);
  assert.equal(delivery.settle(3, 5, 0), true, "it lives");
});

test("who was stopped himself sends a quiet message again before he gives it up", () => {
  const { delivery, sent } = newDelivery();
  const quiet: Schedule = { gap: { min_ms: 10, max_ms: 10 }, fail_ms: 55, quiet_ms: 35, everyPath: false };
  delivery.start(0, 5, BYTES, quiet);
  assert.equal(delivery.deadline_ms, 45);
  sent.length = 0;
  assert.deepEqual(delivery.tick(60), []);
  assert.deepEqual(sent, ["5/0", "5/1"]);
  assert.equal(delivery.deadline_ms, 70);
  assert.deepEqual(delivery.tick(70), [{ to: 5, isRefused: false }]);
});
