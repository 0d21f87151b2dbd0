import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { TokenContext } from "../../lib/raincore/types.js";
import { decodeTable, encodeTable } from "../../lib/vip/codec.js";
import { type VipConfig, VipModule, type VipRecord } from "../../lib/vip/vipTable.js";

const VIPS: readonly VipConfig[] = [
  { address: "192.0.2.101", segment: "external", preferredHost: 0, persistence: 0 },
  { address: "10.77.0.101", segment: "internal", preferredHost: 2, persistence: 3 },
];
const [EXTERNAL, INTERNAL] = ["192.0.2.101", "10.77.0.101"];

function context(self: number, now_ms: number, change: Partial<TokenContext> = {}, memberIds = [1, 2]): TokenContext {
  const members = memberIds.map((nodeId) => ({ nodeId, incarnation: 1n, ready: true }));
  return {
    now_ms,
    self,
    view: { epoch: 1, origin: 1, members, self, quorate: true },
    confirmed: true,
    tokenReceived_ms: now_ms,
    removed: [],
    missedQuorum: false,
    lacking: new Set(),
    leaving: false,
    lease_ms: 180,
    leaseValid: true,
    mayBeServedOutside: false,
    hasten: () => {},
    ...change,
  };
}

function newModule(self: number, vips = VIPS) {
  const counts = { changes: 0 };
  const module = new VipModule({
    self,
    vips,
    onChange: () => {
      counts.changes += 1;
    },
  });
  return { module, counts };
}

function hostsOf(records: readonly VipRecord[]): number[] {
  return records.map((record) => record.currentHost);
}

test("before the first token the table is the configuration, without owners", () => {
  const { module } = newModule(1);
  assert.deepEqual(hostsOf(module.table()), [0, 0]);
  assert.equal(module.answers.size, 0);
});

test("the first holder places every VIP and answers for its own", () => {
  const { module } = newModule(1);
  const table = decodeTable(module.onToken(context(1, 1000), undefined));
  assert.deepEqual(hostsOf(table ?? []), [1, 2]);
  assert.deepEqual([...module.answers.keys()], [EXTERNAL]);
});

test("the wait of a new owner runs from its first sight, however often the token comes", () => {
  const { module } = newModule(2);
  const record = { ...VIPS[0], currentHost: 2, version: 4, wait_ms: 50 } as VipRecord;
  let bytes = module.onToken(context(2, 1000), encodeTable([record]));
  assert.equal(module.answers.get(EXTERNAL)?.from_ms, 1050);
  bytes = module.onToken(context(2, 1030), bytes);
  assert.equal(module.answers.get(EXTERNAL)?.from_ms, 1050);
  assert.equal(decodeTable(bytes)?.[0]?.wait_ms, 20);
});

test("a VIP that comes in a view that is not confirmed yet is answered when it is, and one that this node has as before", () => {
  const { module } = newModule(2);
  const had = { ...VIPS[0], currentHost: 2, version: 4, wait_ms: 0 } as VipRecord;
  module.onToken(context(2, 1000), encodeTable([had]));
  const taken = { ...VIPS[1], currentHost: 2, version: 9, wait_ms: 50 } as VipRecord;
  let hastened = 0;
  const visit = (now_ms: number, confirmed: boolean, bytes: Uint8Array) =>
    module.onToken(context(2, now_ms, { confirmed, hasten: () => (hastened += 1) }), bytes);
  const bytes = visit(1010, false, encodeTable([had, taken]));
  assert.deepEqual([...module.answers.keys()], [EXTERNAL]);
  assert.ok(hastened > 0 && !module.isIdle, "the next round is wanted");
  const later = visit(1012, false, bytes);
  assert.deepEqual([...module.answers.keys()], [EXTERNAL]);
  visit(1013, true, later);
  assert.equal(module.answers.get(INTERNAL)?.from_ms, 1060, "the wait has begun before");
  assert.equal(module.answers.get(EXTERNAL)?.from_ms, 1000);
});

test("a VIP that the table gives to another is not answered any more, and the change is told before the token goes on", () => {
  const { module, counts } = newModule(1);
  const bytes = module.onToken(context(1, 0), undefined);
  const [first, second] = decodeTable(bytes) ?? [];
  assert.ok(first && second);
  counts.changes = 0;
  module.onToken(context(1, 10), encodeTable([{ ...first, currentHost: 2, version: 2 }, second]));
  assert.equal(module.answers.has(EXTERNAL), false);
  assert.equal(counts.changes, 1);
});

test("a table that changes nothing goes on as the same bytes, without a call", () => {
  const { module, counts } = newModule(1);
  const bytes = module.onToken(context(1, 0), undefined);
  const settled = module.onToken(context(1, 10), bytes);
  counts.changes = 0;
  assert.equal(module.onToken(context(1, 20), settled), settled);
  assert.equal(counts.changes, 0);
});

test("a requested move is applied at the next token, and an unknown VIP is refused", () => {
  const { module } = newModule(1);
  const bytes = module.onToken(context(1, 0), undefined);
  assert.equal(module.requestMove("192.0.2.250", 2), false);
  assert.equal(module.requestMove(EXTERNAL, 2), true);
  const table = decodeTable(module.onToken(context(1, 10), bytes));
  assert.equal(table?.[0]?.currentHost, 2);
  assert.equal(module.answers.size, 0);
});

test("an assignment that is passed on before its wait began keeps the whole wait", () => {
  const { module } = newModule(1);
  module.requestMove(EXTERNAL, 2);
  const record = { ...VIPS[0], currentHost: 1, version: 4, wait_ms: 140 } as VipRecord;
  const table = decodeTable(module.onToken(context(1, 0), encodeTable([record])));
  assert.deepEqual([table?.[0]?.currentHost, table?.[0]?.wait_ms], [2, 140]);
});

test("a table from before an assignment that we saw starts a new version after a whole lease", () => {
  const { module } = newModule(1);
  const record = { ...VIPS[0], currentHost: 2, version: 5, wait_ms: 0 } as VipRecord;
  module.onToken(context(1, 0), encodeTable([record]));
  const bytes = module.onToken(context(1, 10), encodeTable([{ ...record, currentHost: 1, version: 4 }]));
  const older = decodeTable(bytes);
  assert.deepEqual([older?.[0]?.version, older?.[0]?.wait_ms], [6, 180]);
  module.onToken(context(1, 150), bytes);
  assert.equal(module.answers.get(EXTERNAL)?.from_ms, 190);
});

test("a VIP that is this node's later is given to the data plane when the token comes shortly before", () => {
  const { module, counts } = newModule(1);
  const record = { ...VIPS[0], currentHost: 2, version: 5, wait_ms: 0 } as VipRecord;
  const removed = [{ nodeId: 2, leaseEnd_ms: 1180 }];
  let bytes = module.onToken(context(1, 1000, { removed }, [1]), encodeTable([record]));
  assert.deepEqual(hostsOf(module.table()), [1, 1]);
  for (const now_ms of [1030, 1089]) {
    bytes = module.onToken(context(1, now_ms, {}, [1]), bytes);
    assert.equal(module.answers.has(EXTERNAL), false, `${now_ms}`);
    assert.equal(module.isIdle, false, "it has to see the token again");
  }
  const before = counts.changes;
  bytes = module.onToken(context(1, 1090, {}, [1]), bytes);
  assert.equal(module.answers.get(EXTERNAL)?.from_ms, 1180);
  assert.equal(counts.changes, before + 1);
});

test("a carriage that is no table is left alone, and nothing changes hands", () => {
  const { module } = newModule(1);
  module.onToken(context(1, 0), undefined);
  const rubbish = Uint8Array.of(1, 0, 9, 9);
  assert.equal(module.onToken(context(1, 10, {}, [1]), rubbish), rubbish);
  assert.equal(module.malformedCarriages, 1);
  assert.deepEqual([...module.answers.keys()], [EXTERNAL]);
});

test("a node that lost its place answers for nothing, and starts afresh when it is back", () => {
  const { module } = newModule(1);
  const bytes = module.onToken(context(1, 0), undefined);
  module.onLost(5);
  assert.equal(module.answers.size, 0);
  module.onToken(context(1, 100), bytes);
  assert.equal(module.answers.get(EXTERNAL)?.from_ms, 100);
});

test("VIPs that only this node's configuration has are added to the table", () => {
  const { module } = newModule(1);
  const carried = [{ ...VIPS[1], currentHost: 2, version: 3, wait_ms: 0 } as VipRecord];
  const table = decodeTable(module.onToken(context(1, 0), encodeTable(carried)));
  assert.deepEqual(
    table?.map((record) => record.address),
    [INTERNAL, EXTERNAL],
  );
});

test("a leaving node gives its VIPs to the others and answers for none", () => {
  const { module } = newModule(1);
  const bytes = module.onToken(context(1, 0), undefined);
  const table = decodeTable(module.onToken(context(1, 10, { leaving: true }, [2]), bytes));
  assert.deepEqual(hostsOf(table ?? []), [2, 2]);
  assert.equal(module.answers.size, 0);
});

test("a table survives its way over the wire, and damaged tables are refused without an exception", () => {
  const records = VIPS.map((vip, index) => ({ ...vip, currentHost: index, version: 2 ** 32 - 1, wait_ms: 1.25 }));
  const bytes = encodeTable(records);
  assert.deepEqual(decodeTable(bytes), records);
  for (let length = 0; length < bytes.length; length++) assert.equal(decodeTable(bytes.subarray(0, length)), undefined);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (tail) => {
      decodeTable(Uint8Array.of(1, ...tail));
    }),
    { numRuns: 500, seed: 1 },
  );
});

test("negative waits, unknown flags, unknown formats and double addresses are no table", () => {
  const record = { ...VIPS[0], currentHost: 1, version: 1, wait_ms: 0 } as VipRecord;
  const unknownFlag = { ...record, persistence: 2 } as unknown as VipRecord;
  for (const bad of [[{ ...record, wait_ms: -1 }], [unknownFlag], [record, record]]) {
    assert.equal(decodeTable(encodeTable(bad)), undefined);
  }
  assert.equal(decodeTable(Uint8Array.of(9, 0, 0)), undefined);
});

test("an owner's changed flag takes effect, another node's does not", () => {
  const carried = encodeTable([{ ...VIPS[0], currentHost: 1, version: 4, wait_ms: 0 } as VipRecord]);
  const changed = [{ ...(VIPS[0] as VipConfig), persistence: 1 as const }];
  const flagAt = (self: number) =>
    decodeTable(newModule(self, changed).module.onToken(context(self, 1000), carried))?.[0]?.persistence;
  assert.equal(flagAt(1), 1);
  assert.equal(flagAt(2), 0);
});

test("VIPs that would make the table too large to carry are left out, and the others go on", () => {
  const many = (octet: number) =>
    Array.from({ length: 800 }, (_, n): VipConfig => {
      const address = `10.${octet}.${n >> 8}.${n & 0xff}`;
      return { address, segment: "internal", preferredHost: 0, persistence: 0 };
    });
  const first = newModule(1, many(1)).module.onToken(context(1, 1000), undefined);
  const both = newModule(2, many(2)).module.onToken(context(2, 1000), first);
  assert.equal(decodeTable(both)?.length, 1024);
});

test("a node whose VIPs may be served outside of its view gives them away with a whole lease to wait", () => {
  for (const [leaseValid, mayBeServedOutside, wait_ms] of [
    [true, false, 5],
    [false, false, 5],
    [false, true, 180],
  ] as const) {
    const { module } = newModule(1);
    const alone = module.onToken(context(1, 0, {}, [1]), undefined);
    assert.deepEqual(hostsOf(module.table()), [1, 1]);
    module.onToken(context(1, 1000, { leaseValid, mayBeServedOutside }), alone);
    const internal = module.table().find(({ address }) => address === INTERNAL);
    assert.deepEqual(
      [internal?.currentHost, internal?.wait_ms],
      [2, wait_ms],
      `lease: ${leaseValid}, outside: ${mayBeServedOutside}`,
    );
  }
});

test("VIPs go to no member that is known to have no table, and away from one that has none any more", () => {
  const { module } = newModule(1);
  const table = encodeTable([{ ...VIPS[0], currentHost: 2, version: 3, wait_ms: 0 } as VipRecord]);
  const bytes = module.onToken(context(1, 1000, { lacking: new Set([2]) }), table);
  const records = decodeTable(bytes) ?? [];
  assert.deepEqual(new Set(records.map(({ currentHost }) => currentHost)), new Set([1]));
  assert.equal(records.find(({ address }) => address === VIPS[0]?.address)?.wait_ms, 180);
});

test("a module that is passed by answers only for what the table says is its own, and for nothing without a quorum", () => {
  for (const cause of ["nothing", "table", "quorum"]) {
    const { module, counts } = newModule(1);
    const bytes = module.onToken(context(1, 1000, {}, [1]), undefined);
    assert.equal(module.answers.size, VIPS.length);
    const before = counts.changes;
    const other = (decodeTable(bytes) ?? []).map((record) => ({ ...record, currentHost: 2, version: 9 }));
    const view = { epoch: 1, origin: 1, members: [], self: 1, quorate: cause !== "quorum" };
    module.onPassedBy(context(1, 1001, { view }), cause === "table" ? encodeTable(other) : bytes);
    assert.equal(module.answers.size, cause === "nothing" ? VIPS.length : 0);
    assert.equal(counts.changes - before, cause === "nothing" ? 0 : 1);
  }
});

test("VIPs whose module missed a view without a quorum have no owner for a lease", () => {
  const { module } = newModule(1);
  const bytes = module.onToken(context(1, 1000, {}, [1]), undefined);
  const after = decodeTable(module.onToken(context(1, 1001, { missedQuorum: true }, [1]), bytes)) ?? [];
  assert.deepEqual(
    after.map(({ wait_ms }) => wait_ms),
    VIPS.map(() => 180),
  );
  for (const { from_ms } of module.answers.values()) assert.equal(from_ms, 1181);
});

test("a member that is removed before all have heard of an assignment is waited for as the former owner is", () => {
  for (const confirmed of [false, true]) {
    const { module } = newModule(1);
    const table = encodeTable(VIPS.map((vip) => ({ ...vip, currentHost: 2, version: 3, wait_ms: 0 }) as VipRecord));
    const first = module.onToken(
      context(1, 1000, { confirmed, removed: [{ nodeId: 2, leaseEnd_ms: 1100 }] }, [1, 3]),
      table,
    );
    const second = context(1, 1050, { confirmed: false, removed: [{ nodeId: 3, leaseEnd_ms: 1230 }] }, [1]);
    module.onToken(second, first);
    const record = module.table().find(({ address }) => address === EXTERNAL);
    assert.deepEqual([record?.currentHost, record?.version, record?.wait_ms], confirmed ? [1, 4, 50] : [1, 5, 180]);
  }
});

/** Node 3 is absent, and has the external VIP; node 1 knows, has lost its place, and comes into a group in which the VIP is as `taken` says. */
function backInAGroup(taken: Partial<VipRecord>, recalled: readonly number[]): readonly VipRecord[] {
  const told: number[] = [];
  const module = new VipModule({
    self: 1,
    vips: VIPS,
    absent: () => new Map([[3, 5000]]),
    recalled: () => new Set(told),
  });
  const external = { ...VIPS[0], currentHost: 3, version: 7, wait_ms: 0 } as VipRecord;
  const internal = { ...VIPS[1], currentHost: 2, version: 4, wait_ms: 0 } as VipRecord;
  module.onToken(context(1, 1000), encodeTable([external, internal]));
  module.onLost(1100);
  told.push(...recalled);
  const table = encodeTable([
    { ...external, ...taken },
    { ...internal, version: 5 },
  ]);
  return decodeTable(module.onToken(context(1, 1200), table)) ?? [];
}

for (const [what, taken] of [
  ["an orphan", { currentHost: 0, wait_ms: 180 }],
  ["another's", { currentHost: 2, version: 8, wait_ms: 150 }],
  ["that of a table that has begun anew", { currentHost: 2, version: 1, wait_ms: 150 }],
] as const) {
  test(`what an absent node had goes back to it where the group had not heard of that and its VIP is ${what}`, () => {
    const [external, internal] = backInAGroup(taken, [3]);
    assert.equal(external?.currentHost, 3);
    assert.equal(external?.wait_ms, 0, "its data plane answers all the time");
    assert.ok(
      (external?.version ?? 0) > Math.max(7, "version" in taken ? taken.version : 0),
      "whoever was to have it hears",
    );
    assert.deepEqual([internal?.currentHost, internal?.version], [2, 5], "no other VIP is touched");
  });
}

test("a group that knows of an absence has the newer table", () => {
  const [external] = backInAGroup({ currentHost: 2, version: 8 }, []);
  assert.equal(external?.currentHost, 2);
});
