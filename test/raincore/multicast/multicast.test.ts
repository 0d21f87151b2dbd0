// Ordered multicast, case by case.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Multicast } from "../../../lib/raincore/multicast/multicast.js";
import { Group } from "./group.js";
import { TokenRing } from "./tokenRing.js";

const ALL = [1, 2, 3, 4];

/** The holder is woken and asks for haste; then the token goes on without rest, one round for each time that haste is asked for. */
function hopsOfHaste({ ring }: Group, holder: number): number {
  assert.ok(ring.wake(holder));
  let hops = 0;
  for (let hurry = ALL.length; hurry > 0; hurry--, hops++) if (ring.hop()) hurry = ALL.length + 1;
  return hops;
}

test("an agreed message is with all others after one round, and with its sender when all have it", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  const key = group.send(1, 100);
  group.ring.wake(1);
  group.ring.hop(3);
  for (const id of [2, 3, 4]) assert.deepEqual(group.delivered(id), [key]);
  assert.deepEqual(group.delivered(1), []);
  group.ring.hop(1);
  assert.deepEqual(group.delivered(1), [key]);
  assert.equal(group.settled.get(key ?? ""), "delivered");
});

test("a payload leaves the token with its last receiver", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  group.send(1, 1000);
  group.ring.wake(1);
  const lengths = [1, 2, 3].map(() => {
    const { length } = group.ring.carriageAt(1) ?? [];
    group.ring.hop();
    return Number(length) > 1000;
  });
  assert.deepEqual(lengths, [true, true, true]);
  assert.ok(Number(group.ring.carriageAt(1)?.length) < 100);
});

test("a safe message is delivered by nobody before all have it", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  const key = group.send(1, 100, "safe");
  group.ring.wake(1);
  group.ring.hop(2);
  for (const id of ALL) assert.deepEqual(group.delivered(id), []);
  group.ring.hop(5);
  for (const id of ALL) assert.deepEqual(group.delivered(id), [key]);
});

test("an agreed message behind a safe one waits for its turn", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  const keys = [group.send(1, 100, "safe"), group.send(1, 100, "agreed")];
  group.ring.wake(1);
  group.ring.hop(2);
  for (const id of ALL) assert.deepEqual(group.delivered(id), []);
  group.ring.hop(5);
  for (const id of ALL) assert.deepEqual(group.delivered(id), keys);
});

for (const guarantee of ["agreed", "safe"] as const) {
  test(`haste is asked for until every member has delivered what was sent as ${guarantee}, and no longer`, () => {
    const group = new Group(ALL);
    group.ring.hop(4);
    group.send(1, 100, guarantee);
    const hops = hopsOfHaste(group, 1);
    for (const id of ALL) assert.equal(group.delivered(id).length, 1);
    assert.equal(hops, guarantee === "agreed" ? 4 : 7);
    group.checkAtRest();
  });
}

test("a message that is larger than a chunk, and than the carriage, arrives whole", () => {
  const group = new Group(ALL);
  const keys = [group.send(2, 1_000_000), group.send(2, 10), group.send(3, 200_000, "safe")];
  group.settle();
  for (const id of ALL) assert.deepEqual(new Set(group.delivered(id)), new Set(keys));
  group.check();
  group.checkAtRest();
});

test("a message whose sender dies when half of it is out is delivered by nobody", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  group.send(1, 500_000);
  group.ring.hop(12);
  group.ring.crash(1);
  group.settle();
  for (const id of [2, 3, 4]) assert.deepEqual(group.delivered(id), []);
  assert.ok(group.counter("partial_dropped") >= 3);
  group.check();
});

test("a message that is half out when a member joins is delivered by all, the joiner too", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  group.ring.crash(4);
  group.settle();
  const key = group.send(1, 500_000);
  group.ring.hop(9);
  group.ring.join(4);
  group.settle();
  for (const id of ALL) assert.deepEqual(group.delivered(id), [key]);
  group.check();
});

test("the records of a visit that is on no token go on again, once", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  const keys = [group.send(1, 100), group.send(1, 500_000), group.send(1, 100)];
  group.ring.wake(1);
  group.ring.doubt(1);
  group.settle();
  for (const id of ALL) assert.deepEqual(group.delivered(id), keys);
  assert.equal(group.counter("rewound"), 1);
  group.check();
});

test("a node that loses its membership does not know what became of what was out, and keeps the rest", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  const out = group.send(1, 100) ?? "";
  group.ring.wake(1);
  group.ring.hop(2);
  const kept = group.send(1, 100) ?? "";
  group.ring.lose(1);
  assert.equal(group.settled.get(out), "unknown");
  assert.equal(group.settled.get(kept), undefined);
  group.ring.join(1);
  group.settle();
  assert.equal(group.settled.get(kept), "delivered");
  for (const id of [2, 3, 4]) assert.deepEqual(group.delivered(id), [out, kept]);
  group.check();
});

test("a leaver settles what is out, and what it never sent is unsent", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  const out = group.send(1, 100) ?? "";
  group.ring.wake(1);
  group.ring.leave(1);
  const late = group.send(1, 100) ?? "";
  group.ring.hop(4);
  assert.equal(group.settled.get(out), "delivered");
  assert.equal(group.settled.get(late), "unsent");
  group.settle();
  assert.deepEqual(group.delivered(2), [out]);
  group.check();
});

test("the others' safe messages do not wait for a member that was removed", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  group.ring.crash(3);
  const key = group.send(1, 100, "safe");
  group.settle();
  for (const id of [1, 2, 4]) assert.deepEqual(group.delivered(id), [key]);
  group.check();
});

test("members of a group that yields get nothing of the other group's past", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  group.ring.part([1]);
  group.ring.hop(4);
  const past = group.send(2, 100);
  const own = group.send(1, 100);
  group.settle();
  group.ring.merge();
  group.settle();
  const later = group.send(3, 100);
  group.settle();
  assert.deepEqual(group.delivered(1), [later]);
  assert.deepEqual(group.delivered(2), [past, later]);
  assert.equal(group.settled.get(own ?? ""), "delivered");
  group.check();
});

test("a node alone delivers at once", () => {
  const group = new Group([1]);
  const keys = [group.send(1, 100, "safe"), group.send(1, 1_000_000)];
  group.ring.wake(1);
  assert.deepEqual(group.delivered(1), keys);
  group.checkAtRest();
});

test("under overload every member gets its share", () => {
  const group = new Group(ALL, { bytesMax: 16_384 });
  group.ring.hop(4);
  for (let i = 0; i < 500; i++) for (const id of ALL) group.send(id, id === 1 ? 2000 : 500);
  group.ring.hop(200);
  const bytes = new Map<number, number>();
  for (const entry of group.log(1)) {
    if (entry.type !== "message") continue;
    const { from, bytes: message } = entry.delivery;
    bytes.set(from, (bytes.get(from) ?? 0) + message.length);
  }
  const sums = ALL.map((id) => bytes.get(id) ?? 0);
  assert.ok(Math.min(...sums) > 0.7 * Math.max(...sums), sums.join());
  assert.ok(Math.max(...sums) > 50_000, "and it is much");
});

test("more large messages than may be under way at once wait for each other, and all arrive", () => {
  const largest = 16 * 1024 * 1024;
  let delivered = 0;
  const ring = new TokenRing<Multicast>([1, 2, 3, 4, 5], {
    create: (self) =>
      new Multicast({ self, bytesMax: 512 * 1024, onDeliver: ({ bytes }) => (delivered += bytes.length / largest) }),
  });
  for (const id of ring.running) ring.module(id).send(new Uint8Array(largest), "agreed");
  for (let hops = 0; hops < 2000 && delivered < 25; hops++) ring.hop();
  assert.equal(delivered, 25);
  for (const id of ring.running) assert.equal(ring.module(id).counters.partial_refused, undefined);
});

test("a member that comes late to a carriage filled by another has its share a round later", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  for (let i = 0; i < 1000; i++) group.send(1, 1000);
  group.ring.hop(4);
  const key = group.send(3, 1000) ?? "";
  group.ring.hop(12);
  assert.ok(group.delivered(2).includes(key));
});

test("more members than the carriage has shares for are all served", () => {
  const many = Array.from({ length: 20 }, (_, index) => index + 1);
  const group = new Group(many, { bytesMax: 8192 });
  for (const id of many) for (let i = 0; i < 3; i++) group.send(id, 1900);
  group.settle(20_000);
  assert.equal(group.delivered(1).length, 3 * many.length);
  group.checkAtRest();
});

test("a full queue refuses, by count and by bytes, and tells when it is half empty", () => {
  const group = new Group(ALL, { queueMessages_max: 10, queueBytes_max: 4000 });
  group.ring.hop(4);
  for (let i = 0; i < 10; i++) assert.ok(group.send(1, 10));
  assert.equal(group.send(1, 10), undefined);
  assert.ok(group.send(2, 3000));
  assert.equal(group.send(2, 2000), undefined);
  assert.equal(group.drains.size, 0);
  group.settle();
  assert.deepEqual([...group.drains].sort(), [
    [1, 1],
    [2, 1],
  ]);
  assert.ok(group.send(1, 10));
  assert.throws(() => group.send(1, 4001), { code: "RF_ARGUMENT" });
});

/** Of a token that holds nothing up. */
const VISIT = {
  now_ms: 0,
  confirmed: true,
  tokenReceived_ms: 0,
  removed: [],
  missedQuorum: false,
  lacking: new Set<number>(),
  leaving: false,
  lease_ms: 1,
  leaseValid: true,
  mayBeServedOutside: false,
  hasten: () => {},
};

test("what is sent may be changed by the sender, and what is delivered by the receiver", () => {
  const group = new Group([1, 2, 3]);
  group.ring.hop(3);
  const got: Uint8Array[] = [];
  const module = new Multicast({ self: 9, onDeliver: ({ bytes }) => got.push(bytes) });
  const bytes = Buffer.from("abc");
  module.send(bytes, "agreed");
  bytes.fill(0);
  const view = { epoch: 1, origin: 9, members: [{ nodeId: 9, incarnation: 1n, ready: true }], self: 9, quorate: true };
  module.onToken({ ...VISIT, self: 9, view }, undefined);
  assert.equal(Buffer.from(got[0] ?? []).toString(), "abc");
  const key = group.send(1, 1000);
  group.ring.wake(1);
  group.ring.hop(1);
  for (const id of ALL.slice(0, 3)) {
    for (const entry of group.log(id)) if (entry.type === "message") entry.delivery.bytes.fill(0xee);
  }
  group.ring.hop(1);
  assert.deepEqual(group.delivered(3), [key]);
});

test("a carriage that cannot be read is counted and carried on as it is", () => {
  const group = new Group(ALL);
  group.ring.hop(4);
  const broken = new Uint8Array(50).fill(0xff);
  group.ring.corrupt(1, () => broken);
  group.send(1, 100);
  group.ring.hop(4);
  assert.equal(group.ring.carriageAt(1), broken);
  assert.equal(group.counter("carriage_malformed"), 4);
});

test("a host whose call-back throws does not keep the others from theirs", () => {
  let delivered = 0;
  const module = new Multicast({
    self: 1,
    onDeliver: () => {
      delivered += 1;
      throw new Error("the host's");
    },
  });
  module.send(new Uint8Array(1), "agreed");
  module.send(new Uint8Array(1), "agreed");
  const view = { epoch: 1, origin: 1, members: [{ nodeId: 1, incarnation: 1n, ready: true }], self: 1, quorate: true };
  module.onToken({ ...VISIT, self: 1, view }, undefined);
  assert.equal(delivered, 2);
  assert.equal(module.counters.callback_failed, 2);
});

test("limits that cannot work are refused", () => {
  for (const bytesMax of [100, 10_000_000, Number.NaN]) {
    assert.throws(() => new Multicast({ self: 1, onDeliver: () => {}, bytesMax }), { code: "RF_ARGUMENT" });
  }
});

test("members that have no multicast are not waited for, but a message has been round before its sender has it", () => {
  const got: number[] = [];
  const outcomes: string[] = [];
  const module = new Multicast({
    self: 1,
    onDeliver: ({ bytes }) => got.push(bytes[0] ?? 0),
    onSettled: (_id, outcome) => outcomes.push(outcome),
  });
  const members = [1, 2].map((nodeId) => ({ nodeId, incarnation: 1n, ready: true }));
  const ctx = { ...VISIT, self: 1, view: { epoch: 1, origin: 1, members, self: 1, quorate: true } };
  module.send(Uint8Array.of(7), "agreed");
  const put = module.onToken(ctx, undefined);
  const waiting = module.onToken(ctx, put);
  assert.deepEqual(got, [], "node 2 may have multicast");
  module.send(Uint8Array.of(8), "safe");
  const after = module.onToken({ ...ctx, lacking: new Set([2]) }, waiting);
  assert.deepEqual(got, [7]);
  module.onToken({ ...ctx, lacking: new Set([2]) }, after);
  assert.deepEqual(got, [7, 8]);
  assert.deepEqual(outcomes, ["delivered", "delivered"]);
});

test("a node whose format is outdated settles what it has, hears of views, and begins anew should it be called again", () => {
  const got: number[] = [];
  const views: number[] = [];
  const outcomes: string[] = [];
  const module = new Multicast({
    self: 1,
    onDeliver: ({ bytes }) => got.push(bytes[0] ?? 0),
    onView: ({ epoch }) => views.push(epoch),
    onSettled: (_id, outcome) => outcomes.push(outcome),
  });
  const members = [1, 2].map((nodeId) => ({ nodeId, incarnation: 1n, ready: true }));
  const inView = (epoch: number) => ({
    ...VISIT,
    self: 1,
    view: { epoch, origin: 1, members, self: 1, quorate: true },
  });
  module.send(Uint8Array.of(7), "agreed");
  const put = module.onToken(inView(1), undefined);
  module.send(Uint8Array.of(8), "agreed");
  module.onLost(0);
  module.onOutdated(inView(2));
  assert.deepEqual(outcomes, ["unknown", "unsent"]);
  assert.equal(module.isIdle, true);
  module.onOutdated(inView(2));
  module.onToken(inView(3), put);
  assert.deepEqual(views, [1, 2, 3]);
  assert.deepEqual(got, []);
});
