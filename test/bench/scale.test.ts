// `bench scale`: what it does by default, how links are bounded, and what its result says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NOT_MEASURED } from "../../bench/result.js";
import { capLines } from "../../bench/scale/linkCap.js";
import { scaleOptions } from "../../bench/scale/options.js";
import { type Measured, resultOf } from "../../bench/scale/report.js";
import { parseReading } from "../../bench/scale/streams.js";
import { parseWrk } from "../../bench/scale/traffic.js";

const flags = { quick: false, mbit: 100, backend: "xdp", peer: "keepalived" } as const;
const options = { nodes: [1, 4, 8], seconds: 10, mbit_per_s: 100, backend: "xdp" } as const;

function measured(nodes: number, mbit_per_s: number, more: Partial<Measured> = {}): Measured {
  return {
    ...{ system: "rainfront", nodes, layout: "paired", load: "http", mbit_per_s, errors: [] },
    ...{ frames: 1000, relayed: 10, views: 0, idle_share: 0.5, stolen_share: 0, ...more },
  };
}

test("sizes go up from one node, and a quick run has two", () => {
  assert.deepEqual(scaleOptions(flags).nodes, [1, 2, 4, 8]);
  assert.deepEqual(scaleOptions({ ...flags, quick: true }).nodes, [1, 2]);
  assert.deepEqual(scaleOptions({ ...flags, nodes: [8, 1, 8] }).nodes, [1, 8]);
  assert.ok(scaleOptions({ ...flags, quick: true }).seconds < scaleOptions(flags).seconds);
});

test("a link has the bound as its rate, and TCP goes behind all else", () => {
  const lines = capLines("gw1", 100);
  assert.match(lines[0] ?? "", /dev gw1 root .*tbf rate 100mbit burst 25000 limit 625000$/);
  assert.ok(lines.some((line) => /protocol 6 0xff flowid 2:20$/.test(line)));
  assert.ok(lines.some((line) => /default 10$/.test(line)));
  assert.ok(lines.some((line) => /classid 2:10 .* prio 0$/.test(line)));
  assert.ok(lines.some((line) => /classid 2:20 .* prio 1$/.test(line)));
});

test("a slow link still lets several frames through at once", () => {
  assert.match(capLines("gw1", 1)[0] ?? "", /burst 16000 limit 16000$/);
});

test("goals are of pairs of VIPs, and are met by the ratio to one node", () => {
  const { goals, ok } = resultOf(options, [measured(1, 95), measured(4, 370), measured(8, 600)], undefined);
  assert.ok(ok);
  assert.deepEqual(
    goals?.map(({ got, met }) => [got, met]),
    [
      [3.89, true],
      [6.32, false],
    ],
  );
});

test("what was carried another way is another row with a ratio of its own, and no goal", () => {
  const spread = { layout: "spread" } as const;
  const { rows, goals } = resultOf(
    options,
    [measured(1, 95), measured(1, 90, spread), measured(4, 180, spread), measured(4, 270, { system: "keepalived" })],
    undefined,
  );
  assert.deepEqual(
    rows.map(({ ratio_to_one }) => ratio_to_one),
    [1, 1, 2, NOT_MEASURED],
  );
  assert.equal(goals?.[0]?.got, NOT_MEASURED);
});

test("a figure that the links cannot have carried, or that has errors, breaks the run", () => {
  assert.equal(resultOf(options, [measured(1, 110)], undefined).broken.length, 1);
  assert.equal(resultOf(options, [measured(1, 0)], undefined).broken.length, 1);
  assert.equal(resultOf(options, [measured(1, 90, { errors: ["3 HTTP requests failed"] })], undefined).ok, false);
});

test("a machine that was full shows as such, and why there is no peer is told", () => {
  const { rows, figures } = resultOf(options, [measured(8, 500, { idle_share: 0.01 })], "--peer none");
  assert.equal(rows[0]?.note, "machine full");
  assert.equal(figures.keepalived_conntrackd, "skipped: --peer none");
});

test("readings of sockets are of all streams together, with their time", () => {
  const printed = [
    "2000000000",
    "0 0 10.77.0.51:5201 198.51.100.10:40000 cubic bytes_acked:1 bytes_received:38 segs_out:3",
    "0 0 10.77.0.51:5201 198.51.100.10:40001 cubic wscale:7,7 bytes_received:1000 segs_in:3",
    "0 0 10.77.0.51:5201 198.51.100.10:40002 cubic wscale:7,7 segs_in:3",
  ].join("\n");
  assert.deepEqual(parseReading(printed), { at_ms: 2000, connections: 3, bytes: 1038 });
});

test("wrk's figures come behind its own words", () => {
  const printed = 'Running 1s test\n  2 requests\n{"bytes":524288,"duration_us":1000000,"requests":2,"failed":0}\n';
  assert.equal(parseWrk(printed).bytes, 524288);
});
