import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { testhostProgram } from "../../lib/lab/paths.js";
import { Promises, resultObject } from "../../lib/lab/scenario.js";
import { Stops, standstillExcuse } from "../../lib/lab/standstill.js";
import { deriveTimers } from "../../lib/raincore/timers.js";

test("a machine that stood still for half of what a hand-over waits excuses, and for less it does not", () => {
  const { handOverFail_ms } = deriveTimers(150);
  assert.equal(standstillExcuse(handOverFail_ms / 2 - 0.1, 150), undefined);
  assert.match(standstillExcuse(handOverFail_ms / 2, 150) ?? "", /stood still for 24\.1\d* ms/);
  assert.equal(standstillExcuse(handOverFail_ms / 2, 500), undefined);
});

test("a stop excuses what happens during it and shortly after, and what happens between two of them is judged", async () => {
  const long_ms = deriveTimers(150).handOverFail_ms / 2 + 0.001;
  const taken = [
    [{ from_ms: 0, to_ms: 900 }],
    [
      { from_ms: 1000, to_ms: 1000 + long_ms },
      { from_ms: 4000, to_ms: 4010 },
    ],
    [{ from_ms: 9000, to_ms: 9060 }],
    [],
  ];
  const stops = await Stops.since({ take: async () => taken.shift() ?? [] }, 150);
  assert.equal(stops.longest_ms, 0, "what was before is nothing to it");
  assert.ok(Math.abs((await stops.take_ms()) - long_ms) < 0.001);
  assert.equal(await stops.take_ms(), 60);
  assert.equal(await stops.take_ms(), 0);
  assert.equal(stops.longest_ms, 60);
  assert.equal(stops.excuseFor(0, 999), undefined);
  assert.match(stops.excuseFor(0, 1000) ?? "", /for 24\.1\d* ms/);
  assert.match(stops.excuseFor(2000 + long_ms, 3000) ?? "", /for 24\.1\d* ms/);
  assert.equal(stops.excuseFor(2001 + long_ms, 3000), undefined);
  assert.equal(stops.excuseFor(4000, 4020), undefined);
  assert.match(stops.excuseFor(9030, 9040) ?? "", /for 60 ms/);
});

test("what is excused is told with its reason, and leaves what was broken before and after", () => {
  const promises = new Promises();
  promises.expect(false, "first");
  promises.excuse("the machine slept");
  promises.expect(true, "held");
  promises.expect(false, "second");
  promises.excuse(undefined);
  promises.expect(false, "third");
  assert.deepEqual(promises.broken, ["first", "third"]);
  assert.deepEqual(promises.unjudged, ["second (the machine slept)"]);
});

test("a result says what was not judged, and nothing about it where all was", () => {
  const settings = { backend: "none", nodes: 2, families: [4], failoverTarget_ms: 150 } as unknown as Parameters<
    typeof resultObject
  >[1];
  const of = (unjudged: readonly string[]) => resultObject("traffic", settings, { broken: [], unjudged, figures: {} });
  assert.deepEqual([of(["it"]).ok, of(["it"]).unjudged], [true, ["it"]]);
  assert.ok(!("unjudged" in of([])));
});

test("a watch tells for how long its CPU did not let it run, and each report is of the time since the last one", async () => {
  const watch = spawn(testhostProgram(), ["standstill", "--cpu", "0"], { stdio: ["pipe", "pipe", "inherit"] });
  try {
    const lines = createInterface({ input: watch.stdout })[Symbol.asyncIterator]();
    const report = async (): Promise<{ late_ms_max: number; window_ms: number; delays: [number, number][] }> => {
      watch.stdin.write("report\nreset\n");
      return JSON.parse((await lines.next()).value);
    };
    await report();
    const from_ms = Number(process.hrtime.bigint()) / 1e6;
    watch.kill("SIGSTOP");
    await setTimeout(200);
    const stopped_ms = Number(process.hrtime.bigint()) / 1e6 - from_ms;
    watch.kill("SIGCONT");
    const stopped = await report();
    assert.ok(stopped.late_ms_max >= stopped_ms - 20, `${stopped.late_ms_max} of ${stopped_ms}`);
    const longest = stopped.delays.find(([from, to]) => Math.abs(to - from - stopped.late_ms_max) < 0.01);
    assert.ok(longest !== undefined && Math.abs(longest[0] - from_ms) < 20, `${stopped.delays} from ${from_ms}`);
    const next = await report();
    assert.ok(next.delays.every(([from]) => from > longest[0] + stopped_ms / 2));
    assert.ok(next.window_ms < stopped.window_ms);
    assert.ok(next.late_ms_max <= next.window_ms);
  } finally {
    watch.kill("SIGKILL");
  }
});
