import assert from "node:assert/strict";
import { test } from "node:test";
import { decide, MOVE_GUARD_MS, type Situation, type VipRecord } from "../../lib/vip/policy.js";

const LEASE_MS = 180;

function vip(change: Partial<VipRecord> = {}): VipRecord {
  return {
    address: "192.0.2.101",
    segment: "external",
    currentHost: 1,
    preferredHost: 0,
    persistence: 0,
    version: 1,
    wait_ms: 0,
    ...change,
  };
}

interface Scene {
  readonly self?: number;
  readonly members?: readonly number[];
  readonly ready?: readonly number[];
  readonly removed?: readonly (readonly [number, number])[];
  readonly absent?: readonly (readonly [number, number])[];
  readonly returning?: readonly number[];
  readonly leaving?: boolean;
  readonly quorate?: boolean;
  readonly ownWait_ms?: number;
}

function scene({
  self = 1,
  members = [1, 2, 3],
  ready = members,
  removed = [],
  absent = [],
  returning = [],
  leaving = false,
  quorate = true,
  ownWait_ms = 0,
}: Scene): Situation {
  return {
    self,
    members: new Set(members),
    ready: new Set(ready),
    removed: new Map(removed),
    absent: new Map(absent),
    returning: new Set(returning),
    leaving,
    quorate,
    lease_ms: LEASE_MS,
    ownWait_ms: () => ownWait_ms,
  };
}

function decideOne(record: VipRecord, at: Scene): VipRecord {
  const [decided] = decide([record], scene(at));
  assert.ok(decided);
  return decided;
}

// The patent's Table 1, with .5 as node 5 and .6 as node 6.
const TABLE_1: readonly VipRecord[] = [
  vip({ address: "1.1.1.1", currentHost: 5, preferredHost: 6, persistence: 0 }),
  vip({ address: "1.1.1.2", currentHost: 5, preferredHost: 5, persistence: 1 }),
  vip({ address: "1.1.1.3", currentHost: 6, preferredHost: 0, persistence: 0 }),
  vip({ address: "1.1.1.4", currentHost: 6, preferredHost: 6, persistence: 3 }),
];

test("Table 1: the owner of 1.1.1.1 hands it to the host it prefers, and nothing else moves", () => {
  const at = scene({ self: 5, members: [5, 6] });
  const hosts = decide(TABLE_1, at).map((record) => record.currentHost);
  assert.deepEqual(hosts, [6, 5, 6, 6]);
});

test("Table 1: when node 5 fails, its VIPs go to node 6, and the sticky one sticks there", () => {
  const at = scene({ self: 6, members: [6], removed: [[5, 100]] });
  const decided = decide(TABLE_1, at);
  assert.deepEqual(
    decided.map((record) => record.currentHost),
    [6, 6, 6, 6],
  );
  assert.equal(decided[1]?.preferredHost, 6);
});

test("Table 1: when node 6 fails, the VIP of flag 3 goes to node 5 and keeps its preference", () => {
  const at = scene({ self: 5, members: [5], removed: [[6, 100]] });
  const decided = decide(TABLE_1, at);
  assert.deepEqual(
    decided.map((record) => record.currentHost),
    [5, 5, 5, 5],
  );
  assert.equal(decided[3]?.preferredHost, 6);
  assert.equal(decided[0]?.preferredHost, 0, "the wish of 1.1.1.1 for node 6 is gone");
});

test("flag 3 returns to its preferred host as soon as that is ready, not before", () => {
  const record = vip({ currentHost: 1, preferredHost: 2, persistence: 3 });
  assert.equal(decideOne(record, { ready: [1, 3] }).currentHost, 1);
  assert.equal(decideOne(record, { ready: [1, 2, 3] }).currentHost, 2);
});

test("flag 1 stays with the host it failed over to, also when the old one is back", () => {
  const failed = vip({ currentHost: 2, preferredHost: 2, persistence: 1 });
  const moved = decideOne(failed, { members: [1, 3], removed: [[2, 50]] });
  assert.equal(moved.currentHost, 1);
  assert.equal(decideOne(moved, { members: [1, 2, 3] }).currentHost, 1);
});

test("flag 1 forgets a pending move to a host that fails", () => {
  const record = vip({ currentHost: 1, preferredHost: 2, persistence: 1 });
  assert.equal(decideOne(record, { members: [1, 3], removed: [[2, 50]] }).preferredHost, 1);
});

test("the first placement of a flag 1 VIP is no fail-over: it goes to its preferred host once that is ready", () => {
  const fresh = vip({ currentHost: 0, preferredHost: 2, persistence: 1, version: 0 });
  const placed = decideOne(fresh, { ready: [1] });
  assert.deepEqual([placed.currentHost, placed.preferredHost], [1, 2]);
  assert.equal(decideOne(placed, {}).currentHost, 2);
});

test("flags 1 and 3 without a preferred host take the first one they get", () => {
  for (const persistence of [1, 3] as const) {
    const placed = decideOne(vip({ currentHost: 0, persistence, version: 0 }), { ready: [3] });
    assert.deepEqual([placed.currentHost, placed.preferredHost], [3, 3]);
    const owned = decideOne(vip({ currentHost: 1, persistence }), {});
    assert.equal(owned.preferredHost, 1);
  }
});

test("a flag 0 wish is fulfilled once and then gone", () => {
  const moved = decideOne(vip({ preferredHost: 3 }), {});
  assert.deepEqual([moved.currentHost, moved.preferredHost, moved.version, moved.wait_ms], [3, 0, 2, MOVE_GUARD_MS]);
  assert.equal(decideOne(vip({ preferredHost: 1 }), {}).preferredHost, 0);
  assert.equal(decideOne(vip({ currentHost: 0, preferredHost: 2 }), {}).preferredHost, 0);
});

test("only the owner moves a VIP", () => {
  assert.equal(decideOne(vip({ currentHost: 2, preferredHost: 3 }), { self: 1 }).currentHost, 2);
});

test("an orphan goes at once to the ready member with the fewest VIPs of its segment, and waits out the old lease", () => {
  const records = [
    vip({ address: "a", currentHost: 1 }),
    vip({ address: "b", currentHost: 2 }),
    vip({ address: "c", currentHost: 4, version: 6 }),
    vip({ address: "d", currentHost: 3, segment: "internal" }),
  ];
  const decided = decide(records, scene({ removed: [[4, 120]] }))[2];
  assert.deepEqual([decided?.currentHost, decided?.version, decided?.wait_ms], [3, 7, 120]);
});

test("members that are equal in a segment are told apart by all their VIPs", () => {
  const records = [vip({ address: "a", currentHost: 1 }), vip({ address: "b", segment: "internal", currentHost: 0 })];
  assert.equal(decide(records, scene({ members: [1, 2] }))[1]?.currentHost, 2);
});

test("an orphan that nobody is ready for keeps its wait until somebody is", () => {
  const orphan = decideOne(vip({ currentHost: 2 }), { members: [1], ready: [], removed: [[2, 70]] });
  assert.deepEqual([orphan.currentHost, orphan.wait_ms], [0, 70]);
  assert.equal(decideOne(orphan, { members: [1] }).wait_ms, 70);
});

test("an owner of whom nothing is known costs a whole lease", () => {
  assert.equal(decideOne(vip({ currentHost: 9 }), {}).wait_ms, LEASE_MS);
});

test("an earlier, longer wait is not shortened when the next owner fails, too", () => {
  assert.equal(decideOne(vip({ currentHost: 2, wait_ms: 150 }), { members: [1, 3], removed: [[2, 60]] }).wait_ms, 150);
});

test("an owner that still waits itself passes the rest of its wait on", () => {
  assert.equal(decideOne(vip({ preferredHost: 3 }), { ownWait_ms: 90 }).wait_ms, 90);
});

test("a member that came back without its state loses its VIPs like one that failed", () => {
  const decided = decideOne(vip({ currentHost: 2 }), { members: [1, 2, 3], ready: [1, 3], removed: [[2, 80]] });
  assert.deepEqual([decided.currentHost, decided.wait_ms], [1, 80]);
});

test("a group without quorum takes every VIP from its owner, and gives it to nobody", () => {
  const without = { quorate: false, members: [1, 2], removed: [[3, 80]] as const };
  for (const owner of [0, 1, 2, 3]) {
    const { currentHost, wait_ms } = decideOne(vip({ currentHost: owner }), without);
    assert.deepEqual([currentHost, wait_ms], [0, LEASE_MS], `owner ${owner}: another group may have been quorate`);
  }
});

test("a leaving owner gives everything away at once", () => {
  const decided = decideOne(vip({ persistence: 3, preferredHost: 1 }), { members: [2, 3], leaving: true });
  assert.deepEqual([decided.currentHost, decided.wait_ms], [2, MOVE_GUARD_MS]);
});

test("an owner with two more VIPs of a segment gives one per visit away, and stops at a difference of one", () => {
  let records: readonly VipRecord[] = ["a", "b", "c", "d"].map((address) => vip({ address }));
  const ownedBySelf = () => records.filter((record) => record.currentHost === 1).length;
  const history = [];
  for (let visit = 0; visit < 4; visit++) {
    records = decide(records, scene({ members: [1, 2] }));
    history.push(ownedBySelf());
  }
  assert.deepEqual(history, [3, 2, 2, 2]);
});

test("spreading leaves sticky VIPs and those with a wish alone", () => {
  const records = [
    vip({ address: "a", persistence: 1, preferredHost: 1 }),
    vip({ address: "b", persistence: 3, preferredHost: 1 }),
    vip({ address: "c", preferredHost: 9 }),
  ];
  assert.deepEqual(decide(records, scene({ members: [1, 2] })), records);
});

test("the VIPs of an absent node stay its own, whether it left, was removed, or leaves now", () => {
  const record = vip({ currentHost: 3 });
  assert.deepEqual(decideOne(record, { members: [1, 2], absent: [[3, 5000]] }), record);
  assert.deepEqual(decideOne(record, { members: [1, 2], absent: [[3, 5000]], removed: [[3, 100]] }), record);
  assert.deepEqual(decideOne(record, { self: 3, absent: [[3, 5000]], leaving: true }), record);
  const after = decideOne(record, { members: [1, 2] });
  assert.deepEqual([after.currentHost, after.wait_ms], [1, LEASE_MS]);
});

test("a group that loses its quorum while a node is absent leaves it what is its own, and takes it when the time is over", () => {
  const record = vip({ currentHost: 3 });
  assert.deepEqual(decideOne(record, { members: [1], absent: [[3, 5000]], quorate: false }), record);
  const before = decideOne(record, { members: [1, 3], absent: [[3, 5000]], quorate: false });
  assert.deepEqual(before, record, "it has been let go, and has not left yet");
  for (const at of [{ members: [1] }, { members: [1, 3], absent: [[3, 5000]], returning: [3] }] as const) {
    const renounced = decideOne(record, { ...at, quorate: false });
    assert.deepEqual([renounced.currentHost, renounced.wait_ms], [0, LEASE_MS]);
  }
});

test("an absent node gives nothing away, before it leaves and until all know that it is back", () => {
  const wished = vip({ preferredHost: 2, persistence: 3 });
  assert.deepEqual(decideOne(wished, { absent: [[1, 5000]] }), wished);
  assert.equal(decideOne(wished, {}).currentHost, 2);
  const free = ["192.0.2.101", "192.0.2.102"].map((address) => vip({ address }));
  assert.deepEqual(decide(free, scene({ absent: [[1, 5000]] })), free);
});

test("an absent node is given nothing, though it is a ready member still, or again", () => {
  const absent = [[2, 5000]] as const;
  assert.equal(decideOne(vip({ preferredHost: 2, persistence: 3 }), { absent }).currentHost, 1);
  const orphan = vip({ currentHost: 0, preferredHost: 2 });
  assert.equal(decideOne(orphan, { members: [2, 3], self: 3, absent }).currentHost, 3);
  assert.equal(decideOne(vip({ currentHost: 0 }), { members: [2, 3], self: 3, absent }).currentHost, 3);
});
