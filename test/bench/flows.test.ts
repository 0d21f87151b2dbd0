// What `bench flows` makes of what it measures.
import assert from "node:assert/strict";
import { test } from "node:test";
import { floodFigures, rowsOf } from "../../bench/flows/floodFigures.js";
import { flowsIn } from "../../bench/flows/newFlows.js";
import { macsOf } from "../../bench/flows/paths.js";
import { ringBytesOf } from "../../bench/flows/ringBytes.js";
import { Turns, takeTurns } from "../../bench/turns.js";

/** A second of one packet of established flows to three others, which take that long. */
function loop(established_ns: number, others_ns: number) {
  const established = Math.round(1e9 / (established_ns + 3 * others_ns));
  const stream = (frames: number, each_ns: number) => ({
    sent: frames,
    received: frames,
    elapsed_ms: (frames * each_ns) / 1e6,
  });
  return rowsOf({
    streams: [stream(established, established_ns), stream(3 * established, others_ns)],
    busy_ns: established * (established_ns + 3 * others_ns),
  });
}

test("the packets of a row take the row's time", () => {
  const rows = loop(500, 800);
  assert.ok(Math.abs(rows.established_ns - 500) < 1);
  assert.ok(Math.abs(rows.others_ns - 800) < 1);
  assert.ok(Math.abs(rows.loop_ns - 2900) < 1);
  assert.ok(Math.abs(rows.others_per_s / rows.established_per_s - 3) < 0.001);
});

test("a flood that makes nobody's packets dearer costs no goodput but by its own time", () => {
  const figures = floodFigures(loop(500, 500), loop(500, 1000), 200, 100_000);
  assert.equal(figures.flood_goodput_cost_percent, 0);
  // 2,000 ns a packet become 3,500.
  assert.equal(figures.flood_goodput_cost_percent_with_the_floods_own, 42.9);
  assert.equal(figures.flood_cpu_ns_per_syn_beyond_known, 500);
  // 800 ns a SYN, a million times.
  assert.equal(figures.flood_core_percent_at_1m_per_s, 80);
  assert.equal(figures.flood_offered_per_s, 857_143);
  assert.equal(figures.flood_opening_lives_ms, 117);
});

test("a flood that makes the others' packets dearer costs goodput", () => {
  assert.equal(floodFigures(loop(500, 500), loop(625, 500), 200, 100_000).flood_goodput_cost_percent, 20);
});

test("flows are counted by their first packets, which come in batches", () => {
  assert.equal(flowsIn(1000, 1), 1000);
  assert.equal(flowsIn(3 * 64 * 10, 3), 640);
  assert.equal(flowsIn(3 * 64 * 10 + 5, 3), 645);
  assert.equal(flowsIn(3 * 64 * 10 + 64 + 5, 3), 704);
});

test("a message's bytes on the ring's network are those of its parts, sealed, and of their receipts", () => {
  // One part: 27 in front of it, sealed in 48, with IPv4 and UDP 28; a receipt is a sealed datagram of 80.
  assert.equal(ringBytesOf(1000), 1000 + 27 + 48 + 28 + (80 + 28));
  const parts = Math.ceil(65_536 / (1500 - 28 - 48 - 27));
  assert.equal(ringBytesOf(65_536), 65_536 + parts * 103 + Math.ceil(parts / 8) * 108);
});

test("a peer's relay says by its source MAC what it is", () => {
  assert.equal(macsOf("segment").sourceMac, undefined);
  const asks = macsOf("peer asks").sourceMac;
  assert.match(asks ?? "", /^02:.*:00:02$/);
  assert.equal(macsOf("peer's final").sourceMac, `0a${asks?.slice(2)}`);
});

test("contestants take turns, and the best of each counts", async () => {
  const order: string[] = [];
  const contestant = (name: string, costs: number[]) =>
    new Turns(
      name,
      async () => {
        order.push(name);
        return costs.shift() ?? Number.NaN;
      },
      (cost) => cost,
    );
  const [a, b] = [contestant("a", [5, 3, 4]), contestant("b", [1, 2, 3])];
  await takeTurns(3, [a, b], () => {});
  assert.deepEqual(order, ["a", "b", "a", "b", "a", "b"]);
  assert.deepEqual([a.best_ns, b.best_ns], [3, 1]);
  assert.deepEqual(a.all, [5, 3, 4]);
});
