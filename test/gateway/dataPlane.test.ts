// What the daemon's data plane tells its ports, over ports that only take it down.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadConfig } from "../../lib/config/load.js";
import { DataPlane, type PlaneView } from "../../lib/gateway/dataPlane.js";
import type { FrontPort, FrontPortTables, NativeAddon } from "../../lib/native.js";
import { MAGLEV_SLOTS } from "../../lib/steering/maglev.js";
import { SAMPLE, withConfig } from "../config/sample.js";

const KEY = Buffer.alloc(16, 7);

function viewOf(members: readonly number[], epoch = 1): PlaneView {
  return { epoch, members, ready: members, portOwners: members, since: () => 1 };
}

/** What one of the two ports was told last; both are told the same. `left_ns`: how long the lease runs that an earlier process left. */
function recorded(left_ns = 0n, isSilent = () => true, yaml = SAMPLE) {
  const { native, ...seen } = recorder(left_ns, isSilent);
  const config = withConfig(yaml, (file) => loadConfig(file));
  const dataPlane = new DataPlane(config, "xdp", native, () => {});
  const lease_ns = BigInt(Math.ceil(config.timers.lease_ms * 1e6));
  return { dataPlane, lease_ns, last: () => seen.told.at(-1), ...seen };
}

/** An addon of which so many ports can be opened. */
function recorder(left_ns: bigint, isSilent: () => boolean, ports_max = 2) {
  let ports = 0;
  const told: FrontPortTables[] = [];
  const leases: bigint[] = [];
  const ends: string[] = [];
  const attached: ((wasOff: boolean) => void)[] = [];
  class Port implements Partial<FrontPort> {
    constructor() {
      if (++ports > ports_max) throw new Error("no more");
    }
    setTables(tables: FrontPortTables): void {
      told.push(tables);
    }
    setVips(): boolean {
      return true;
    }
    setLease(until_ns: bigint): boolean {
      leases.push(until_ns);
      return isSilent();
    }
    leaseUntil(): bigint {
      return left_ns;
    }
    attachAgain(): Promise<boolean> {
      return new Promise((resolve) => attached.push(resolve));
    }
    leave(): void {
      ends.push("leave");
    }
    close(): void {
      ends.push("close");
    }
  }
  const native = {
    counters: [],
    FrontPort: Port,
    FlowExchange: class {},
    monotonicNow_ns: () => 0n,
  } as unknown as NativeAddon;
  return { native, told, leases, ends, attached };
}

describe("the data plane", () => {
  it("leaves who drains its ports as long as it is there", () => {
    const yaml = `${SAMPLE}assignment: receiver
portRanges: [{ address: 192.0.2.101, first: 10000, last: 19999 }]
`;
    const { dataPlane, last } = recorded(0n, () => true, yaml);
    dataPlane.setHashKey(KEY);
    dataPlane.setView({ ...viewOf([1, 2]), ready: [1] }, 1000);
    assert.deepEqual(last()?.portRanges?.owners, [1, 2]);
    assert.deepEqual(new Set(last()?.slots), new Set([1]));
    dataPlane.setView(viewOf([1]), 1000);
    assert.deepEqual(last()?.portRanges?.owners, [1, 0]);
    dataPlane.setView(undefined, 1000);
    assert.deepEqual(last()?.portRanges?.owners, [0, 0]);
  });

  it("takes relays of who has left the view for one lease from then, whatever else changes meanwhile", () => {
    const { dataPlane, lease_ns, last } = recorded();
    dataPlane.setHashKey(KEY);
    dataPlane.setView(viewOf([1, 2]), 1000);
    assert.deepEqual(last()?.departed, []);
    dataPlane.setView(viewOf([1]), 1020.5);
    const departed = [{ node: 2, until_ns: 1_020_500_000n + lease_ns }];
    assert.deepEqual(last()?.departed, departed);
    assert.deepEqual(last()?.members, [1]);
    dataPlane.setHashKey(Buffer.alloc(16, 8));
    assert.deepEqual(last()?.departed, departed);
    dataPlane.setView(viewOf([1, 2]), 1030);
    assert.deepEqual(last()?.departed, []);
  });

  it("gives flows by weight: by the table of their authorities, where all weigh the same", () => {
    const balanced = `${SAMPLE}assignment: balanced\n`;
    const ofNode2 = (slots: Uint16Array | undefined): number => slots?.filter((node) => node === 2).length ?? 0;
    for (const [yaml, share] of [
      [balanced, 1 / 2],
      [balanced.replace("{ id: 2, ", "{ id: 2, weight: 3, "), 3 / 4],
    ] as const) {
      const { dataPlane, last } = recorded(0n, () => true, yaml);
      dataPlane.setHashKey(KEY);
      dataPlane.setView(viewOf([1, 2]), 0);
      const tables = last();
      assert.ok(Math.abs(ofNode2(tables?.assignment?.choices) / MAGLEV_SLOTS - share) < 0.01);
      assert.ok(Math.abs(ofNode2(tables?.slots) / MAGLEV_SLOTS - 1 / 2) < 0.01);
    }
  });

  it("goes on with what an earlier process left, and with what this one knows once it takes over", () => {
    const { dataPlane, last, leases } = recorded(5_000_000n);
    dataPlane.setHashKey(KEY);
    dataPlane.setView(viewOf([1, 2]), 0);
    dataPlane.setLease(0);
    dataPlane.setAnswers(new Map());
    assert.deepEqual([dataPlane.isHeld, last(), leases], [true, undefined, []]);
    dataPlane.setLease(4);
    assert.equal(dataPlane.takeOver(), true);
    assert.deepEqual([dataPlane.isHeld, last()?.members, new Set(leases)], [false, [1, 2], new Set([4_000_000n])]);
  });

  it("says when an answer by a lease that was given up may still be on its way", () => {
    let isSilent = true;
    const { dataPlane } = recorded(0n, () => isSilent);
    assert.equal(dataPlane.setLease(9), true);
    isSilent = false;
    assert.equal(dataPlane.setLease(0), false);
    assert.equal(dataPlane.takeOver(), false);
    dataPlane.holdUntil(9);
    assert.equal(dataPlane.setLease(0), true);
  });

  it("is silent at once where it has to, though an earlier process let it go on", () => {
    const { dataPlane, leases } = recorded(5_000_000n);
    dataPlane.fallSilent();
    assert.deepEqual([dataPlane.isHeld, leases], [false, [0n, 0n]]);
  });

  it("that cannot be opened whole takes off what it has attached, but not what serves for an earlier process", () => {
    for (const [left_ns, end] of [
      [0n, "close"],
      [5_000_000n, "leave"],
    ] as const) {
      const { native, ends } = recorder(left_ns, () => true, 1);
      const config = withConfig(SAMPLE, (file) => loadConfig(file));
      assert.throws(() => new DataPlane(config, "xdp", native, () => {}), /no more/);
      assert.deepEqual(ends, [end]);
    }
  });

  it("asks a driver to take its program back once at a time", async () => {
    const { dataPlane, attached } = recorded();
    const answer = dataPlane.attachAgain("external");
    assert.equal(await dataPlane.attachAgain("external"), false);
    attached[0]?.(true);
    assert.equal(await answer, true);
    void dataPlane.attachAgain("external");
    assert.equal(attached.length, 2);
  });

  it("goes on without its process until the time that it was given", () => {
    const { dataPlane, last, leases, ends } = recorded();
    dataPlane.setHashKey(KEY);
    dataPlane.setView(viewOf([1, 2]), 0);
    dataPlane.holdUntil(9);
    dataPlane.setView(undefined, 1);
    dataPlane.setHashKey(undefined);
    dataPlane.setLease(0);
    dataPlane.leave();
    assert.deepEqual([last()?.members, leases.at(-1), ends], [[1, 2], 9_000_000n, ["leave", "leave"]]);
  });
});
