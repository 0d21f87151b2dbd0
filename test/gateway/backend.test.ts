// Which way frames are to go, and why not by XDP, by an addon that only says what a kernel could say.

import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import { type Logger, pino } from "pino";
import type { Config } from "../../lib/config/config.js";
import { loadConfig } from "../../lib/config/load.js";
import { bondProblem, chooseBackend } from "../../lib/gateway/backend.js";
import { examine } from "../../lib/gateway/doctor.js";
import type { AttachedXdp, NativeAddon } from "../../lib/native.js";
import { SAMPLE, withConfig } from "../config/sample.js";

const REFUSED = Object.assign(new Error("loading the XDP program is refused by the kernel"), { code: "RF_XDP_LOAD" });
const OTHERS: AttachedXdp = { id: 7, name: "others", isOurs: false, isGeneric: false, leaseUntil_ns: 0n };

/** A machine whose NICs run `attached`, and whose kernel takes the program unless there is an error. */
function machine({ attached, error }: { attached?: AttachedXdp; error?: Error } = {}) {
  let probes = 0;
  const xdp = {
    attached: () => attached,
    driverRuns: () => true,
    probe: () => {
      probes += 1;
      if (error !== undefined) throw error;
    },
  };
  const native = {
    xdp,
    readOffloads: () => 0,
    survey: () => [],
    lockMappedFiles: () => true,
  } as unknown as NativeAddon;
  return { native, probes: () => probes };
}

function configFor(backend: Config["backend"]): Config {
  return withConfig(`${SAMPLE}backend: ${backend}\n`, (file) => loadConfig(file));
}

function recorder(): { readonly log: Logger; readonly lines: { readonly why?: string }[] } {
  const lines: { readonly why?: string }[] = [];
  const log = pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line)) });
  return { log, lines };
}

async function backendFindings(backend: Config["backend"], native: NativeAddon) {
  return (await examine(configFor(backend), native)).filter(({ check }) => check === "backend");
}

describe("the way that frames go", () => {
  it("is by XDP where the kernel takes the program, which is loaded once to see that", async () => {
    const { native, probes } = machine();
    const { log, lines } = recorder();
    assert.equal(await chooseBackend(configFor("auto"), native, log), "xdp");
    assert.equal(probes(), 1);
    assert.deepEqual(lines, []);
  });

  it("is by packet rings where XDP cannot be had, and the log says why", async () => {
    const { log, lines } = recorder();
    assert.equal(await chooseBackend(configFor("auto"), machine({ error: REFUSED }).native, log), "af_packet");
    assert.deepEqual(
      lines.map(({ why }) => why),
      [REFUSED.message],
    );
  });

  it("is refused where XDP is asked for and cannot be had, with the fix", async () => {
    const { log } = recorder();
    const choose = (native: Pick<NativeAddon, "xdp">) => chooseBackend(configFor("xdp"), native, log);
    await assert.rejects(choose(machine({ error: REFUSED }).native), { code: "RF_XDP_LOAD", fix: /from 5\.18 on/ });
    await assert.rejects(choose({}), { code: "RF_XDP_MISSING", fix: /libbpf-dev/ });
    const taken = machine({ attached: OTHERS });
    await assert.rejects(choose(taken.native), { code: "RF_XDP_TAKEN", message: /others \(id 7\)/, fix: /xdp off/ });
    assert.equal(taken.probes(), 0);
  });

  it("is not asked for where packet rings are", async () => {
    const { native, probes } = machine({ error: REFUSED });
    assert.equal(await chooseBackend(configFor("af_packet"), native, recorder().log), "af_packet");
    assert.equal(probes(), 0);
  });
});

test("a bond carries XDP where all its NICs are in use, and packet rings else", () => {
  const bond = (mode?: string) => ({ ifname: "bond0", linkinfo: { info_kind: "bond", info_data: { mode } } });
  for (const mode of ["802.3ad", "balance-xor", "balance-rr"])
    assert.equal(bondProblem("external", bond(mode)), undefined);
  for (const mode of ["active-backup", "broadcast", "balance-tlb", "balance-alb", undefined]) {
    const problem = bondProblem("external", bond(mode));
    assert.equal(problem?.code, "RF_XDP_NIC");
    assert.match(problem?.message ?? "", /^segments\.external\.interface: bond0 is a bond in mode /);
    assert.match(problem?.fix ?? "", /af_packet/);
  }
  assert.equal(bondProblem("external", undefined), undefined);
  assert.equal(bondProblem("external", { ifname: "eth0", linkinfo: { info_kind: "vlan" } }), undefined);
});

describe("the doctor on the way that frames go", () => {
  it("says why not by XDP, after one look: a note where the daemon has another way, an error where not", async () => {
    for (const [backend, level] of [
      ["auto", "note"],
      ["xdp", "error"],
    ] as const) {
      const { native, probes } = machine({ error: REFUSED });
      const [found] = await backendFindings(backend, native);
      assert.equal(found?.level, level);
      assert.equal(found?.message, REFUSED.message);
      assert.match(found?.fix ?? "", /from 5\.18 on/);
      assert.equal(probes(), 1);
    }
  });

  it("says which way it will be", async () => {
    for (const [backend, message] of [
      ["auto", "xdp"],
      ["xdp", "xdp"],
      ["af_packet", "af_packet"],
    ] as const)
      assert.deepEqual(await backendFindings(backend, machine().native), [{ check: "backend", level: "ok", message }]);
  });
});
