// The example: its job runs on one node at a time, and goes on when that node is gone.
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { describe, test } from "node:test";
import { runOnOneNode } from "../../examples/failoverJob.js";
import type { Raincore } from "../../lib/session/raincore.js";
import { Cluster } from "../session/cluster.js";

interface Run {
  readonly nodeId: number;
  readonly fence: bigint;
}

/** Three nodes, and the job on all of them. It works until its signal says stop. */
class Everywhere {
  readonly begun = new EventEmitter<{ run: [run: Run] }>();
  /** One that dies rejects; the test looks when it is over. */
  readonly outcomes: Promise<PromiseSettledResult<void>[]>;
  readonly #nodes: readonly Raincore[];
  readonly #stops: ReadonlyMap<number, AbortController>;
  #running = 0;
  #atOnce = 0;

  constructor(nodes: readonly Raincore[]) {
    this.#nodes = nodes;
    this.#stops = new Map(nodes.map(({ nodeId }) => [nodeId, new AbortController()]));
    const ended = nodes.map((node) => {
      const stop = this.#stops.get(node.nodeId)?.signal ?? AbortSignal.abort();
      return runOnOneNode(node, "job", (fence, signal) => this.#job(node.nodeId, fence, signal), stop);
    });
    this.outcomes = Promise.allSettled(ended);
  }

  /** How many jobs have worked at the same time. */
  get atOnce(): number {
    return this.#atOnce;
  }

  stop(nodeId: number): void {
    this.#stops.get(nodeId)?.abort();
  }

  node(nodeId: number): Raincore {
    const found = this.#nodes.find((one) => one.nodeId === nodeId);
    assert.ok(found);
    return found;
  }

  async #job(nodeId: number, fence: bigint, signal: AbortSignal): Promise<void> {
    this.#running += 1;
    this.#atOnce = Math.max(this.#atOnce, this.#running);
    this.begun.emit("run", { nodeId, fence });
    if (!signal.aborted) await once(signal, "abort");
    this.#running -= 1;
  }
}

async function withJob(act: (job: Everywhere) => Promise<void>): Promise<void> {
  const cluster = await Cluster.of(3);
  try {
    await act(new Everywhere(await cluster.startAll()));
  } finally {
    await cluster.close();
  }
}

// Each test has a cluster of its own and waits for it most of the time.
describe("the example's job", { concurrency: true }, () => {
  for (const { title, go } of [
    // As the example's main does: the job ends first, for a node that leaves gives its locks away at once.
    { title: "leaves", go: async (node: Raincore) => node.leave() },
    { title: "dies", go: async (node: Raincore) => node.close() },
  ]) {
    test(`runs on one node, and on another with a greater fence when that one ${title}`, () =>
      withJob(async (job) => {
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
          await go(job.node(run.nodeId));
        }
        assert.equal(job.atOnce, 1);
        for (const outcome of await job.outcomes) {
          if (title === "leaves") assert.equal(outcome.status, "fulfilled");
          else assert.equal((outcome as PromiseRejectedResult).reason.code, "RF_CLOSED");
        }
      }));
  }

  test("ends everywhere when it is told to, and leaves the lock free", () =>
    withJob(async (job) => {
      await once(job.begun, "run");
      for (const nodeId of [1, 2, 3]) job.stop(nodeId);
      for (const outcome of await job.outcomes) assert.equal(outcome.status, "fulfilled");
      assert.equal(job.atOnce, 1);
      await (await job.node(1).lock("job", { wait_ms: 0 })).release();
    }));
});
