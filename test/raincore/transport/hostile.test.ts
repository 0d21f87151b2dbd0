// A peer that has the cluster key and bad intentions: it costs bounded memory, and nobody else's messages.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decode, encode } from "../../../lib/raincore/messages.js";
import {
  ID_WINDOW,
  MESSAGE_BYTES_MAX,
  MESSAGE_OVERHEAD_BYTES,
  PEER_BYTES_MAX,
  TOTAL_BYTES_MAX,
} from "../../../lib/raincore/transport/limits.js";
import type { HaveMessage, PartMessage } from "../../../lib/raincore/transport/packets.js";
import { Net, patterned, TOKEN_BYTES_MAX, timers } from "./net.js";

const PART_BYTES = 1000;

function part(change: Partial<PartMessage> = {}): PartMessage {
  const base: PartMessage = {
    type: "part",
    priority: "bulk",
    asks: false,
    life: 1n,
    id: 0,
    floor: 0,
    total: 3 * PART_BYTES,
    partBytes: PART_BYTES,
    index: 0,
    attempt: 1,
    body: new Uint8Array(PART_BYTES),
  };
  return { ...base, ...change };
}

function have(change: Partial<HaveMessage> = {}): HaveMessage {
  return {
    type: "have",
    priority: "bulk",
    status: "partial",
    life: 1n,
    senderLife: 1n,
    id: 0,
    collection: 1,
    echoIndex: 0,
    echoAttempt: 1,
    base: 0,
    bits: new Uint8Array(0),
    ...change,
  };
}

test("parts and answers that contradict themselves are malformed", () => {
  const bad: PartMessage[] = [
    part({ total: MESSAGE_BYTES_MAX + 1 }),
    part({ partBytes: 100, total: 300, body: new Uint8Array(100) }),
    part({ attempt: 0 }),
    part({ id: ID_WINDOW, floor: 0 }),
    part({ id: 0, floor: 1 }),
    part({ index: 3, body: new Uint8Array(0) }),
    part({ body: new Uint8Array(PART_BYTES - 1) }),
    part({ body: new Uint8Array(PART_BYTES + 1) }),
    part({ total: 2500, index: 2, body: new Uint8Array(501) }),
    part({ total: 0, index: 0, body: new Uint8Array(1) }),
  ];
  for (const message of bad) assert.deepEqual(decode(encode(message)), { ok: false, cause: "malformed" });
  const flagged = encode(part());
  flagged[1] = 4;
  assert.deepEqual(decode(flagged), { ok: false, cause: "malformed" }, "a flag that does not exist");
  const bits = new Uint8Array(257);
  assert.deepEqual(decode(encode(have({ bits }))), { ok: false, cause: "malformed" });
  assert.ok(decode(encode(part({ id: 3, floor: 0xffff_ff10 }))).ok, "ids wrap");
});

test("arbitrary bytes behind the types of parts and answers are refused or decoded, and written back as they were", () => {
  let decoded = 0;
  fc.assert(
    fc.property(fc.constantFrom(9, 10), fc.uint8Array({ minLength: 20, maxLength: 60 }), (type, rest) => {
      const bytes = Uint8Array.of(type, ...rest.map((byte, at) => (at < 2 ? byte & 1 : byte)));
      const result = decode(bytes);
      if (!result.ok) return;
      decoded += 1;
      assert.deepEqual(encode(result.message), bytes);
    }),
    { numRuns: 3000, seed: 5 },
  );
  assert.ok(decoded > 500, `${decoded}`);
});

test("claims of size book room, up to the peer's limit and to that of all; memory comes only with parts", () => {
  const net = new Net();
  const b = net.node(2);
  const before = process.memoryUsage().arrayBuffers;
  for (let peer = 10; peer < 20; peer++) {
    for (let id = 0; id < ID_WINDOW; id++) {
      b.transport.onPart(net.now_ms, peer, 0, part({ id, total: 4 * 1024 * 1024, index: 3000 }));
    }
    assert.ok(b.transport.bookedBytes <= (peer - 9) * PEER_BYTES_MAX);
  }
  assert.ok(b.transport.bookedBytes <= TOTAL_BYTES_MAX);
  assert.ok((b.counters.transport_part_no_room ?? 0) > 2000);
  const taken = process.memoryUsage().arrayBuffers - before;
  assert.ok(taken < 4 * 1024 * 1024, `${taken} bytes taken for parts of 1000 bytes`);
});

test("what one peer books does not keep others from sending, nor tokens from coming", () => {
  const net = new Net();
  const [a, b] = [net.node(1), net.node(2)];
  for (let id = 0; id < ID_WINDOW; id++) b.transport.onPart(net.now_ms, 3, 0, part({ id, total: MESSAGE_BYTES_MAX }));
  const [message, token] = [patterned(3_000_000, 1), patterned(100_000, 2)];
  a.transport.send(net.now_ms, 2, message, { priority: "bulk" });
  a.transport.send(net.now_ms, 2, token, { priority: "token", fail_ms: timers.handOverFail_ms });
  net.run(1000);
  assert.deepEqual(b.arrivals.map((arrival) => arrival.bytes.length).sort(), [100_000, 3_000_000]);
});

test("what nobody goes on with is thrown away, and its room is free again", () => {
  const net = new Net();
  const b = net.node(2);
  b.transport.onPart(net.now_ms, 3, 0, part());
  assert.equal(b.transport.bookedBytes, 3 * PART_BYTES + MESSAGE_OVERHEAD_BYTES);
  net.run(10_000);
  assert.equal(b.transport.bookedBytes, 0);
  assert.equal(b.counters.transport_abandoned, 1);
});

test("a sender that finds no room waits, and its message arrives when there is some", () => {
  const net = new Net();
  const [a, b] = [net.node(1), net.node(2)];
  for (let peer = 10; peer < 14; peer++) {
    b.transport.onPart(net.now_ms, peer, 0, part({ total: MESSAGE_BYTES_MAX - MESSAGE_OVERHEAD_BYTES }));
  }
  const message = patterned(200_000, 1);
  a.transport.send(net.now_ms, 2, message, { priority: "bulk" });
  net.run(20_000);
  assert.ok((a.counters.transport_peer_busy ?? 0) > 0);
  assert.equal(a.outcomes[0]?.delivered, true);
  assert.equal(b.arrivals.length, 1);
});

test("a part that does not fit the message's others is refused, and the message is what it was", () => {
  const net = new Net();
  const b = net.node(2);
  const message = patterned(3 * PART_BYTES, 1);
  const bodyOf = (index: number) => message.slice(index * PART_BYTES, (index + 1) * PART_BYTES);
  b.transport.onPart(net.now_ms, 3, 0, part({ index: 0, body: bodyOf(0) }));
  b.transport.onPart(net.now_ms, 3, 0, part({ index: 1, total: 2 * PART_BYTES }));
  b.transport.onPart(net.now_ms, 3, 0, part({ index: 1, partBytes: 1500, body: new Uint8Array(1500) }));
  b.transport.onPart(net.now_ms, 3, 0, part({ index: 0 }));
  for (const index of [1, 2]) b.transport.onPart(net.now_ms, 3, 0, part({ index, body: bodyOf(index) }));
  assert.equal(b.counters.transport_part_conflict, 2);
  assert.deepEqual(b.arrivals[0]?.bytes, message);
});

test("a message that was delivered is not delivered again, whatever comes of it", () => {
  const net = new Net();
  const b = net.node(2);
  const single = (id: number, floor: number) => part({ id, floor, total: PART_BYTES });
  for (const id of [0xffff_fffe, 0xffff_ffff, 0, 1]) {
    for (let copy = 0; copy < 3; copy++) b.transport.onPart(net.now_ms, 3, 0, single(id, 0xffff_fffe));
  }
  assert.equal(b.arrivals.length, 4);
  b.transport.onPart(net.now_ms, 3, 0, single(1 + ID_WINDOW, 2));
  for (const id of [0xffff_fffe, 0xffff_ffff, 0, 1]) b.transport.onPart(net.now_ms, 3, 0, single(id, id));
  assert.equal(b.arrivals.length, 5);
  assert.equal(b.counters.transport_part_old, 4);
});

test("a token beyond its limit is refused; a newer one takes the place of an unfinished one", () => {
  const net = new Net();
  const b = net.node(2);
  b.transport.onPart(net.now_ms, 3, 0, part({ priority: "token", total: TOKEN_BYTES_MAX + 1 }));
  assert.equal(b.counters.transport_part_too_large, 1);
  for (let id = 0; id < 100; id++) b.transport.onPart(net.now_ms, 3, 0, part({ priority: "token", id, floor: 0 }));
  b.transport.onPart(net.now_ms, 3, 0, part({ priority: "token", id: 99, floor: 99, index: 1 }));
  b.transport.onPart(net.now_ms, 3, 0, part({ priority: "token", id: 99, floor: 99, index: 2 }));
  assert.equal(b.arrivals.length, 1);
  assert.equal(b.transport.deadline_ms, Number.POSITIVE_INFINITY);
});

test("answers about parts that were never sent, or to another life, change nothing", () => {
  const net = new Net();
  const [a, b] = [net.node(1), net.node(2)];
  const message = patterned(1_000_000, 1);
  a.transport.send(net.now_ms, 2, message, { priority: "bulk" });
  const bits = new Uint8Array(256).fill(0xff);
  for (const bogus of [
    have({ status: "complete" }),
    have({ base: 700, bits }),
    have({ echoIndex: 60_000 }),
    have({ senderLife: 2n, base: 3 }),
    have({ id: 7, status: "complete" }),
  ]) {
    a.transport.onHave(net.now_ms, 2, 0, bogus);
  }
  assert.equal(a.counters.transport_have_bogus, 3);
  net.run(5000);
  assert.equal(a.outcomes.length, 1);
  assert.deepEqual(Buffer.compare(b.arrivals[0]?.bytes ?? new Uint8Array(0), message), 0);
});

test("arbitrary parts and answers never make the transport throw, nor exceed its bounds", () => {
  const parts = fc.record({
    priority: fc.constantFrom("bulk" as const, "token" as const),
    asks: fc.boolean(),
    life: fc.bigInt({ min: 0n, max: 2n }),
    id: fc.integer({ min: 0, max: 300 }),
    back: fc.integer({ min: 0, max: 255 }),
    total: fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0, max: MESSAGE_BYTES_MAX })),
    partBytes: fc.integer({ min: 512, max: 1400 }),
    place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    attempt: fc.integer({ min: 1, max: 255 }),
  });
  const haves = fc.record({
    priority: fc.constantFrom("bulk" as const, "token" as const),
    status: fc.constantFrom("partial" as const, "complete" as const, "busy" as const),
    life: fc.bigInt({ min: 0n, max: 2n }),
    id: fc.integer({ min: 0, max: 4 }),
    collection: fc.integer({ min: 0, max: 4 }),
    echoIndex: fc.integer({ min: 0, max: 500 }),
    echoAttempt: fc.integer({ min: 0, max: 3 }),
    base: fc.integer({ min: 0, max: 500 }),
    bits: fc.uint8Array({ maxLength: 100 }),
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(parts, haves), { maxLength: 60 }), (steps) => {
      const net = new Net();
      const a = net.node(1);
      const lengths = [0, 3000, 200_000];
      for (const length of lengths) a.transport.send(net.now_ms, 2, new Uint8Array(length), { priority: "bulk" });
      for (const step of steps) {
        const message = "place" in step ? partOf(step) : have({ ...step, senderLife: 1n });
        const result = decode(encode(message));
        assert.ok(result.ok);
        if (result.message.type === "part") a.transport.onPart(net.now_ms, 2, 0, result.message);
        if (result.message.type === "have") a.transport.onHave(net.now_ms, 2, 0, result.message);
        assert.ok(a.transport.bookedBytes <= PEER_BYTES_MAX);
        net.run(0.3);
      }
      net.run(120_000);
      assert.deepEqual(
        a.outcomes.map((outcome) => outcome.bytes.length).sort((x, y) => x - y),
        lengths,
      );
      assert.equal(a.transport.bookedBytes, 0);
      assert.equal(a.transport.deadline_ms, Number.POSITIVE_INFINITY);
    }),
    { numRuns: 300, seed: 17 },
  );
});

function partOf(step: {
  readonly priority: "bulk" | "token";
  readonly asks: boolean;
  readonly life: bigint;
  readonly id: number;
  readonly back: number;
  readonly total: number;
  readonly partBytes: number;
  readonly place: number;
  readonly attempt: number;
}): PartMessage {
  const { back, place, ...rest } = step;
  const count = Math.max(1, Math.ceil(step.total / step.partBytes));
  const index = Math.floor(place * count);
  const length = Math.min(step.partBytes, step.total - index * step.partBytes);
  return part({ ...rest, floor: (step.id - back) >>> 0, index, body: new Uint8Array(length) });
}
