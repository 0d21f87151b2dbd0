// Shared carriages, case by case.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeShared, encodeShared } from "../../../lib/raincore/carriages/codec.js";
import { SharedCarriages, type UpdateResult } from "../../../lib/raincore/carriages/sharedCarriages.js";
import { TokenRing } from "../multicast/tokenRing.js";

interface Told {
  readonly changes: string[];
  readonly results: UpdateResult[];
}

function makeRing(nodeIds: readonly number[], limits: { bytesMax?: number; names_max?: number } = {}) {
  const told = new Map<number, Told>(nodeIds.map((node) => [node, { changes: [], results: [] }]));
  const toldTo = (node: number): Told => told.get(node) ?? { changes: [], results: [] };
  const ring = new TokenRing<SharedCarriages>(nodeIds, {
    create: (self) =>
      new SharedCarriages({
        self,
        ...limits,
        onChange: (name, version, bytes) => {
          toldTo(self).changes.push(`${name} ${version} ${bytes === undefined ? "removed" : Buffer.from(bytes)}`);
        },
        onSettled: (_id, result) => toldTo(self).results.push(result),
      }),
  });
  return { ring, toldTo };
}

const text = (value: string) => Buffer.from(value);

test("a value that is set by one member is reported on all, and settled when all have seen it", () => {
  const { ring, toldTo } = makeRing([1, 2, 3]);
  ring.module(2).update("x-mode", 0, text("on"));
  ring.hop(7);
  for (const node of [1, 2, 3]) assert.deepEqual(toldTo(node).changes, ["x-mode 1 on"]);
  assert.deepEqual(toldTo(2).results, [{ ok: true, version: 1 }]);
});

test("of two updates of the same version one wins, and the other is told the version that won", () => {
  const { ring, toldTo } = makeRing([1, 2]);
  ring.module(1).update("x-mode", 0, text("a"));
  ring.module(2).update("x-mode", 0, text("b"));
  ring.hop(6);
  const results = [...toldTo(1).results, ...toldTo(2).results];
  assert.deepEqual(
    results.filter(({ ok }) => ok),
    [{ ok: true, version: 1 }],
  );
  assert.deepEqual(
    results.filter(({ ok }) => !ok),
    [{ ok: false, cause: "version", version: 1 }],
  );
});

test("a node alone has its update at once", () => {
  const { ring, toldTo } = makeRing([1]);
  ring.module(1).update("x-mode", 0, text("a"));
  ring.wake(1);
  assert.deepEqual(toldTo(1).results, [{ ok: true, version: 1 }]);
  assert.equal(ring.module(1).get("x-mode")?.version, 1);
});

test("a removal is reported on all and then leaves no trace but the version, which is not used again", () => {
  const { ring, toldTo } = makeRing([1, 2, 3]);
  ring.module(1).update("x-mode", 0, text("a"));
  ring.hop(8);
  ring.module(3).remove("x-mode", 1);
  ring.hop(12);
  assert.deepEqual(toldTo(2).changes, ["x-mode 1 a", "x-mode 2 removed"]);
  assert.equal(decodeShared(ring.carriageAt(1) ?? text(""))?.entries.size, 0);
  ring.module(2).update("x-mode", 0, text("b"));
  ring.hop(8);
  assert.equal(toldTo(1).changes.at(-1), "x-mode 3 b");
});

test("a joiner hears of all values, and one that is back hears of what was removed meanwhile", () => {
  const { ring, toldTo } = makeRing([1, 2, 3]);
  ring.module(1).update("x-a", 0, text("a"));
  ring.module(1).update("x-b", 0, text("b"));
  ring.hop(8);
  ring.lose(3);
  ring.hop(6);
  ring.module(1).remove("x-a", 1);
  ring.hop(12);
  ring.join(3);
  ring.hop(6);
  assert.deepEqual(toldTo(3).changes, ["x-a 1 a", "x-b 2 b", "x-a 3 removed", "x-b 2 b"]);
});

test("after a merge the greater group's values are everybody's", () => {
  const { ring, toldTo } = makeRing([1, 2, 3]);
  ring.hop(6);
  ring.part([1]);
  ring.hop(6);
  ring.module(1).update("x-a", 0, text("alone"));
  ring.module(2).update("x-b", 0, text("both"));
  ring.hop(8);
  assert.deepEqual(ring.module(1).names(), ["x-a"]);
  ring.merge();
  ring.hop(8);
  for (const node of [1, 2, 3]) assert.deepEqual(ring.module(node).names(), ["x-b"]);
  assert.deepEqual(toldTo(1).changes, ["x-a 1 alone", "x-a 1 removed", "x-b 1 both"]);
});

test("a version that was known in an earlier membership changes nothing in a later one", () => {
  const { ring, toldTo } = makeRing([1, 2]);
  ring.module(1).update("x-a", 0, text("a"));
  ring.hop(6);
  ring.lose(2);
  ring.module(2).update("x-a", 1, text("b"));
  ring.join(2);
  ring.hop(6);
  assert.deepEqual(toldTo(2).results, [{ ok: false, cause: "lost" }]);
  assert.equal(ring.module(1).get("x-a")?.version, 1);
});

test("a leaver's update that is not out is lost, and it says so", () => {
  const { ring, toldTo } = makeRing([1, 2]);
  ring.hop(4);
  ring.leave(2);
  ring.module(2).update("x-a", 0, text("a"));
  ring.hop(4);
  assert.deepEqual(toldTo(2).results, [{ ok: false, cause: "lost" }]);
  assert.deepEqual(toldTo(1).changes, []);
});

test("too many names or bytes are refused as a limit", () => {
  const { ring, toldTo } = makeRing([1, 2], { bytesMax: 4096, names_max: 2 });
  ring.module(1).update("x-a", 0, new Uint8Array(2000));
  ring.module(1).update("x-b", 0, new Uint8Array(1000));
  ring.module(1).update("x-c", 0, text("c"));
  ring.module(1).update("x-d", 0, text("d"));
  ring.hop(6);
  const results = toldTo(1).results.map((result) => (result.ok ? "ok" : result.cause));
  assert.deepEqual(results, ["limit", "limit", "ok", "ok"]);
  assert.deepEqual(ring.module(2).names(), ["x-b", "x-c"]);
  assert.ok((ring.carriageAt(1)?.length ?? 0) <= 4096);
});

test("the queue of updates is bounded", () => {
  const { ring } = makeRing([1]);
  const ids = Array.from({ length: 300 }, () => ring.module(1).update("x-a", 0, text("a")));
  assert.equal(ids.filter((id) => id === undefined).length, 300 - 256);
});

test("a bad name, a bad version or too many bytes are the caller's mistake", () => {
  const shared = new SharedCarriages({ self: 1, onChange: () => {} });
  assert.throws(() => shared.update("X", 0, text("a")), { code: "RF_ARGUMENT" });
  assert.throws(() => shared.update("x-a", -1, text("a")), { code: "RF_ARGUMENT" });
  assert.throws(() => shared.update("x-a", 0, new Uint8Array(20_000)), { code: "RF_ARGUMENT" });
  assert.throws(() => shared.remove("x-a", 0), { code: "RF_ARGUMENT" });
  assert.throws(() => new SharedCarriages({ self: 1, onChange: () => {}, bytesMax: 100 }), { code: "RF_ARGUMENT" });
});

test("a carriage that cannot be read is counted and carried on as it is", () => {
  const { ring } = makeRing([1, 2]);
  const broken = text("no such table, this");
  ring.corrupt(1, () => broken);
  ring.module(1).update("x-a", 0, text("a"));
  ring.hop(2);
  assert.equal(ring.carriageAt(1), broken);
  assert.ok((ring.module(1).counters.carriage_malformed ?? 0) > 0);
});

test("no bytes make the decoder throw, and what it accepts it writes again in the same way", () => {
  const table = {
    last: 2 ** 40,
    seen: new Map([[1, 7]]),
    entries: new Map([["x-a", { name: "x-a", version: 7, writer: 1, bytes: text("abc") }]]),
  };
  const good = encodeShared(table);
  assert.deepEqual(encodeShared(decodeShared(good) ?? table), good);
  const flip = fc.tuple(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), flip), (drawn) => {
      const bytes = drawn instanceof Uint8Array ? drawn : withByte(good, drawn);
      const decoded = decodeShared(bytes);
      if (decoded !== undefined) assert.deepEqual(encodeShared(decoded), new Uint8Array(bytes));
    }),
    { numRuns: 2000 },
  );
});

function withByte(bytes: Uint8Array, [at, value, length]: readonly [number, number, number]): Uint8Array {
  const changed = new Uint8Array(bytes);
  changed[at] = value;
  return changed.slice(0, length === 0 ? bytes.length : length);
}
