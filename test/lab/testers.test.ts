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
  /** The link was down for at least so long. */
  readonly down_ms_min: number;
  readonly macs: readonly string[];
}

/** A few times that in which the prober and the observer ask. */
const SLACK_MS = 8;

completePath();
const flags = usableFlags();

function usableFlags(): readonly string[] | string {
  try {
    return boxFlags();
  } catch (error) {
    return error instanceof RainfrontError ? error.message : String(error);
  }
}

for (const family of [4, 6])
  describe(`observer and prober of IPv${family} on a real switch`, {
    skip: typeof flags === "string" ? flags : false,
  }, () => {
    let seen: Observation;

    before(() => {
      const program = join(import.meta.dirname, "observation.ts");
      const argv = [...flags, process.execPath, "--import", "tsx", program, String(family)];
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
      const { late_ms_max } = seen.doubled;
      assert.ok(measured > seen.both_ms_min * 0.7 - late_ms_max, `${measured} of ${seen.both_ms_min} ms`);
      assert.ok(measured < seen.both_ms_max + 100 + late_ms_max, `${measured} of ${seen.both_ms_max} ms`);
      assert.equal(other?.double_owner_ms, 0);
      assert.ok((both?.contested ?? 0) > 10);
      assert.deepEqual(new Set(both?.owners.map((owner) => owner.mac)), new Set(seen.macs));
    });

    test("a mark is found in the next report", () => {
      assert.ok((seen.doubled.marks.apart ?? 0) > 0);
    });

    test("a cut link is a silence of its length, for the observer and for the prober", () => {
      const [kept, lost] = seen.silent.probed.targets;
      // While one of them was itself kept from working, on a busy machine, it saw nothing.
      const { probed, seen: observed } = seen.silent;
      const gapLeast_ms = seen.down_ms_min - SLACK_MS - probed.late_ms_max;
      assert.ok((lost?.gap_ms ?? 0) >= gapLeast_ms, `${lost?.gap_ms} of ${seen.down_ms_min} ms`);
      assert.ok((lost?.gap_to_ms ?? null) !== null);
      const silent_ms = observed.vips[1]?.no_owner_ms ?? 0;
      const silentLeast_ms = seen.down_ms_min - SLACK_MS - observed.late_ms_max;
      assert.ok(silent_ms >= silentLeast_ms, `${silent_ms} of ${seen.down_ms_min} ms`);
      assert.equal(observed.vips[0]?.double_owner_ms, 0);
      assert.equal(kept?.target, family === 6 ? "2001:db8:1::101" : "192.0.2.101");
    });
  });
