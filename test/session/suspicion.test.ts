// What the kernels say of a process' end gets from the sockets through the ring's thread to the engine.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as passes } from "node:timers/promises";
import type { RaincoreOptions } from "../../lib/session/options.js";
import type { Raincore } from "../../lib/session/raincore.js";
import { Cluster, hasView } from "./cluster.js";

const OPTIONS = { timeout: 60_000, concurrency: 2 };
const PATHS = 2;
/** It opens within milliseconds of the view, or never. */
const LINES_OPEN_MS_MAX = 20_000;

/** Node 2 of that cluster in a process of its own. */
function processOfNode2(port: number, key: Buffer): ChildProcess {
  const options: Omit<RaincoreOptions, "clusterKey"> = {
    cluster: "test",
    nodeId: 2,
    addresses: ["127.0.1.2", "127.0.2.2"],
    peers: [{ nodeId: 1, addresses: ["127.0.1.1", "127.0.2.1"] }],
    port,
    failoverTarget_ms: 3000,
    startupWait_ms: 3000,
    realtime: "off",
    rehearsal: false,
  };
  const program = `
    import { Raincore } from ${JSON.stringify(new URL("../../lib/session/raincore.ts", import.meta.url).href)};
    const clusterKey = Buffer.from(${JSON.stringify(key.toString("hex"))}, "hex");
    await Raincore.start({ ...${JSON.stringify(options)}, clusterKey });
  `;
  return spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}

async function linesOpen(node: Raincore): Promise<number> {
  const until_ms = performance.now() + LINES_OPEN_MS_MAX;
  for (;;) {
    const opened = (await node.stats()).network.lifeline_opened ?? 0;
    if (opened >= PATHS || performance.now() > until_ms) return opened;
    await passes(10);
  }
}

describe("lifelines of a running node", OPTIONS, () => {
  test("are opened with a member, and make it a suspect when its process is killed", async () => {
    const clusterKey = randomBytes(32);
    const cluster = await Cluster.of(2, { clusterKey });
    const child = processOfNode2(cluster.port, clusterKey);
    try {
      const node = await cluster.start(1);
      await hasView(node, [1, 2]);
      assert.equal(await linesOpen(node), PATHS);
      assert.equal((await node.stats()).counters.suspected ?? 0, 0);
      child.kill("SIGKILL");
      await hasView(node, [1]);
      const { counters, network } = await node.stats();
      assert.equal(counters.suspected, 1, "twice within the time of a failed hand-over is once");
      assert.equal(network.lifeline_cut, PATHS);
    } finally {
      child.kill("SIGKILL");
      await cluster.close();
    }
  });

  test("are done without where somebody else has their port, and the program hears why", async () => {
    const cluster = await Cluster.of(1);
    const taken = createServer().listen({ host: "127.0.1.1", port: cluster.port });
    try {
      await once(taken, "listening");
      const node = await cluster.start(1);
      const address = await new Promise((resolve) => {
        node.on("log", ({ code, fields }) => {
          if (code === "ring_lifelines_failed") resolve(fields.address);
        });
      });
      assert.equal(address, "127.0.1.1");
      await node.joined();
    } finally {
      taken.close();
      await cluster.close();
    }
  });
});
