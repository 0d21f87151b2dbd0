import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { callControl } from "../../lib/api/controlClient.js";
import { type DaemonProcess, Machine, obstacle, xdpObstacle } from "./machine.js";

const UP = /"msg":"up"/;
const SERVES = /"ready":\[1\]/;
const skip = obstacle() ?? false;

async function assertRefused(daemon: DaemonProcess, code: string): Promise<void> {
  const { status, printed } = await daemon.end();
  assert.equal(printed.length, 1, printed.join("\n"));
  assert.match(printed[0] ?? "", new RegExp(`^rainfront: ${code}: .+ \\(fix: .+\\)$`));
  assert.equal(status, 1);
}

describe("a daemon that cannot start says why in one line and leaves nothing", { skip }, () => {
  let machine: Machine;
  beforeEach(async () => {
    machine = await Machine.create();
  });
  afterEach(() => machine.remove());

  const cases: readonly { readonly what: string; readonly code: string; readonly prepare: (on: Machine) => void }[] = [
    { what: "a missing NIC", code: "RF_NIC_MISSING", prepare: (on) => on.ip("link del int0") },
    { what: "a NIC that is down", code: "RF_NIC_DOWN", prepare: (on) => on.ip("link set int0 down") },
    { what: "a missing address", code: "RF_NIC_ADDRESS", prepare: (on) => on.ip("address flush dev int0") },
    { what: "an MTU beyond the rings' slots", code: "RF_NIC_MTU", prepare: (on) => on.ip("link set int0 mtu 2001") },
    {
      what: "a NIC that gets no frames for another MAC",
      code: "RF_NIC_KIND",
      prepare: (on) =>
        on.ip("link set int0 name wire2", "link add link wire2 name int0 type macvlan", "link set int0 up"),
    },
    {
      what: "an arp_ignore for all NICs that answers for VIPs",
      code: "RF_ARP_IGNORE",
      prepare: (on) => on.sysctl("all/arp_ignore", "3"),
    },
    {
      what: "an interface of its name that is not its own",
      code: "RF_INTERFACE_TAKEN",
      prepare: (on) => on.ip("link add rf-internal type bridge"),
    },
  ];
  for (const { what, code, prepare } of cases) {
    it(`${code} for ${what}`, async () => {
      prepare(machine);
      const before = machine.traces();
      await assertRefused(machine.up(), code);
      assert.deepEqual(machine.traces(), before);
    });
  }

  it("RF_ALREADY_RUNNING for a second daemon with the same or another stateDir, and the first goes on", async () => {
    const first = machine.up();
    await first.says(SERVES);
    const before = machine.traces();
    await Promise.all([
      assertRefused(machine.up(), "RF_ALREADY_RUNNING"),
      assertRefused(machine.up({ state: "other" }), "RF_ALREADY_RUNNING"),
    ]);
    assert.deepEqual(machine.traces(), before);
    const { vips, lease } = await callControl(machine.socket(), "status", {});
    assert.equal(lease.valid, true);
    assert.ok(vips.every(({ answering }) => answering));
  });
});

describe("a daemon that ends removes what was installed", { skip }, () => {
  let machine: Machine;
  beforeEach(async () => {
    machine = await Machine.create();
  });
  afterEach(() => machine.remove());

  it("also what a killed one had left, though a start in between was refused", async () => {
    machine.sysctl("ext0/arp_ignore", "3");
    const before = machine.traces();
    const killed = machine.up();
    await killed.says(UP);
    assert.equal(machine.sysctl("ext0/arp_ignore"), "1");
    await killed.kill();
    assert.ok(machine.links().includes("rf-external"));
    machine.ip("link set int0 down");
    await assertRefused(machine.up(), "RF_NIC_DOWN");
    assert.deepEqual(machine.traces(), before);
    machine.ip("link set int0 up");
    const next = machine.up();
    await next.says(UP);
    await callControl(machine.socket(), "down", {});
    assert.deepEqual(await next.end(), { status: 0, printed: [] });
    assert.deepEqual(machine.traces(), before);
  });

  it("also with XDP, and when one with it was killed", { skip: xdpObstacle() ?? false }, async () => {
    const before = machine.traces();
    const killed = machine.up({ backend: "xdp" });
    await killed.says(SERVES);
    assert.equal((await callControl(machine.socket(), "status", {})).backend, "xdp");
    await killed.kill();
    assert.deepEqual(machine.programs(), { ext0: "rf_xdp", int0: "rf_xdp" });
    const next = machine.up({ backend: "xdp" });
    await next.says(SERVES);
    await callControl(machine.socket(), "down", {});
    assert.deepEqual(await next.end(), { status: 0, printed: [] });
    assert.deepEqual(machine.traces(), before);
  });

  it("also when it was killed, by `down`, without another start", { skip: xdpObstacle() ?? false }, async () => {
    assert.ok(machine.takesTagsOff("ext0"));
    const before = machine.traces();
    assert.deepEqual(machine.down(), { status: 0, printed: "no daemon runs, and none has left anything\n" });
    const killed = machine.up({ backend: "xdp" });
    await killed.says(SERVES);
    assert.ok(!machine.takesTagsOff("ext0"));
    assert.match(machine.down({ state: "other" }).printed, /RF_ALREADY_RUNNING/);
    await killed.kill();
    assert.deepEqual(machine.down(), { status: 0, printed: "no daemon runs; what one had left is removed\n" });
    assert.deepEqual(machine.traces(), before);
    assert.ok(machine.takesTagsOff("ext0"));
  });

  it("and where the addon cannot take a killed one's program off, says so and starts nothing", {
    skip: xdpObstacle() ?? false,
  }, async () => {
    const killed = machine.up({ backend: "xdp" });
    await killed.says(SERVES);
    await killed.kill();
    const left = machine.traces();
    assert.match(
      machine.runModule("withoutXdp.ts"),
      /^RF_XDP_MISSING: (ext0|int0) runs .* \(fix: ip link del rf-external; .*ip link set dev (ext0|int0) xdp off/,
    );
    assert.deepEqual(machine.programs(), { ext0: "rf_xdp", int0: "rf_xdp" });
    assert.match(machine.down().printed, /is removed/);
    assert.notDeepEqual(machine.traces(), left);
  });

  it("also when it is interrupted, twice, while it installs", async () => {
    const before = machine.traces();
    const installing = machine.fileAppears("installed.json");
    const daemon = machine.up();
    await installing;
    daemon.signal("SIGINT");
    daemon.signal("SIGHUP");
    assert.deepEqual(await daemon.end(), { status: 0, printed: [] });
    assert.ok(!daemon.said(UP));
    assert.deepEqual(machine.traces(), before);
  });

  it("also when `down` comes while it installs", async () => {
    const before = machine.traces();
    const installing = machine.fileAppears("installed.json");
    const daemon = machine.up();
    await installing;
    await callControl(machine.socket(), "down", {});
    assert.deepEqual(await daemon.end(), { status: 0, printed: [] });
    assert.ok(!daemon.said(UP));
    assert.deepEqual(machine.traces(), before);
  });

  it("also when one thing cannot be undone, which it says, remembers and ends with status 1", async () => {
    const before = machine.links();
    const bad = { path: "/proc/sys/net/ipv4/conf/ext0/log_martians", previous: "no number" };
    const good = { path: "/proc/sys/net/ipv4/conf/int0/log_martians", previous: "1" };
    const journal = join(machine.stateDir("state"), "installed.json");
    writeFileSync(journal, JSON.stringify({ links: [], sysctls: [bad, good], offloads: [] }));
    const daemon = machine.up();
    await daemon.says(UP);
    assert.equal(machine.sysctl("int0/log_martians"), "1");
    await assert.rejects(callControl(machine.socket(), "down", {}), { code: "RF_NOT_REMOVED" });
    await assertRefused(daemon, "RF_NOT_REMOVED");
    assert.deepEqual(machine.links(), before);
    assert.equal(machine.sysctl("ext0/arp_ignore"), "0");
    const { place: _, ...left } = JSON.parse(readFileSync(journal, "utf8"));
    assert.deepEqual(left, {
      links: [],
      sysctls: [bad],
      offloads: [],
      groups: [],
      programs: [],
    });
  });
});

describe("an XDP program that somebody takes off", { skip: xdpObstacle() ?? skip }, () => {
  it("is put back, and the daemon serves on", async () => {
    const machine = await Machine.create();
    try {
      const daemon = machine.up({ backend: "xdp" });
      await daemon.says(SERVES);
      assert.ok(machine.isUp("rf-external"));
      machine.takeTagsOff("ext0");
      machine.ip("link set dev ext0 xdp off");
      await daemon.says(/"nic":"ext0","msg":"somebody took the XDP program off; it is back"/);
      assert.deepEqual(machine.programs(), { ext0: "rf_xdp", int0: "rf_xdp" });
      assert.ok(!machine.takesTagsOff("ext0"));
      const { lease } = await callControl(machine.socket(), "status", {});
      assert.equal(lease.valid, true);
    } finally {
      await machine.remove();
    }
  });

  it("runs behind a bridge, which is said, and nothing below merges frames meanwhile", async () => {
    const machine = await Machine.create();
    try {
      machine.bridge("ext0", "port0");
      assert.ok(machine.mergesReceived("port0"));
      const before = machine.traces();
      const daemon = machine.up({ backend: "xdp" });
      await daemon.says(/"nic":"ext0","msg":"the NIC's driver runs no XDP program/);
      await daemon.says(SERVES);
      assert.equal((await callControl(machine.socket(), "status", {})).backend, "xdp_generic");
      assert.ok(!machine.mergesReceived("port0"));
      machine.mergeReceived("port0");
      machine.ip("link set dev ext0 xdpgeneric off");
      await daemon.says(/"nic":"ext0","msg":"somebody took the XDP program off; it is back"/);
      await daemon.says(/"nic":"ext0","msg":"the NIC's driver runs no XDP program/, 2);
      assert.ok(!machine.mergesReceived("port0"));
      await callControl(machine.socket(), "down", {});
      assert.deepEqual(await daemon.end(), { status: 0, printed: [] });
      assert.deepEqual(machine.traces(), before);
      assert.ok(machine.mergesReceived("port0"));
    } finally {
      await machine.remove();
    }
  });

  it("with its NIC ends the daemon, which says why", async () => {
    const machine = await Machine.create();
    try {
      const daemon = machine.up({ backend: "xdp" });
      await daemon.says(SERVES);
      machine.ip("link del ext0");
      const { status, printed } = await daemon.end();
      assert.equal(status, 1);
      assert.match(printed.join("\n"), /RF_DATA_PLANE: the data plane lost its XDP program on ext0: /);
      assert.deepEqual(machine.programs(), {});
    } finally {
      await machine.remove();
    }
  });
});

describe("a node with another key", { skip }, () => {
  it("refuses to serve beside a group, whose running member is not stopped by its datagrams", async () => {
    const [first, second] = await Machine.pair();
    try {
      const running = first.up();
      await running.says(SERVES);
      const before = second.traces();
      await assertRefused(second.up({ key: "cd" }), "RF_KEY_MISMATCH");
      assert.deepEqual(second.traces(), before);
      const { state, lease, ring } = await callControl(first.socket(), "status", {});
      assert.equal(state, "member");
      assert.equal(lease.valid, true);
      assert.ok((ring.refused_unknown_key ?? 0) > 0);
    } finally {
      await second.remove();
      await first.remove();
    }
  });
});
