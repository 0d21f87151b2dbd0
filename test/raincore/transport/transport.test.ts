// Messages over a virtual network: they arrive once and whole, or their sender is told, whatever the network does.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MESSAGE_BYTES_MAX } from "../../../lib/raincore/transport/limits.js";
import { type Endpoint, FAIR, Net, patterned, timers } from "./net.js";

const PART = 1373;

function assertSame(actual: Uint8Array | undefined, expected: Uint8Array): void {
  assert.ok(actual !== undefined && Buffer.compare(actual, expected) === 0, "the message is not what was sent");
}

function pair(net: Net, firstId = 0): { readonly a: Endpoint; readonly b: Endpoint } {
  return { a: net.node(1, { firstId }), b: net.node(2, { firstId }) };
}

for (const bytes of [0, 1, PART - 1, PART, PART + 1, 48 * PART, 65_536, 131_072, 1_000_003]) {
  test(`a message of ${bytes} bytes arrives once and whole, and its sender is told`, () => {
    const net = new Net();
    const { a, b } = pair(net);
    const message = patterned(bytes, 7);
    const id = a.transport.send(net.now_ms, 2, message, { priority: "bulk" });
    net.run(2000);
    assert.equal(b.arrivals.length, 1);
    assertSame(b.arrivals[0]?.bytes, message);
    assert.deepEqual(
      a.outcomes.map((o) => [o.id, o.to, o.delivered, o.bytes === message]),
      [[id, 2, true, true]],
    );
    assert.equal(a.transport.queuedBytes, 0);
    assert.equal(b.transport.bookedBytes, 0);
    assert.equal(a.counters.transport_resent, undefined);
    assert.equal(a.transport.deadline_ms, Number.POSITIVE_INFINITY);
    assert.equal(b.transport.deadline_ms, Number.POSITIVE_INFINITY);
  });
}

test("16 MiB arrive whole over a fair network at more than 100 MB in a second of its time", () => {
  const net = new Net();
  const { a, b } = pair(net);
  const message = patterned(MESSAGE_BYTES_MAX, 3);
  a.transport.send(net.now_ms, 2, message, { priority: "bulk" });
  const start_ms = net.now_ms;
  net.run(10_000, () => a.outcomes.length > 0);
  assertSame(b.arrivals[0]?.bytes, message);
  const rate = MESSAGE_BYTES_MAX / (net.now_ms - start_ms) / 1000;
  assert.ok(rate > 100, `${rate.toFixed(0)} MB/s`);
});

test("16 MiB arrive whole over a network that loses, doubles and reorders", () => {
  const net = new Net(5);
  net.weather = { loss: 0.03, duplicate: 0.03, delay_ms: [0.1, 2] };
  const { a, b } = pair(net);
  const message = patterned(MESSAGE_BYTES_MAX, 4);
  a.transport.send(net.now_ms, 2, message, { priority: "bulk" });
  net.run(60_000, () => a.outcomes.length > 0);
  assert.equal(a.outcomes[0]?.delivered, true);
  assert.equal(b.arrivals.length, 1);
  assertSame(b.arrivals[0]?.bytes, message);
});

test("a message beyond 16 MiB is refused at once", () => {
  const net = new Net();
  const { a } = pair(net);
  assert.throws(
    () => a.transport.send(net.now_ms, 2, new Uint8Array(MESSAGE_BYTES_MAX + 1), { priority: "bulk" }),
    RangeError,
  );
});

test("whatever the weather: every message arrives at most once and whole, is settled once, and if delivered, it arrived", () => {
  const sizes = fc.oneof(fc.integer({ min: 0, max: 3 * PART }), fc.integer({ min: 0, max: 150_000 }));
  const plan = fc.record({
    seed: fc.integer({ min: 1, max: 1_000_000 }),
    loss: fc.double({ min: 0, max: 0.4, noNaN: true }),
    duplicate: fc.double({ min: 0, max: 0.4, noNaN: true }),
    delayMax_ms: fc.double({ min: 0.2, max: 30, noNaN: true }),
    firstId: fc.constantFrom(0, 0x7fff_fffe, 0xffff_ff80, 0xffff_fffe),
    cutBack: fc.boolean(),
    messages: fc.array(fc.record({ size: sizes, at_ms: fc.integer({ min: 0, max: 50 }), back: fc.boolean() }), {
      maxLength: 12,
    }),
  });
  fc.assert(
    fc.property(plan, ({ seed, loss, duplicate, delayMax_ms, firstId, cutBack, messages }) => {
      const net = new Net(seed);
      net.weather = { loss, duplicate, delay_ms: [0.1, delayMax_ms] };
      const { a, b } = pair(net, firstId);
      if (cutBack) net.drop = (from) => from === 2 && net.now_ms < 1200;
      const sorted = [...messages].sort((x, y) => x.at_ms - y.at_ms);
      const start_ms = net.now_ms;
      const sent = sorted.map(({ size, at_ms, back }, index) => {
        net.run(start_ms + at_ms - net.now_ms);
        const from = back ? b : a;
        const bytes = patterned(size, index + 1);
        return {
          from,
          to: back ? a : b,
          bytes,
          id: from.transport.send(net.now_ms, back ? 1 : 2, bytes, { priority: "bulk" }),
        };
      });
      net.run(61_000);
      for (const { from, to, bytes, id } of sent) {
        const outcomes = from.outcomes.filter((outcome) => outcome.id === id);
        assert.equal(outcomes.length, 1);
        assert.equal(outcomes[0]?.bytes, bytes);
        const arrivals = to.arrivals.filter((arrival) => Buffer.compare(arrival.bytes, bytes) === 0);
        const same = sent.filter((one) => one.to === to && Buffer.compare(one.bytes, bytes) === 0).length;
        if (outcomes[0]?.delivered) assert.ok(arrivals.length >= 1, "delivered, but did not arrive");
        assert.ok(arrivals.length <= same, "arrived twice");
      }
      for (const node of [a, b]) {
        assert.ok(node.arrivals.length <= sent.filter((one) => one.to === node).length);
        assert.equal(node.transport.queuedBytes, 0);
        assert.equal(node.transport.bookedBytes, 0);
        assert.equal(node.transport.deadline_ms, Number.POSITIVE_INFINITY);
      }
    }),
    { numRuns: 150, seed: 11 },
  );
});

test("with no loss beyond a third, every message of a burst is delivered", () => {
  const net = new Net(9);
  net.weather = { loss: 0.3, duplicate: 0.1, delay_ms: [0.1, 3] };
  const { a, b } = pair(net, 0xffff_ff00);
  for (let index = 0; index < 600; index++) {
    a.transport.send(net.now_ms, 2, patterned(index * 7, index), { priority: "bulk" });
  }
  net.run(60_000);
  assert.equal(a.outcomes.filter((outcome) => outcome.delivered).length, 600);
  assert.equal(b.arrivals.length, 600);
});

test("a message to a peer that never answers fails with the original, and costs few packets", () => {
  const net = new Net();
  const a = net.node(1);
  const message = patterned(500_000, 1);
  a.transport.send(net.now_ms, 2, message, { priority: "bulk" });
  net.run(60_000, () => a.outcomes.length > 0);
  assert.deepEqual(
    a.outcomes.map(({ delivered, bytes }) => [delivered, bytes === message]),
    [[false, true]],
  );
  const failed_ms = (a.outcomes[0]?.at_ms ?? 0) - 1000;
  assert.ok(failed_ms >= 2 * timers.lease_ms && failed_ms < 4 * timers.lease_ms, `${failed_ms}`);
  const packets = Object.values(net.carried).reduce((sum, count) => sum + count, 0);
  assert.ok(packets < 120, `${packets} packets`);
});

test("hundreds of messages to a peer that never answers fail about as soon as one, each once", () => {
  const net = new Net();
  const a = net.node(1);
  for (let index = 0; index < 300; index++) {
    net.run(2);
    a.transport.send(net.now_ms, 2, patterned(500, index), { priority: "bulk" });
  }
  const last_ms = net.now_ms;
  net.run(60_000, () => a.outcomes.length >= 300);
  assert.equal(a.outcomes.filter(({ delivered }) => !delivered).length, 300);
  assert.equal(new Set(a.outcomes.map(({ bytes }) => bytes)).size, 300);
  assert.ok(net.now_ms - last_ms < 4 * timers.lease_ms, `${net.now_ms - last_ms} ms`);
  assert.equal(a.transport.queuedBytes, 0);
});

test("a token fails at its own time", () => {
  const net = new Net();
  const a = net.node(1);
  a.transport.send(net.now_ms, 2, patterned(60_000, 1), { priority: "token", fail_ms: timers.handOverFail_ms });
  net.run(60_000, () => a.outcomes.length > 0);
  assert.equal(a.outcomes[0]?.delivered, false);
  assert.ok(Math.abs((a.outcomes[0]?.at_ms ?? 0) - 1000 - timers.handOverFail_ms) < 1e-6);
});

test("a message that is cancelled is neither settled nor sent on", () => {
  const net = new Net();
  const { a, b } = pair(net);
  const id = a.transport.send(net.now_ms, 2, patterned(500_000, 1), { priority: "bulk" });
  net.run(0.05);
  a.transport.cancel(net.now_ms, 2, id);
  net.run(10_000);
  assert.deepEqual([a.outcomes.length, b.arrivals.length, b.transport.bookedBytes], [0, 0, 0]);
  assert.equal(b.counters.transport_abandoned, 1);
});

test("only the lost parts of a token are sent again", () => {
  const net = new Net();
  const { a, b } = pair(net);
  let number = 0;
  net.drop = (from) => from === 1 && [5, 6, 30].includes(number++);
  a.transport.send(net.now_ms, 2, patterned(65_536, 1), { priority: "token", fail_ms: timers.handOverFail_ms });
  net.run(1000);
  assert.equal(b.arrivals.length, 1);
  assert.equal(a.counters.transport_resent, 3);
  assert.ok((b.arrivals[0]?.at_ms ?? 0) - 1000 < 2, "found out by the answers, not by a timeout");
});

test("a token overtakes bulk to the same peer", () => {
  const net = new Net();
  const { a, b } = pair(net);
  a.transport.send(net.now_ms, 2, patterned(4_000_000, 1), { priority: "bulk" });
  net.run(5);
  const sent_ms = net.now_ms;
  a.transport.send(sent_ms, 2, patterned(65_536, 2), { priority: "token", fail_ms: timers.handOverFail_ms });
  net.run(10_000);
  const token = b.arrivals.find((arrival) => arrival.priority === "token");
  assert.ok(token !== undefined && token.at_ms - sent_ms < 1, `${(token?.at_ms ?? 0) - sent_ms} ms`);
  assert.equal(b.arrivals.length, 2);
});

test("small messages do not wait behind a large one", () => {
  const net = new Net();
  const { a, b } = pair(net);
  a.transport.send(net.now_ms, 2, patterned(8_000_000, 1), { priority: "bulk" });
  const small = patterned(5000, 2);
  a.transport.send(net.now_ms, 2, small, { priority: "bulk" });
  net.run(10_000);
  assertSame(b.arrivals[0]?.bytes, small);
});

test("one step hands out a small burst of bulk, whatever waits, and all peers get their share", () => {
  const net = new Net(1, 1);
  const a = net.node(1);
  for (const to of [2, 3, 4, 5]) {
    net.node(to);
    a.transport.send(net.now_ms, to, patterned(8_000_000, to), { priority: "bulk" });
  }
  net.run(2);
  let before = 0;
  let most = 0;
  for (let step = 0; step < 500; step++) {
    before = Object.entries(net.carried).reduce((sum, [link, count]) => sum + (link.startsWith("1>") ? count : 0), 0);
    a.transport.tick(net.now_ms);
    const after = Object.entries(net.carried).reduce(
      (sum, [link, count]) => sum + (link.startsWith("1>") ? count : 0),
      0,
    );
    most = Math.max(most, after - before);
    net.run(0.1);
  }
  assert.ok(most > 0 && most <= 32, `${most}`);
  net.run(10_000);
  const ends = a.outcomes.map((outcome) => outcome.at_ms);
  assert.equal(ends.length, 4);
  assert.ok(Math.max(...ends) - Math.min(...ends) < 0.2 * (Math.max(...ends) - 1000));
});

test("a slow receiver is not flooded: few packets more than it takes are on their way", () => {
  const net = new Net(1, 1);
  const { a } = pair(net);
  // A queue of 100 packets that is emptied at 20 packets per ms.
  let busyUntil_ms = 0;
  let dropped = 0;
  let offered = 0;
  net.drop = (from) => {
    if (from !== 1) return false;
    offered += 1;
    const isFull = (busyUntil_ms - net.now_ms) * 20 >= 100;
    if (isFull) dropped += 1;
    return isFull;
  };
  net.queue_ms = (from) => {
    if (from !== 1) return 0;
    busyUntil_ms = Math.max(busyUntil_ms, net.now_ms) + 1 / 20;
    return busyUntil_ms - net.now_ms;
  };
  const message = patterned(8_000_000, 1);
  a.transport.send(net.now_ms, 2, message, { priority: "bulk" });
  net.run(20_000, () => a.outcomes.length > 0);
  assert.equal(a.outcomes[0]?.delivered, true);
  assert.ok(dropped < 0.05 * offered, `${dropped} of ${offered} were too many for it`);
  const took_ms = net.now_ms - 1000;
  assert.ok(took_ms < (3 * message.length) / PART / 20, `${took_ms} ms`);
});

for (const [clock, life] of [
  ["", 2n],
  [", also with a clock that was set back", 0n],
] as const) {
  test(`a receiver that was started again gets the whole message once more${clock}`, () => {
    const net = new Net();
    const { a } = pair(net);
    const message = patterned(600_000, 1);
    a.transport.send(net.now_ms, 2, message, { priority: "bulk" });
    net.run(1.5);
    const again = net.node(2, { life });
    net.run(10_000);
    assert.equal(a.outcomes[0]?.delivered, true);
    assert.equal(again.arrivals.length, 1);
    assertSame(again.arrivals[0]?.bytes, message);
  });
}

for (const [clock, lives] of [
  ["", [2n, 3n, 4n]],
  [", also with a clock that was set back each time", [9n, 8n, 7n]],
] as const) {
  test(`a sender that was started again is heard, and late packets of its earlier lives are not${clock}`, () => {
    const net = new Net();
    const { b } = pair(net, 5);
    let a = b;
    const late: Uint8Array[] = [];
    for (const [index, life] of lives.entries()) {
      a = net.node(1, { life, firstId: 5 });
      const { transport } = a;
      transport.send(net.now_ms, 2, patterned(5 * PART, index), { priority: "bulk" });
      net.run(50);
      net.drop = (from, _to, _path, bytes) => {
        if (from === 1) late.push(Uint8Array.from(bytes));
        return from === 1;
      };
      if (index < lives.length - 1) transport.send(net.now_ms, 2, patterned(5 * PART, 10), { priority: "bulk" });
      net.drop = () => false;
    }
    const [first, second] = [patterned(3 * PART, 20), patterned(3 * PART, 21)];
    a.transport.send(net.now_ms, 2, first, { priority: "bulk" });
    for (const bytes of late) net.carry(1, 2, 0, bytes);
    net.run(50);
    a.transport.send(net.now_ms, 2, second, { priority: "token" });
    net.run(5000);
    assert.deepEqual(
      b.arrivals.map(({ bytes }) => Buffer.from(bytes)),
      [patterned(5 * PART, 0), patterned(5 * PART, 1), patterned(5 * PART, 2), first, second].map((bytes) =>
        Buffer.from(bytes),
      ),
    );
    assert.equal(b.counters.transport_part_stale_life, late.length);
  });
}

test("closing fails everything that is under way or waits", () => {
  const net = new Net();
  const { a } = pair(net);
  for (let index = 0; index < 20; index++) {
    a.transport.send(net.now_ms, 2, patterned(MESSAGE_BYTES_MAX / 5, index), { priority: "bulk" });
  }
  a.transport.close();
  assert.equal(a.outcomes.length, 20);
  assert.ok(a.outcomes.every((outcome) => !outcome.delivered));
  assert.equal(a.transport.queuedBytes, 0);
  assert.equal(a.transport.deadline_ms, Number.POSITIVE_INFINITY);
});

test("what waits at a sender is bounded: more fails at once", () => {
  const net = new Net();
  const { a } = pair(net);
  const large = new Uint8Array(MESSAGE_BYTES_MAX);
  for (let index = 0; index < 6; index++) a.transport.send(net.now_ms, 2, large, { priority: "bulk" });
  assert.deepEqual([a.outcomes.length, a.counters.transport_queue_full], [2, 2]);
  assert.equal(a.transport.queuedBytes, 4 * MESSAGE_BYTES_MAX);
});

test("fair weather costs no timeout and no resend", () => {
  const net = new Net();
  net.weather = FAIR;
  const { a } = pair(net);
  for (let index = 0; index < 50; index++)
    a.transport.send(net.now_ms, 2, patterned(20_000, index), { priority: "bulk" });
  net.run(5000);
  assert.equal(a.outcomes.length, 50);
  assert.deepEqual([a.counters.transport_timeout, a.counters.transport_resent], [undefined, undefined]);
});
