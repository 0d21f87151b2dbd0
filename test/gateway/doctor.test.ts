// `rainfront doctor` on machines with and without what a node needs.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, test } from "node:test";
import { renderFindings } from "../../lib/cli/doctor.js";
import { driverFindings, driverPrograms, type Finding } from "../../lib/gateway/doctor.js";
import { cpuFinding, memoryFinding } from "../../lib/gateway/machineFindings.js";
import { OFFLOAD_LRO } from "../../lib/native.js";
import { deriveTimers } from "../../lib/raincore/timers.js";
import { Machine, obstacle } from "./machine.js";

describe("the doctor", { skip: obstacle() ?? false }, () => {
  let machine: Machine;
  beforeEach(async () => {
    machine = await Machine.create();
    machine.sysctl("ext0/forwarding", "1");
    machine.sysctl("int0/forwarding", "1");
  });
  afterEach(() => machine.remove());

  function wrong(findings: readonly Finding[]): string[] {
    return findings.filter(({ level }) => level === "error").map(({ check }) => check);
  }

  it("finds nothing wrong with a machine that is fit, and changes nothing", () => {
    const before = machine.traces();
    const { status, findings } = machine.doctor();
    assert.deepEqual(wrong(findings), []);
    assert.equal(status, 0);
    for (const check of ["privilege", "backend", "priority", "memory", "clock", "nic external", "nic internal"])
      assert.ok(
        findings.some((finding) => finding.check === check),
        check,
      );
    assert.deepEqual(machine.traces(), before);
  });

  it("names what keeps a node from serving, and the fix", () => {
    machine.ip("link set int0 down");
    const { status, findings } = machine.doctor();
    assert.equal(status, 1);
    assert.deepEqual(wrong(findings), ["nic internal"]);
    assert.equal(findings.find(({ level }) => level === "error")?.fix, "ip link set int0 up");
  });

  it("hears another machine that answers for a VIP, and not the nodes of the layer", () => {
    machine.neighbor("192.0.2.101");
    const { findings } = machine.doctor();
    assert.deepEqual(wrong(findings), ["vips external"]);
    assert.match(findings.find(({ level }) => level === "error")?.message ?? "", /192\.0\.2\.101 \([0-9a-f:]{17}\)/);
  });

  it("hears it for an IPv6 VIP as well", () => {
    machine.neighbor("2001:db8:1::101");
    const { findings } = machine.doctor({ ipv6: true });
    const found = findings.find(({ check }) => check === "vips external");
    assert.equal(found?.level, "error");
    assert.match(found?.message ?? "", /2001:db8:1::101 \([0-9a-f:]{17}\)/);
  });

  it("warns of a NIC that does not forward, and of one that is a port of a bridge", () => {
    machine.sysctl("ext0/forwarding", "0");
    machine.ip("link add br0 type bridge", "link set int0 master br0");
    const { findings } = machine.doctor();
    assert.ok(findings.some(({ check, level }) => check === "nic external" && level === "warning"));
    assert.deepEqual(wrong(findings), ["nic internal"]);
    for (const { level, message, fix } of findings)
      if (level === "warning" || level === "error") assert.ok(fix !== undefined, `${message}: and now?`);
  });

  it("says what XDP costs on what has no driver of its own, and how the reverse path filter stands", () => {
    machine.bridge("ext0", "wire2");
    machine.sysctl("int0/rp_filter", "1");
    const { findings } = machine.doctor({ backend: "auto" });
    assert.ok(findings.some(({ level, message }) => level === "note" && /ext0 is a bridge, .* slower/.test(message)));
    const strict = findings.find(({ check, message }) => check === "nic internal" && /reverse path/.test(message));
    assert.equal(strict?.level, "note");
    assert.match(strict?.fix ?? "", /int0\/rp_filter=2/);
  });
});

test("the doctor says what the host of a virtual machine has to let through, by the NIC's driver", () => {
  const [driver, permission] = driverFindings("vmxnet3", "eth0", "nic external");
  assert.deepEqual(driver, { check: "nic external", level: "ok", message: "driver vmxnet3" });
  assert.equal(permission?.level, "note");
  assert.match(permission?.fix ?? "", /forged transmits/);
  assert.equal(driverFindings("ixgbe", "eth0", "nic external").length, 1);
  for (const [driver, isVirtualFunction] of [
    ["ixgbevf", false],
    ["mlx5_core", true],
  ] as const)
    assert.match(
      driverFindings(driver, "eth0", "nic external", isVirtualFunction)[1]?.fix ?? "",
      /trust on spoofchk off/,
    );
});

test("the doctor says whether the NIC's driver runs XDP programs, where the kernel says so", () => {
  const findings = (runs: boolean | undefined, offloads = 0) =>
    driverPrograms("eth0", "nic external", { xdp: { driverRuns: () => runs }, readOffloads: () => offloads });
  assert.deepEqual(findings(undefined), []);
  assert.deepEqual(
    findings(true).map(({ level }) => level),
    ["ok"],
  );
  const [note] = findings(false);
  assert.equal(note?.level, "note");
  assert.match(note?.message ?? "", /slower/);
  assert.match(note?.fix ?? "", /af_packet/);
  assert.deepEqual(findings(false, OFFLOAD_LRO), []);
});

describe("what the doctor prints", () => {
  it("has each finding, each fix and the sums", () => {
    const text = renderFindings([
      { check: "backend", level: "ok", message: "xdp" },
      { check: "nic external", level: "error", message: "eth0 is down", fix: "ip link set eth0 up" },
    ]);
    assert.match(text, /^error +nic external +eth0 is down$/m);
    assert.match(text, /^What to do:\n {2}nic external: ip link set eth0 up$/m);
    assert.match(text, /^1 errors, 0 warnings, 0 notes$/m);
  });
});

test("the doctor warns where the host takes more than a fiftieth of the CPU time, with what a hand-over waits for", () => {
  const stat = (stolen: number) => `cpu  700 100 80 5 5 0 20 ${stolen} 0 0\n`;
  const timers = deriveTimers(150);
  assert.equal(cpuFinding(stat(18), timers).level, "ok");
  const found = cpuFinding(stat(100), timers);
  assert.equal(found.level, "warning");
  assert.match(found.message, /10 % of the CPU time/);
  assert.match(found.fix ?? "", /failoverTarget_ms \(at 150 a node that stands still for 48 ms is taken for dead\)/);
  assert.equal(cpuFinding("", timers).level, "note");
});

test("the doctor warns of a program that may not be locked, and of swap on a disk that the service is not kept from", () => {
  const heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
  const disk = `${heading}/dev/sda2                               partition\t2097148\t\t0\t\t-2\n`;
  assert.match(memoryFinding(false, disk, false).fix ?? "", /CAP_IPC_LOCK/);
  assert.match(memoryFinding(true, disk, false).fix ?? "", /MemorySwapMax=0/);
  assert.equal(memoryFinding(true, disk, true).level, "ok");
  assert.equal(memoryFinding(true, heading, false).level, "ok");
  assert.equal(memoryFinding(true, `${heading}/dev/zram0 partition 1 0 100\n`, false).level, "ok");
});
