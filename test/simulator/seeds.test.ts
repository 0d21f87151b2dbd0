// What the simulator promises of itself: a seed replays exactly, plans can be cut short, and its checkers find what is
// wrong. The seeds that prove Raincore are run by `npm run sim`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MUTANTS, mutated } from "./mutants.js";
import { EXIT, parseOptions, UsageError } from "./options.js";
import { runScenario } from "./run.js";
import { shrink } from "./shrink.js";
import { drawScenario } from "./swarm.js";
import { FREE_VIPS, World } from "./world.js";

test("20 seeds of all faults are safe, and the healed core becomes whole and serves", () => {
  const done = new Map<string, number>();
  for (let seed = 100_001; seed <= 100_020; seed++) {
    const { verdict, what, work } = runScenario(drawScenario(seed, { mode: "both" }));
    assert.equal(verdict, "ok", `seed ${seed}: ${what}`);
    for (const [name, count] of Object.entries(work)) done.set(name, (done.get(name) ?? 0) + count);
  }
  // What never happens is not proven by any number of seeds.
  assert.deepEqual(
    [...done].filter(([, count]) => count === 0),
    [],
  );
});

test("the same seed gives the same trace, another seed another one", () => {
  const hash = (seed: number) => runScenario(drawScenario(seed, { mode: "both" })).hash;
  assert.equal(hash(7), hash(7));
  assert.notEqual(hash(7), hash(8));
});

test("reading along changes nothing", () => {
  const scenario = drawScenario(9, { mode: "both" });
  let lines = 0;
  const traced = runScenario(scenario, () => {
    lines += 1;
  });
  assert.equal(traced.hash, runScenario(scenario).hash);
  assert.ok(lines > 1000);
});

test("many nodes get the timers that they need, and become one group", () => {
  const scenario = { ...drawScenario(3, { mode: "liveness", nodes: 40 }), faults: [] };
  assert.equal(scenario.nodes.length, 40);
  assert.equal(runScenario(scenario).verdict, "ok");
});

test("a failing plan is cut down to the faults that matter", () => {
  const drawn = drawScenario(11, { mode: "both", nodes: 2 });
  const u = drawn.failoverTarget_ms / 28;
  const move = (at: number) =>
    ({ at_ms: drawn.startupWait_ms + (60 + at) * u, kind: "move", vip: 0, asked: 2, to: 2 }) as const;
  const pause = { at_ms: drawn.startupWait_ms + 70 * u, kind: "pause", node: 1, for_ms: 200 * u } as const;
  const shrunk = shrink(
    {
      ...drawn,
      // Its clock runs at half the speed, so while it is stopped its leases last twice as long as the other one waits.
      nodes: drawn.nodes.map((node) => ({ ...node, startAt_ms: 0, clockRate: node.nodeId === 1 ? 0.5 : 1 })),
      quorum: { policy: "available" },
      vips: FREE_VIPS,
      faults: [move(1), move(2), pause, move(11), move(12)],
      faultsEnd_ms: drawn.startupWait_ms + 400 * u,
    },
    () => {},
  );
  assert.equal(shrunk?.outcome.verdict, "correctness");
  assert.deepEqual(shrunk?.scenario.faults, [pause]);
});

test("the checker finds two owners where waits are shorter than leases", () => {
  const violations = [];
  for (let seed = 1; seed <= 10; seed++) {
    const world = new World({ seed, nodes: 3, timers: { lease_ms: 40 } });
    world.startAndSettle();
    const victim = world.owner(world.addresses[0] ?? "") ?? 1;
    world.pause(victim, 1000);
    world.run(1000);
    violations.push(...world.checker.violations);
  }
  assert.ok(violations.length > 0);
  assert.ok(violations.every(({ what }) => what.includes("both answer")));
});

test("wrong usage is refused, and every kind of failure has its exit status", () => {
  for (const args of [["--seeds", "-1"], ["--mode", "fast"], ["--trace"], ["--nodes", "300"], ["--unknown"], ["x"]]) {
    assert.throws(() => parseOptions(args), UsageError, args.join(" "));
  }
  assert.equal(parseOptions(["--seed", "5", "--trace-filter", "view"]).trace, true);
  assert.equal(new Set(Object.values(EXIT)).size, Object.keys(EXIT).length);
});

test("every known mistake can be made in today's sources, and changes them", () => {
  const read = (file: string) => readFileSync(file, "utf8");
  for (const mutant of MUTANTS)
    for (const [file, text] of mutated(mutant, read)) assert.notEqual(text, read(file), mutant.name);
});
