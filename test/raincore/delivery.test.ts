import assert from "node:assert/strict";
import { test } from "node:test";
import { Delivery, type Schedule } from "../../lib/raincore/delivery.js";

const SCHEDULE: Schedule = { sends_ms: [0, 10, 30], fail_ms: 70, everyPath: false };
const BYTES = Uint8Array.of(1);

function newDelivery() {
  const sent: string[] = [];
  const counts = { resends: 0 };
  const delivery = new Delivery({
    transmit: (to, path) => sent.push(`${to}/${path}`),
    pathsOf: () => 2,
    onResend: () => {
      counts.resends += 1;
    },
  });
  return { delivery, sent, counts };
}

test("the first send takes one path, resends take all, and then delivery fails", () => {
  const { delivery, sent, counts } = newDelivery();
  delivery.start(0, 5, BYTES, SCHEDULE);
  assert.deepEqual(sent, ["5/0"]);
  assert.equal(delivery.deadline_ms, 10);
  assert.deepEqual(delivery.tick(9), []);
  assert.deepEqual(delivery.tick(10), []);
  assert.deepEqual(sent, ["5/0", "5/0", "5/1"]);
  assert.deepEqual(delivery.tick(30), []);
  assert.equal(sent.length, 5);
  assert.equal(delivery.deadline_ms, 70);
  assert.deepEqual(delivery.tick(70), [5]);
  assert.equal(delivery.deadline_ms, Number.POSITIVE_INFINITY);
  assert.equal(counts.resends, 2);
});

test("an answer ends delivery, and a second answer is not taken for another", () => {
  const { delivery } = newDelivery();
  delivery.start(0, 5, BYTES, SCHEDULE);
  assert.equal(delivery.settle(5, 0), true);
  assert.equal(delivery.settle(5, 0), false);
  assert.deepEqual(delivery.tick(100), []);
});

test("the path that answered a resend is used first from then on", () => {
  const { delivery, sent } = newDelivery();
  delivery.start(0, 5, BYTES, SCHEDULE);
  delivery.tick(10);
  delivery.settle(5, 1);
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
  delivery.start(0, 5, BYTES, { ...SCHEDULE, everyPath: true });
  assert.deepEqual(sent, ["5/0", "5/1"]);
  delivery.clear();
  assert.deepEqual(delivery.tick(100), []);
});
