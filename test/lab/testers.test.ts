// Observer and prober against plain hosts in network namespaces, where this user may make them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { RainfrontError } from "../../lib/errors.js";
import { boxFlags } from "../../lib/lab/isolation.js";
import type { ObserverReport } from "../../lib/lab/observer.js";
import type { ProbeReport } from "../../lib/lab/probes.js";
import { completePath } from "../../lib/lab/tools.js";

interface Observation {
  readonly single: ObserverReport;
  readonly steady: ProbeReport;
  readonly doubled: ObserverReport;
  readonly silent: { readonly seen: ObserverReport; readonly probed: ProbeReport };
  /** Both hosts had the VIP for at least, and for at most, so long. */
  readonly both_ms_min: number;
  readonly both_ms_max: number;
  readonly down_ms: number;
  readonly macs: readonly string[];
}

completePath();
const flags = usableFlags();

function usableFlags(): readonly string[] | string {
  try {
    return boxFlags();
  } catch (error) {
    return error instanceof RainfrontError ? error.message : String(error);
  }
}

describe("observer and prober on a real switch", { skip: typeof flags === "string" ? flags : false }, () => {
  let seen: Observation;

  before(() => {
    const program = join(import.meta.dirname, "observation.ts");
    const argv = [...flags, process.execPath, "--import", "tsx", program];
    const { status, stdout, stderr } = spawnSync("unshare", argv, { encoding: "utf8", timeout: 60_000 });
    assert.equal(status, 0, stderr);
    seen = JSON.parse(stdout) as Observation;
  });

  test("a VIP on one host has one owner, named by its MAC, and no silence", () => {
    assert.equal(seen.single.double_owner_ms, 0);
    assert.deepEqual(
      seen.single.vips.map((vip) => vip.owners.map((owner) => owner.mac)),
      [[seen.macs[0]], [seen.macs[0]]],
    );
    assert.ok(seen.single.vips.every((vip) => vip.answered > 10));
  });

  test("every probe of a quiet network is answered once", () => {
    for (const target of seen.steady.targets) {
      assert.ok(target.sent > 50);
      assert.ok(target.received >= target.sent - 2, `${target.received} of ${target.sent}`);
      assert.equal(target.duplicates, 0);
    }
  });

  test("a VIP on two hosts is doubly owned for as long as it was, and the other VIP is not", () => {
    const [both, other] = seen.doubled.vips;
    // The observer cannot see less than a request cycle, and a busy machine makes it see a little later.
    const measured = both?.double_owner_ms ?? 0;
    assert.ok(measured > seen.both_ms_min * 0.7, `${measured} of ${seen.both_ms_min} ms`);
    assert.ok(measured < seen.both_ms_max + 100, `${measured} of ${seen.both_ms_max} ms`);
    assert.equal(other?.double_owner_ms, 0);
    assert.ok((both?.contested ?? 0) > 10);
    assert.deepEqual(new Set(both?.owners.map((owner) => owner.mac)), new Set(seen.macs));
  });

  test("a mark is found in the next report", () => {
    assert.ok((seen.doubled.marks.apart ?? 0) > 0);
  });

  test("a cut link is a silence of its length, for the observer and for the prober", () => {
    const [kept, lost] = seen.silent.probed.targets;
    assert.ok((lost?.gap_ms ?? 0) >= seen.down_ms * 0.9, `${lost?.gap_ms} of ${seen.down_ms} ms`);
    assert.ok((lost?.gap_to_ms ?? null) !== null);
    assert.ok((seen.silent.seen.vips[1]?.no_owner_ms ?? 0) >= seen.down_ms * 0.7);
    assert.equal(seen.silent.seen.vips[0]?.double_owner_ms, 0);
    assert.equal(kept?.target, "192.0.2.101");
  });
});
