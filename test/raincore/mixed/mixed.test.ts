// Nodes with different modules in one ring: what works, for whom, and that what is refused is refused aloud.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Kind, MixedCluster } from "./cluster.js";
import { FILL_BYTES_HALF, FILL_BYTES_MAX } from "./filler.js";

function settled(kinds: readonly Kind[], seed = 1): MixedCluster {
  const cluster = new MixedCluster(kinds, seed);
  cluster.run(2000);
  for (const nodeId of cluster.nodeIds) assert.equal(cluster.membersSeenBy(nodeId), kinds.length);
  return cluster;
}

describe("a member without the services", () => {
  test("holds up neither multicast nor shared carriages nor locks of the others", () => {
    const cluster = settled(["whole", "bare", "whole"]);
    const keys = Array.from({ length: 50 }, (_, i) => cluster.send(1, 3000, i % 2 === 0 ? "agreed" : "safe"));
    cluster.update(1, "plan");
    const first = cluster.acquire(1, "job");
    cluster.run(500);
    const second = cluster.acquire(3, "job");
    cluster.run(500);
    assert.deepEqual(cluster.delivered(1), keys);
    assert.deepEqual(cluster.delivered(3), keys);
    cluster.update(3, "plan");
    if (first !== undefined) cluster.release(first);
    cluster.run(500);
    assert.equal(cluster.counts.updated, 2);
    assert.equal(second?.state, "holding");
    cluster.check();
    cluster.checkAtRest();
  });

  test("takes part from its first view on when it comes back with them", () => {
    const cluster = settled(["whole", "bare", "whole"]);
    cluster.send(1, 100);
    cluster.run(300);
    cluster.crash(2);
    cluster.start(2, "whole");
    const keys: number[] = [];
    for (let i = 0; i < 200; i++) {
      keys.push(cluster.send(1 + (i % 2) * 2, 500));
      cluster.run(5);
    }
    cluster.run(1000);
    const got = cluster.delivered(2);
    assert.ok(got.length > 50);
    assert.deepEqual(got, cluster.delivered(1).slice(-got.length));
    cluster.check();
    cluster.checkAtRest();
  });
});

describe("a member with an older format", () => {
  test("is refused what it asks for, and the others go on", () => {
    const cluster = settled(["whole", "whole", "bare"]);
    const before = cluster.acquire(1, "job");
    cluster.run(500);
    assert.equal(before?.state, "holding");
    cluster.crash(3);
    cluster.start(3, "newer");
    cluster.run(2000);
    const key = cluster.send(3, 100);
    cluster.update(3, "plan");
    cluster.run(500);
    assert.equal(cluster.outcome(key), "delivered");
    const after = cluster.acquire(3, "job");
    cluster.run(500);
    assert.equal(before?.state, "over", "what an older node held it has lost");
    assert.equal(after?.state, "holding");
    const refused = cluster.send(1, 100);
    cluster.update(1, "plan");
    const lock = cluster.acquire(1, "other");
    cluster.run(500);
    assert.equal(cluster.outcome(refused), "unsent");
    assert.equal(lock?.state, "over");
    assert.equal(cluster.counts.notUpdated, 1);
    cluster.check();
    cluster.checkAtRest();
  });

  test("has its part again when it has been upgraded", () => {
    const cluster = settled(["whole", "whole", "newer"]);
    for (const nodeId of [1, 2]) {
      cluster.send(3, 100);
      cluster.run(500);
      cluster.crash(nodeId);
      cluster.start(nodeId, "newer");
      cluster.run(1500);
    }
    const keys = cluster.nodeIds.map((nodeId) => cluster.send(nodeId, 100, "safe"));
    cluster.run(500);
    for (const nodeId of cluster.nodeIds) assert.deepEqual(cluster.delivered(nodeId).slice(-3).sort(), keys);
    cluster.check();
    cluster.checkAtRest();
  });
});

describe("a token that an unknown carriage fills", () => {
  test("gives no lock to anybody, rather than one lock to two", () => {
    const cluster = settled(["whole", "whole", "filler"]);
    cluster.fill_bytes = FILL_BYTES_MAX;
    cluster.run(500);
    // More than the bytes that are left could hold.
    const names = Array.from({ length: 60 }, (_, i) => String(i).padStart(64, "x"));
    const clients = names.flatMap((name) => [cluster.acquire(1, name), cluster.acquire(2, name)]);
    const holding = () => clients.filter((client) => client?.state === "holding").length;
    cluster.run(500);
    cluster.check();
    assert.equal(holding(), 0);
    cluster.fill_bytes = 0;
    cluster.run(500);
    assert.equal(holding(), names.length);
    cluster.check();
  });

  test("leaves a lock with its holder, who gives it back when there is room", () => {
    const cluster = settled(["whole", "whole", "filler"]);
    const first = cluster.acquire(1, "job");
    cluster.run(500);
    const second = cluster.acquire(2, "job");
    cluster.run(500);
    cluster.fill_bytes = FILL_BYTES_MAX;
    cluster.run(2000);
    assert.ok(cluster.counter(1, "carriage_no_room") > 0);
    assert.deepEqual([first?.state, second?.state], ["holding", "waiting"]);
    if (first !== undefined) cluster.release(first);
    cluster.run(500);
    assert.equal(second?.state, "waiting");
    cluster.fill_bytes = 0;
    cluster.run(500);
    assert.equal(second?.state, "holding");
    cluster.check();
  });

  test("delivers nothing that was not on it, and all of it when there is room", () => {
    const cluster = settled(["whole", "whole", "filler"]);
    cluster.send(1, 60_000);
    cluster.fill_bytes = FILL_BYTES_HALF;
    cluster.run(300);
    const keys = [cluster.send(1, 40_000), cluster.send(2, 40_000)];
    cluster.run(500);
    cluster.check();
    cluster.fill_bytes = 0;
    cluster.run(500);
    for (const key of keys) assert.equal(cluster.outcome(key), "delivered");
    cluster.check();
    cluster.checkAtRest();
  });

  test("is counted where it keeps a module from its visit, and multicast goes on when there is room", () => {
    const cluster = settled(["whole", "filler", "whole"]);
    cluster.fill_bytes = FILL_BYTES_MAX;
    cluster.run(500);
    assert.equal(cluster.counter(2, "carriage_too_large"), 0);
    const key = cluster.send(1, 100);
    cluster.run(500);
    assert.ok(cluster.counter(1, "carriage_no_room") > 0);
    assert.equal(cluster.outcome(key), undefined);
    cluster.fill_bytes = 10;
    cluster.run(500);
    assert.equal(cluster.outcome(key), "delivered");
    cluster.check();
    cluster.checkAtRest();
  });
});

const NODES = 4;
const KINDS: readonly Kind[] = ["whole", "whole", "whole", "newer", "bare", "filler"];

type Step =
  | { readonly do: "run"; readonly for_ms: number }
  | { readonly do: "send"; readonly node: number; readonly bytes: number; readonly safe: boolean }
  | { readonly do: "update" | "acquire"; readonly node: number; readonly name: string }
  | { readonly do: "release"; readonly nth: number }
  | { readonly do: "crash" | "leave"; readonly node: number }
  | { readonly do: "start"; readonly node: number; readonly kind: Kind }
  | { readonly do: "pause"; readonly node: number; readonly for_ms: number }
  | { readonly do: "cut"; readonly sides: number }
  | { readonly do: "lose"; readonly rate: number }
  | { readonly do: "fill"; readonly bytes: number }
  | { readonly do: "heal" };

const node = fc.integer({ min: 1, max: NODES });
const kind = fc.constantFrom(...KINDS);
const just = <T extends string>(...values: T[]) => fc.constantFrom(...values);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: just("run"), for_ms: fc.integer({ min: 1, max: 200 }) }) },
    {
      weight: 5,
      arbitrary: fc.record({ do: just("send"), node, bytes: fc.constantFrom(4, 1000, 40_000), safe: fc.boolean() }),
    },
    { weight: 4, arbitrary: fc.record({ do: just("update", "acquire"), node, name: just("a", "b") }) },
    { weight: 2, arbitrary: fc.record({ do: just("release"), nth: fc.nat(20) }) },
    { weight: 2, arbitrary: fc.record({ do: just("crash", "leave"), node }) },
    { weight: 3, arbitrary: fc.record({ do: just("start"), node, kind }) },
    { weight: 1, arbitrary: fc.record({ do: just("pause"), node, for_ms: fc.integer({ min: 1, max: 250 }) }) },
    { weight: 1, arbitrary: fc.record({ do: just("cut"), sides: fc.integer({ min: 1, max: 2 ** NODES - 2 }) }) },
    { weight: 1, arbitrary: fc.record({ do: just("lose"), rate: fc.constantFrom(0, 0.05, 0.2) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: just("fill"), bytes: fc.constantFrom(0, FILL_BYTES_HALF, FILL_BYTES_MAX) }),
    },
    { weight: 1, arbitrary: fc.record({ do: just("heal") }) },
  ),
  { minLength: 10, maxLength: 60, size: "max" },
);

function take(cluster: MixedCluster, step: Step): void {
  switch (step.do) {
    case "run":
      cluster.run(step.for_ms);
      break;
    case "send":
      cluster.send(step.node, step.bytes, step.safe ? "safe" : "agreed");
      break;
    case "update":
      cluster.update(step.node, step.name);
      break;
    case "acquire":
      cluster.acquire(step.node, step.name);
      break;
    case "release": {
      const live = cluster.clients.filter(({ state }) => state !== "over");
      const client = live[step.nth % Math.max(1, live.length)];
      if (client !== undefined) cluster.release(client);
      break;
    }
    case "crash":
    case "leave":
      cluster[step.do](step.node);
      break;
    case "start":
      cluster.crash(step.node);
      cluster.start(step.node, step.kind);
      break;
    case "pause":
      cluster.pause(step.node, step.for_ms);
      break;
    case "cut":
      cluster.cut((nodeId) => (step.sides >> (nodeId - 1)) & 1);
      break;
    case "lose":
      cluster.lossRate = step.rate;
      break;
    case "fill":
      cluster.fill_bytes = step.bytes;
      break;
    case "heal":
      cluster.heal();
      break;
    default:
      step satisfies never;
  }
}

/** All are well, and every lock is given back as soon as it is had, until nobody waits. */
function calmDown(cluster: MixedCluster): void {
  cluster.heal();
  // A carriage stays as it is when the last node that has its module is gone.
  cluster.crash(NODES);
  cluster.start(NODES, "filler");
  cluster.fill_bytes = 0;
  cluster.run(4000);
  for (let round = 0; round < 40; round++) {
    for (const client of cluster.clients) if (client.state === "holding") cluster.release(client);
    cluster.run(100);
  }
}

test("whatever kinds come and go, under cuts, crashes and a full token, the services keep their promises, and nobody waits for ever", () => {
  const runs = Number(process.env.MIXED_RUNS ?? 25);
  fc.assert(
    fc.property(fc.array(kind, { minLength: NODES, maxLength: NODES }), fc.nat(), steps, (kinds, seed, history) => {
      const cluster = new MixedCluster(kinds, seed);
      cluster.run(1000);
      for (const step of history) take(cluster, step);
      calmDown(cluster);
      cluster.check();
      cluster.checkAtRest();
    }),
    { numRuns: runs },
  );
});
