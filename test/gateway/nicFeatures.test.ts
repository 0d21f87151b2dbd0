// What is turned off on a NIC and remembered, over drivers that only say what they are told.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { pino } from "pino";
import { Journal } from "../../lib/gateway/journal.js";
import { NicFeatures } from "../../lib/gateway/nicFeatures.js";
import { OFFLOAD_LRO, OFFLOAD_RECEIVE_MERGE, OFFLOAD_RECEIVE_VLAN } from "../../lib/native.js";

const ALL = OFFLOAD_RECEIVE_MERGE | OFFLOAD_RECEIVE_VLAN;

describe("the features of a NIC", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "rft-features-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A driver with everything on that does not give up `fixed`; undefined: there is no such NIC. */
  function features(fixed: number | undefined) {
    let now = ALL;
    const missing = () => {
      if (fixed === undefined) throw Object.assign(new Error("no such interface"), { code: "RF_NIC_MISSING" });
    };
    const native = {
      readOffloads: () => {
        missing();
        return now;
      },
      writeOffloads: (_nic: string, mask: number, wanted: number) => {
        missing();
        now = (now & (~mask | (fixed ?? 0))) | (wanted & mask);
        return now;
      },
    };
    const lines: string[] = [];
    const log = pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line).msg) });
    const journal = new Journal(folder);
    return { features: new NicFeatures(journal, native, log), journal, now: () => now, lines };
  }

  it("for a program: no merging by the driver, and tags stay; what was is remembered", () => {
    const { features: nic, journal, now, lines } = features(0);
    nic.fitForProgram("eth0");
    assert.equal(now() & (OFFLOAD_LRO | OFFLOAD_RECEIVE_VLAN), 0);
    assert.deepEqual(lines, []);
    assert.equal(
      journal.content.offloads.reduce((mask, entry) => mask | entry.mask, 0),
      OFFLOAD_LRO | OFFLOAD_RECEIVE_VLAN,
    );
    assert.ok(journal.content.offloads.every(({ previous, mask }) => (previous & mask) === mask));
  });

  it("that a driver keeps are said", () => {
    const { features: nic, lines } = features(ALL);
    nic.fitForProgram("eth0");
    assert.deepEqual(lines, ["the driver takes VLAN tags off: do not use VLANs beside the segment on this NIC"]);
    nic.stopReceiveMerging("eth0");
    assert.match(lines[1] ?? "", /merges received frames/);
  });

  it("are remembered as they were before the first change", () => {
    const { features: nic, journal } = features(0);
    nic.fitForProgram("eth0");
    nic.stopReceiveMerging("eth0");
    const before = journal.content.offloads.reduce((bits, { previous, mask }) => bits | (previous & mask), 0);
    assert.equal(before, ALL);
  });

  it("of a NIC that was taken away are nobody's concern", () => {
    const { features: nic, journal, lines } = features(undefined);
    nic.fitForProgram("eth0");
    nic.stopReceiveMerging("eth0");
    assert.deepEqual([journal.content.offloads, lines], [[], []]);
  });
});
