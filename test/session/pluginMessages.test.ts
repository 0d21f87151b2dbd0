// What plugins send each other, in the rings' threads, and what the programs around them get.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { RainfrontError } from "../../lib/errors.js";
import { Cluster } from "./cluster.js";

const PLUGIN = new URL("./plugin.ts", import.meta.url).href;
const OPTIONS = { timeout: 120_000 };

test(
  "a plugin's messages reach the other node's plugin, and its answer comes back; others are the program's",
  OPTIONS,
  async () => {
    const cluster = await Cluster.of(2, { plugin: { module: PLUGIN, data: {} } });
    try {
      const [one, two] = await cluster.startAll();
      if (one === undefined || two === undefined) throw new Error("there are two nodes");
      const direct: Uint8Array[] = [];
      for (const node of [one, two]) node.on("direct", ({ bytes }) => direct.push(bytes));
      for (let word = 1; word <= 20; word++) {
        const answered: Promise<unknown[]> = once(one, "plugin");
        await one.call("ask", { node: 2, word });
        assert.deepEqual(await answered, [{ from: 2, answer: word }]);
      }
      const heard = once(two, "direct");
      await one.send(2, Uint8Array.of(7));
      await heard;
      assert.deepEqual(direct, [Uint8Array.of(7)]);
      await assert.rejects(
        one.call("ask", { node: 9, word: 1 }),
        (error) => error instanceof RainfrontError && error.code === "RF_NODE_UNKNOWN",
      );
    } finally {
      await cluster.close();
    }
  },
);
