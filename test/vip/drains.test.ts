// Nodes that drain: what travels on the token, and what becomes of their VIPs.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Member, TokenContext } from "../../lib/raincore/types.js";
import { decodeTable } from "../../lib/vip/codec.js";
import { Drains } from "../../lib/vip/drains.js";
import { VipModule } from "../../lib/vip/vipTable.js";

const member = (nodeId: number, change: Partial<Member> = {}): Member => ({
  nodeId,
  incarnation: 1n,
  ready: true,
  ...change,
});

function context(self: number, members: readonly Member[]): TokenContext & { readonly hastened: () => number } {
  let hastened = 0;
  return {
    now_ms: 1000,
    self,
    view: { epoch: 1, origin: 1, members, self, quorate: true },
    confirmed: true,
    tokenReceived_ms: 1000,
    removed: [],
    missedQuorum: false,
    lacking: new Set(),
    leaving: false,
    lease_ms: 180,
    leaseValid: true,
    mayBeServedOutside: false,
    hasten: () => {
      hastened += 1;
    },
    hastened: () => hastened,
  };
}

function newDrains(self: number) {
  const seen: number[][] = [];
  const drains: Drains = new Drains({ self, onChange: () => seen.push([...drains.draining]) });
  return { drains, seen };
}

const ALL = [member(1), member(2), member(3)];

describe("drains", () => {
  it("are asked for at any node, and known to all by the token, which makes one round for it at once", () => {
    const [one, two] = [newDrains(1), newDrains(2)];
    assert.equal(one.drains.onToken(context(1, ALL), undefined), undefined);
    assert.ok(one.drains.isIdle);
    one.drains.request(2, true);
    assert.ok(!one.drains.isIdle);
    const ctx = context(1, ALL);
    const bytes = one.drains.onToken(ctx, undefined);
    assert.equal(ctx.hastened(), 1);
    assert.equal(two.drains.onToken(context(2, ALL), bytes), bytes);
    assert.deepEqual([one.seen, two.seen], [[[2]], [[2]]]);
    two.drains.request(2, false);
    const after = two.drains.onToken(context(2, ALL), bytes);
    one.drains.onToken(context(1, ALL), after);
    assert.deepEqual([one.seen.at(-1), two.seen.at(-1)], [[], []]);
  });

  it("are not in force where nobody else is ready", () => {
    const { drains } = newDrains(1);
    drains.request(1, true);
    drains.request(2, true);
    const members = [member(1), member(2), member(3, { ready: false })];
    const bytes = drains.onToken(context(1, members), undefined);
    assert.deepEqual([...drains.draining], []);
    drains.onToken(context(1, ALL), bytes);
    assert.deepEqual([...drains.draining], [1, 2]);
  });

  it("end with the life of the node", () => {
    const { drains } = newDrains(1);
    drains.request(2, true);
    const bytes = drains.onToken(context(1, ALL), undefined);
    const restarted = [member(1), member(2, { incarnation: 2n }), member(3)];
    drains.onToken(context(1, restarted), bytes);
    assert.deepEqual(drains.all, []);
    drains.onToken(context(1, ALL), bytes);
    drains.onLost();
    assert.deepEqual([...drains.draining], []);
  });

  it("are asked for again by the node itself where it lost its place, unless it was told otherwise meanwhile", () => {
    const { drains, seen } = newDrains(1);
    drains.request(1, true);
    drains.onToken(context(1, ALL), undefined);
    drains.onLost();
    assert.deepEqual(seen.at(-1), []);
    // The others have forgotten it: it was no member.
    const ctx = context(1, ALL);
    const bytes = drains.onToken(ctx, Uint8Array.of(0, 0));
    assert.deepEqual([...drains.draining], [1]);
    assert.equal(ctx.hastened(), 1);
    drains.onLost();
    drains.onLost();
    drains.request(1, false);
    drains.onToken(context(1, ALL), bytes);
    assert.deepEqual([...drains.draining], []);
  });

  it("hold to the end where the node leaves", () => {
    const { drains } = newDrains(1);
    drains.request(1, true);
    const bytes = drains.onToken(context(1, ALL), undefined);
    const leaving = { ...context(1, ALL.slice(1)), leaving: true };
    assert.deepEqual(drains.onToken(leaving, bytes), bytes);
    assert.deepEqual([...drains.draining], [1]);
    const { drains: other, seen } = newDrains(2);
    other.onToken(context(2, ALL), bytes);
    assert.deepEqual(other.onToken(context(2, ALL.slice(1)), bytes), Uint8Array.of(0, 0));
    assert.deepEqual([seen, [...other.draining]], [[[1]], []]);
  });

  it("are done when the node itself says so, and no longer than it does", () => {
    const { drains } = newDrains(1);
    drains.request(1, true);
    const bytes = drains.onToken(context(1, ALL), undefined);
    assert.deepEqual(
      drains.all.map(({ isDone }) => isDone),
      [false],
    );
    drains.setDone(true);
    assert.ok(!drains.isIdle);
    const done = drains.onToken(context(1, ALL), bytes);
    const { drains: other } = newDrains(2);
    other.onToken(context(2, ALL), done);
    assert.deepEqual(
      other.all.map(({ nodeId, isDone }) => [nodeId, isDone]),
      [[1, true]],
    );
    drains.setDone(false);
    drains.onToken(context(1, ALL), done);
    assert.equal(drains.all[0]?.isDone, false);
  });

  it("begin anew when they are asked for again", () => {
    const { drains } = newDrains(1);
    drains.request(1, true);
    let bytes = drains.onToken(context(1, ALL), undefined);
    drains.setDone(true);
    bytes = drains.onToken(context(1, ALL), bytes);
    drains.request(1, false);
    bytes = drains.onToken(context(1, ALL), bytes);
    drains.request(1, true);
    drains.onToken(context(1, ALL), bytes);
    assert.equal(drains.all[0]?.isDone, false);
  });

  it("are not in force while a member does not know of drains", () => {
    const { drains } = newDrains(1);
    drains.request(2, true);
    const bytes = drains.onToken({ ...context(1, ALL), lacking: new Set([3]) }, undefined);
    assert.deepEqual([...drains.draining], []);
    drains.onToken(context(1, ALL), bytes);
    assert.deepEqual([...drains.draining], [2]);
  });

  it("leave alone what they cannot read", () => {
    const { drains, seen } = newDrains(1);
    for (const bytes of [Uint8Array.of(9), Uint8Array.of(255, 255, 1), Uint8Array.of(0, 1, 2)])
      assert.equal(drains.onToken(context(1, ALL), bytes), bytes);
    assert.deepEqual(seen, []);
  });

  it("take the VIPs of their nodes away, and give them none", () => {
    const vips = ["192.0.2.101", "192.0.2.102", "192.0.2.103"].map((address, index) => ({
      address,
      segment: "external",
      preferredHost: index + 1,
      persistence: 3 as const,
    }));
    const draining = new Set<number>();
    const module = new VipModule({ self: 1, vips, draining: () => draining });
    const hosts = (bytes: Uint8Array) => decodeTable(bytes)?.map(({ currentHost }) => currentHost);
    const before = module.onToken(context(1, ALL), undefined);
    assert.deepEqual(hosts(before), [1, 2, 3]);
    draining.add(1);
    const after = module.onToken(context(1, ALL), before);
    assert.equal(hosts(after)?.includes(1), false);
    assert.equal(module.answers.size, 0);
    draining.delete(1);
    const other = new VipModule({ self: hosts(after)?.[0] ?? 0, vips, draining: () => draining });
    assert.deepEqual(hosts(other.onToken(context(hosts(after)?.[0] ?? 0, ALL), after)), [1, 2, 3]);
  });
});
