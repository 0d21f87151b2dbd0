// A job that runs on exactly one node, and on another one when that node dies: under a lock of the group.
//
// Run it on one machine, in three terminals, and end the one that works:
//   node dist/examples/failoverJob.js 1     (then 2, then 3)
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { type Lock, Raincore } from "rainfront";

/**
 * Does `job` whenever this node has the lock; the job must stop at once when its signal is aborted, and may end by itself. Resolves when
 * `stop` is aborted and the lock given back; rejects with what the job throws, or `RF_CLOSED`.
 */
export async function runOnOneNode(
  raincore: Raincore,
  name: string,
  job: (fence: bigint, signal: AbortSignal) => Promise<void>,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    let lock: Lock;
    try {
      lock = await raincore.lock(name, { signal: stop });
    } catch (error) {
      if (stop.aborted) return;
      throw error;
    }
    try {
      await job(lock.fence, AbortSignal.any([stop, lock.lost]));
    } finally {
      await lock.release();
    }
  }
}

async function work(fence: bigint, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    console.log(`working, fence ${fence}`);
    await delay(1000, undefined, { signal }).catch(() => {});
  }
}

async function main(nodeId: number): Promise<void> {
  const raincore = await Raincore.start({
    cluster: "example-job",
    clusterKey: new Uint8Array(32).fill(7), // a real one comes from a file that others cannot read
    nodeId,
    addresses: [`127.0.0.${nodeId}`],
    peers: [1, 2, 3].filter((id) => id !== nodeId).map((id) => ({ nodeId: id, addresses: [`127.0.0.${id}`] })),
    port: 7912,
  });
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  // The job ends before the node leaves: with the node its locks go to others at once.
  await runOnOneNode(raincore, "job", work, stop.signal);
  await raincore.leave();
  await raincore.close();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(Number(process.argv[2]));
