import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { QuorumPolicy } from "../../../lib/raincore/types.js";
import { type Client, Cluster, TIMERS } from "./cluster.js";

const MAJORITY: QuorumPolicy = { policy: "majority", tieBreaker: 1 };
const AVAILABLE: QuorumPolicy = { policy: "available" };
const NAMES = ["a", "b"];

type Step =
  | { readonly do: "run"; readonly for_ms: number }
  | {
      readonly do: "acquire";
      readonly node: number;
      readonly name: string;
      readonly wait_ms?: number;
      readonly ttl_ms?: number;
    }
  | { readonly do: "release"; readonly nth: number }
  | { readonly do: "crash" | "start" | "leave"; readonly node: number }
  | { readonly do: "pause"; readonly node: number; readonly for_ms: number }
  | { readonly do: "cut"; readonly sides: number }
  | { readonly do: "lose"; readonly rate: number }
  | { readonly do: "heal" };

function stepsOf(nodes: number, faults: "all" | "processes") {
  const node = fc.integer({ min: 1, max: nodes });
  const name = fc.constantFrom(...NAMES);
  const time_ms = fc.integer({ min: 0, max: 300 });
  const acquire = fc.record(
    { do: fc.constant("acquire" as const), node, name, wait_ms: time_ms, ttl_ms: time_ms },
    { requiredKeys: ["do", "node", "name"] },
  );
  const process: fc.Arbitrary<Step>[] = [
    fc.record({ do: fc.constantFrom("crash" as const, "start" as const, "leave" as const), node }),
    fc.record({ do: fc.constant("pause" as const), node, for_ms: fc.integer({ min: 1, max: 250 }) }),
  ];
  const network: fc.Arbitrary<Step>[] = [
    fc.record({ do: fc.constant("cut" as const), sides: fc.integer({ min: 1, max: 2 ** nodes - 2 }) }),
    fc.record({ do: fc.constant("lose" as const), rate: fc.constantFrom(0, 0.05, 0.2) }),
    fc.record({ do: fc.constant("heal" as const) }),
  ];
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant("run" as const), for_ms: fc.integer({ min: 1, max: 200 }) }) },
    { weight: 4, arbitrary: acquire },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("release" as const), nth: fc.nat(20) }) },
    { weight: 3, arbitrary: fc.oneof(...process, ...(faults === "all" ? network : [])) },
  );
  return fc.array(step, { minLength: 10, maxLength: 80, size: "max" });
}

function take(cluster: Cluster, step: Step): void {
  switch (step.do) {
    case "run":
      cluster.run(step.for_ms);
      break;
    case "acquire":
      cluster.acquire(step.node, step.name, times(step));
      break;
    case "release": {
      const live = cluster.clients.filter(({ state }) => state !== "over");
      const client = live[step.nth % Math.max(1, live.length)];
      if (client !== undefined) cluster.release(client);
      break;
    }
    case "crash":
    case "start":
    case "leave":
      cluster[step.do](step.node);
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
    case "heal":
      cluster.heal();
      break;
    default:
      step satisfies never;
  }
}

function times({ wait_ms, ttl_ms }: { readonly wait_ms?: number; readonly ttl_ms?: number }) {
  return { ...(wait_ms === undefined ? {} : { wait_ms }), ...(ttl_ms === undefined ? {} : { ttl_ms }) };
}

/** All faults end; every client lets go of what it gets: everybody who waits must get its lock, and none may be left over. */
function settle(cluster: Cluster): void {
  cluster.heal();
  cluster.run(2 * TIMERS.lease_ms);
  cluster.heal(); // those that were leaving have left by now
  for (let round = 0; round < 400 && cluster.clients.some(({ state }) => state !== "over"); round++) {
    for (const client of cluster.clients) if (client.state === "holding") cluster.release(client);
    cluster.run(20);
  }
  const starved = cluster.clients.filter(({ state }) => state !== "over");
  assert.deepEqual(starved, [], "somebody still waits");
  cluster.run(10 * TIMERS.rotation_ms);
  for (const nodeId of cluster.nodeIds) {
    assert.equal(cluster.membersSeenBy(nodeId), cluster.nodeIds.length, `the view of node ${nodeId}`);
    assert.deepEqual(cluster.locksOf(nodeId).list(), [], `locks that node ${nodeId} sees`);
    assert.equal(cluster.locksOf(nodeId).counters.malformed_carriage, 0);
  }
}

function formed(options: ConstructorParameters<typeof Cluster>[0]): Cluster {
  const cluster = new Cluster(options);
  cluster.run(600);
  for (const nodeId of cluster.nodeIds) assert.equal(cluster.membersSeenBy(nodeId), options.nodes);
  return cluster;
}

const seed = fc.integer();
const runs = {
  numRuns: Number(process.env.RAINFRONT_LOCK_RUNS ?? 60),
  includeErrorInReport: true,
  endOnFailure: process.env.RAINFRONT_LOCK_RUNS !== undefined,
};

describe("whatever happens to processes and network", () => {
  for (const nodes of [3, 4, 5]) {
    test(`a majority of ${nodes} has one holder per lock, growing fences, and forgets no waiter`, () => {
      fc.assert(
        fc.property(seed, stepsOf(nodes, "all"), (seed, steps) => {
          const cluster = formed({ nodes, seed, quorum: MAJORITY });
          for (const step of steps) take(cluster, step);
          settle(cluster);
          assert.deepEqual(cluster.violations, []);
        }),
        runs,
      );
    });
  }

  test("without a majority rule, one holder per lock as long as the network is whole", () => {
    fc.assert(
      fc.property(seed, stepsOf(3, "processes"), (seed, steps) => {
        const cluster = formed({ nodes: 3, seed, quorum: AVAILABLE });
        for (const step of steps) take(cluster, step);
        settle(cluster);
        assert.deepEqual(cluster.violations, []);
      }),
      runs,
    );
  });
});

const hold = (cluster: Cluster, node: number): Client => {
  const client = cluster.acquire(node, "a");
  assert.ok(client);
  cluster.run(200);
  assert.equal(client.state, "holding");
  return client;
};

describe("in a group of three", () => {
  test("a free lock is had within a rotation, and handed on within another", () => {
    const cluster = formed({ nodes: 3, seed: 1, quorum: AVAILABLE });
    cluster.run(200);
    const first = cluster.acquire(2, "a");
    cluster.run(TIMERS.rotation_ms + 10);
    const second = cluster.acquire(3, "a");
    cluster.run(TIMERS.rotation_ms + 10);
    assert.ok(first && second);
    assert.deepEqual([first.state, second.state], ["holding", "waiting"]);
    cluster.release(first);
    cluster.run(TIMERS.rotation_ms + 10);
    assert.equal(second.state, "holding");
    assert.ok(second.fence > first.fence);
  });

  test("the lock of a node that died goes on when its lease has ended, and not before", () => {
    const cluster = formed({ nodes: 3, seed: 2, quorum: MAJORITY });
    const dead = hold(cluster, 1);
    const next = cluster.acquire(2, "a");
    cluster.run(100);
    cluster.crash(1);
    const crashed_ms = cluster.now_ms;
    while (next?.state === "waiting" && cluster.now_ms < crashed_ms + 1000) cluster.run(1);
    assert.equal(next?.state, "holding");
    const gap_ms = cluster.now_ms - crashed_ms;
    assert.ok(gap_ms > TIMERS.lease_ms - TIMERS.rotation_ms - 10, `after ${gap_ms} ms`);
    assert.ok(gap_ms < TIMERS.bound_ms + TIMERS.rotation_ms, `after ${gap_ms} ms`);
    assert.ok((next?.fence ?? 0n) > dead.fence);
  });

  test("a free lock that a dead node may have taken unseen is not given before that node's lease has ended", () => {
    const cluster = formed({ nodes: 3, seed: 3, quorum: MAJORITY });
    cluster.run(300);
    const dead = cluster.acquire(1, "a");
    cluster.crash(1);
    const crashed_ms = cluster.now_ms;
    const next = cluster.acquire(2, "a");
    while (next?.state === "waiting" && cluster.now_ms < crashed_ms + 1000) cluster.run(1);
    assert.equal(dead?.state, "over");
    assert.equal(next?.state, "holding");
    assert.ok(cluster.now_ms - crashed_ms < TIMERS.bound_ms + TIMERS.rotation_ms);
  });

  test("nor when the last one left puts in a node that asks, in the same visit", () => {
    const cluster = formed({ nodes: 3, seed: 8, quorum: AVAILABLE });
    cluster.crash(1);
    cluster.run(2 * TIMERS.bound_ms);
    // The token rests at node 2, which takes the lock and is stopped before it passes that on.
    for (let tried_ms = 0; !cluster.isHolding(2) && tried_ms < 10_000; tried_ms++) cluster.run(1);
    assert.ok(cluster.isHolding(2));
    const unseen = cluster.acquire(2, "a");
    assert.equal(unseen?.state, "holding");
    cluster.pause(2, 2 * TIMERS.bound_ms);
    const stopped_ms = cluster.now_ms;
    const next = cluster.acquire(3, "a");
    cluster.start(1);
    while (next?.state === "waiting" && cluster.now_ms < stopped_ms + 1000) cluster.run(1);
    assert.equal(next?.state, "holding");
    assert.ok(cluster.now_ms - stopped_ms < TIMERS.bound_ms + TIMERS.rotation_ms);
    assert.deepEqual(cluster.violations, []);
  });

  test("a minority gives its locks up and the majority takes them; the minority's client is told", () => {
    const cluster = formed({ nodes: 3, seed: 4, quorum: MAJORITY });
    const cutOff = hold(cluster, 3);
    const next = cluster.acquire(1, "a");
    cluster.cut((nodeId) => (nodeId === 3 ? 1 : 0));
    cluster.run(2 * TIMERS.bound_ms);
    assert.match(cutOff.outcome, /^lost (lease|view)$/);
    assert.equal(next?.state, "holding");
    const refused = cluster.acquire(3, "b", { wait_ms: 50 });
    cluster.run(2000);
    assert.equal(refused?.outcome, "refused timeout");
    cluster.heal();
    cluster.run(1000);
    const later = cluster.acquire(3, "a");
    assert.ok(later && next);
    cluster.release(next);
    cluster.run(200);
    assert.equal(later.state, "holding");
    assert.deepEqual(cluster.violations, []);
  });

  test("a client that waits through the restart of a group gets its lock", () => {
    const cluster = formed({ nodes: 3, seed: 5, quorum: MAJORITY });
    hold(cluster, 1);
    const waiting = cluster.acquire(2, "a");
    cluster.run(100);
    cluster.cut((nodeId) => nodeId);
    cluster.run(1000);
    assert.equal(waiting?.state, "waiting");
    cluster.heal();
    cluster.run(2000);
    assert.equal(waiting?.state, "holding");
    assert.deepEqual(cluster.violations, []);
  });

  test("a node that leaves gives its lock to the next at once", () => {
    const cluster = formed({ nodes: 3, seed: 6, quorum: AVAILABLE });
    const leaver = hold(cluster, 1);
    const next = cluster.acquire(2, "a");
    cluster.run(100);
    cluster.leave(1);
    cluster.run(TIMERS.rotation_ms + 10);
    assert.equal(leaver.outcome, "lost view");
    assert.equal(next?.state, "holding");
  });
});
