// The example: its job runs on one node at a time, and goes on when that node is gone.
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { afterEach, beforeEach, describe, test } from "node:test";
import { runOnOneNode } from "../../examples/failoverJob.js";
import type { Raincore } from "../../lib/session/raincore.js";
import { Cluster } from "../session/cluster.js";

interface Run {
  readonly nodeId: number;
  readonly fence: bigint;
}

describe("the example's job", () => {
  let cluster: Cluster;
  let nodes: Raincore[];
  beforeEach(async () => {
    cluster = await Cluster.of(3);
    nodes = await cluster.startAll();
  });
  afterEach(() => cluster.close());

  /** The job on all nodes. It works until its signal says stop. */
  function runEverywhere() {
    const begun = new EventEmitter<{ run: [run: Run] }>();
    const runs: Run[] = [];
    let running = 0;
    let atOnce = 0;
    const job = async (nodeId: number, fence: bigint, signal: AbortSignal): Promise<void> => {
      running += 1;
      atOnce = Math.max(atOnce, running);
      runs.push({ nodeId, fence });
      begun.emit("run", { nodeId, fence });
      if (!signal.aborted) await once(signal, "abort");
      running -= 1;
    };
    const stops = new Map(nodes.map(({ nodeId }) => [nodeId, new AbortController()]));
    const ended = nodes.map((node) => {
      const stop = stops.get(node.nodeId)?.signal ?? AbortSignal.abort();
      return runOnOneNode(node, "job", (fence, signal) => job(node.nodeId, fence, signal), stop);
    });
    // One that dies rejects; the test looks when it is over.
    const outcomes = Promise.allSettled(ended);
    const stop = (nodeId: number): void => stops.get(nodeId)?.abort();
    return { begun, runs, stop, atOnce: () => atOnce, outcomes };
  }

  const nodeOf = (nodeId: number): Raincore => {
    const node = nodes.find((one) => one.nodeId === nodeId);
    assert.ok(node);
    return node;
  };

  for (const { title, go } of [
    // As the example's main does: the job ends first, for a node that leaves gives its locks away at once.
    { title: "leaves", go: async (node: Raincore) => node.leave() },
    { title: "dies", go: async (node: Raincore) => node.close() },
  ]) {
    test(`runs on one node, and on another with a greater fence when that one ${title}`, async () => {
      const job = runEverywhere();
      const gone: number[] = [];
      let last: Run | undefined;
      for (let next = once(job.begun, "run"); gone.length < 3; ) {
        const [run] = (await next) as [Run];
        assert.ok(last === undefined || run.fence > last.fence);
        assert.ok(!gone.includes(run.nodeId));
        last = run;
        gone.push(run.nodeId);
        next = once(job.begun, "run");
        if (title === "leaves") job.stop(run.nodeId);
        await go(nodeOf(run.nodeId));
      }
      assert.equal(job.atOnce(), 1);
      const outcomes = await job.outcomes;
      for (const outcome of outcomes) {
        if (title === "leaves") assert.equal(outcome.status, "fulfilled");
        else assert.equal((outcome as PromiseRejectedResult).reason.code, "RF_CLOSED");
      }
    });
  }

  test("ends everywhere when it is told to, and leaves the lock free", async () => {
    const job = runEverywhere();
    await once(job.begun, "run");
    for (const { nodeId } of nodes) job.stop(nodeId);
    for (const outcome of await job.outcomes) assert.equal(outcome.status, "fulfilled");
    assert.equal(job.atOnce(), 1);
    await (await nodeOf(1).lock("job", { wait_ms: 0 })).release();
  });
});
