// The addon's edge: what JavaScript hands in is checked, and every refusal has a code. The packet path behind it is tested by
// native/test and, with real traffic, by the lab.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { type FrontPortOptions, loadNative } from "../../lib/native.js";
import { DEPARTURES_MAX } from "../../lib/steering/departures.js";

const native = loadNative();
const counters = new BigUint64Array(new SharedArrayBuffer(native.counters.length * 8));
const good: FrontPortOptions = {
  backend: "af_packet",
  nic: "lo",
  outer: "lo",
  frontMac: "02:00:00:00:00:01",
  counters,
};
const canOpen = process.getuid?.() === 0;

function refusedWith(code: string, options: unknown): void {
  assert.throws(() => new native.FrontPort(options as FrontPortOptions), { code });
}

describe("the native addon", () => {
  it("lists each counter of counters.def once, with a meaning", () => {
    const defined = readFileSync(new URL("../../native/steer/counters.def", import.meta.url), "utf8").match(
      /^RF_COUNTER\((\w+)/gm,
    );
    assert.deepEqual(
      native.counters.map(({ name }) => `RF_COUNTER(${name}`),
      defined,
    );
    assert.equal(new Set(native.counters.map(({ name }) => name)).size, native.counters.length);
    for (const { meaning } of native.counters) assert.notEqual(meaning, "");
  });

  it("has a clock that only goes forward", () => {
    const first = native.monotonicNow_ns();
    assert.ok(native.monotonicNow_ns() >= first);
  });

  it("refuses options of the wrong type and names the field", () => {
    refusedWith("RF_ARGUMENT", undefined);
    refusedWith("RF_ARGUMENT", { ...good, nic: 7 });
    refusedWith("RF_ARGUMENT", { ...good, frontMac: "02:00:00:00:00" });
    refusedWith("RF_ARGUMENT", { ...good, frontMac: "02:00:00:00:00:01x" });
    refusedWith("RF_ARGUMENT", { ...good, counters: new BigUint64Array(1) });
    refusedWith("RF_ARGUMENT", { ...good, counters: new Float64Array(native.counters.length) });
    assert.throws(
      () => new native.FrontPort({ ...good, nic: 7 } as unknown as FrontPortOptions),
      /nic must be a string/,
    );
  });

  it("reports a missing interface, or the missing privilege, by code", () => {
    refusedWith(canOpen ? "RF_NIC_MISSING" : "RF_NO_PRIVILEGE", { ...good, nic: "rft-none" });
    assert.throws(() => native.readOffloads("rft-none"), { code: "RF_NIC_MISSING" });
  });

  it("refuses tables and VIPs that do not fit, and everything after close", {
    skip: canOpen ? false : "needs CAP_NET_RAW",
  }, () => {
    const port = new native.FrontPort(good);
    const tables = { self: 1, members: [1], slots: new Uint16Array(0), hashKey: Buffer.alloc(16) };
    port.setTables(tables);
    assert.throws(() => port.setTables({ ...tables, slots: new Uint16Array(5) }), { code: "RF_ARGUMENT" });
    assert.throws(() => port.setTables({ ...tables, self: 70_000 }), { code: "RF_ARGUMENT" });
    assert.throws(() => port.setTables({ ...tables, members: [0] }), { code: "RF_ARGUMENT" });
    assert.throws(() => port.setTables({ ...tables, hashKey: Buffer.alloc(15) }), { code: "RF_ARGUMENT" });
    const departed = Array.from({ length: DEPARTURES_MAX }, (_, index) => ({ node: index + 1, until_ns: 1n }));
    port.setTables({ ...tables, departed });
    const tooMany = [...departed, { node: 9, until_ns: 1n }];
    assert.throws(() => port.setTables({ ...tables, departed: tooMany }), { code: "RF_ARGUMENT" });
    assert.throws(() => port.setTables({ ...tables, departed: [{ node: 0, until_ns: 1n }] }), { code: "RF_ARGUMENT" });
    assert.throws(() => port.setTables({ ...tables, departed: [{ node: 9, until_ns: -1n }] }), { code: "RF_ARGUMENT" });
    assert.throws(() => port.setVips([{ address: "192.0.2.256" }]), { code: "RF_ARGUMENT" });
    assert.throws(() => port.setVips([{ address: "2001:db8::1::2" }]), { code: "RF_ARGUMENT" });
    assert.throws(() => port.setVips([{ address: "192.0.2.1", from_ns: -1n }]), { code: "RF_ARGUMENT" });
    assert.throws(() => port.setVips(new Array(1025).fill({ address: "192.0.2.1" })), { code: "RF_ARGUMENT" });
    assert.equal(port.setVips([{ address: "192.0.2.1", from_ns: 0n }, { address: "2001:db8::1" }]), true);
    port.close();
    port.close();
    assert.throws(() => port.setLease(1n), { code: "RF_PORT_CLOSED" });
  });

  it("lets a process with an open port end by itself", { skip: canOpen ? false : "needs CAP_NET_RAW" }, () => {
    const script = `
      import { loadNative } from ${JSON.stringify(new URL("../../lib/native.ts", import.meta.url).href)};
      const native = loadNative();
      globalThis.port = new native.FrontPort({ backend: "af_packet", nic: "lo", outer: "lo", frontMac: "02:00:00:00:00:01",
        counters: new BigUint64Array(new SharedArrayBuffer(native.counters.length * 8)) });
    `;
    const args = ["--import", "tsx", "--input-type=module", "--eval", script];
    const child = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 20_000 });
    assert.equal(child.stderr, "");
    assert.equal(child.status, 0);
  });
});
