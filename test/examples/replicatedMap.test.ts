// The example: its map is the same on all nodes, whoever comes and goes.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ReplicatedMap } from "../../examples/replicatedMap.js";
import type { Raincore } from "../../lib/session/raincore.js";
import { Cluster, hasView } from "../session/cluster.js";

interface Replica {
  readonly node: Raincore;
  readonly map: ReplicatedMap;
}

/** Three nodes that the test starts, each with a map. */
async function withCluster(act: (start: (nodeId: number) => Promise<Replica>) => Promise<void>): Promise<void> {
  const cluster = await Cluster.of(3);
  try {
    await act(async (nodeId) => {
      const node = await cluster.start(nodeId);
      return { node, map: new ReplicatedMap(node) };
    });
  } finally {
    await cluster.close();
  }
}

const MARK = JSON.stringify({ do: "delete", key: "a mark that is no key" });

/** A safe message of a node is delivered everywhere behind all that it sent before. */
async function settled(...nodes: readonly Raincore[]): Promise<void> {
  const isMark = ({ bytes }: { bytes: Uint8Array }): boolean => Buffer.from(bytes).toString() === MARK;
  const marks = nodes.map(
    (node) =>
      new Promise<void>((resolve) => {
        let missing = nodes.length;
        node.on("message", (message) => {
          if (isMark(message) && --missing === 0) resolve();
        });
      }),
  );
  await Promise.all(nodes.map((node) => node.multicast(Buffer.from(MARK))));
  await Promise.all(marks);
}

const sorted = (map: ReplicatedMap): readonly (readonly [string, string])[] => [...map.entries].sort();

// Each test has a cluster of its own and waits for it most of the time.
describe("the example's replicated map", { concurrency: true }, () => {
  test("begins empty when all start together, and is equal on all when all write at once", () =>
    withCluster(async (start) => {
      const all = await Promise.all([1, 2, 3].map(start));
      await Promise.all(all.map(({ map }) => map.ready));
      for (const { map } of all) assert.deepEqual(sorted(map), []);
      await Promise.all(
        all.flatMap(({ node, map }) =>
          Array.from({ length: 40 }, (_, k) =>
            k % 5 === 4 ? map.delete(`key ${k - 1}`) : map.set(`key ${k}`, `${node.nodeId}`),
          ),
        ),
      );
      await settled(...all.map(({ node }) => node));
      const [first] = all;
      assert.ok(first);
      assert.ok(first.map.entries.size > 0);
      for (const { map } of all) assert.deepEqual([...map.entries], [...first.map.entries]);
    }));

  test("is given to a node that joins, while others go on writing", () =>
    withCluster(async (start) => {
      const [a, b] = await Promise.all([1, 2].map(start));
      assert.ok(a && b);
      await Promise.all([a.map.ready, b.map.ready]);
      await a.map.set("before", "joining");
      let isOver = false;
      const writing = (async () => {
        for (let k = 0; !isOver; k++) await Promise.all([a.map.set("a", `${k}`), b.map.set(`b${k % 10}`, `${k}`)]);
      })();
      const c = await start(3);
      await c.map.ready;
      await c.map.set("after", "joining");
      isOver = true;
      await writing;
      await settled(a.node, b.node, c.node);
      assert.equal(c.map.entries.get("before"), "joining");
      assert.deepEqual(sorted(c.map), sorted(a.map));
      assert.deepEqual(sorted(b.map), sorted(a.map));
      assert.equal(a.map.entries.get("after"), "joining");
    }));

  test("is given again to a node that was out, even one that would be the first to answer", () =>
    withCluster(async (start) => {
      const [a, b] = await Promise.all([1, 2].map(start));
      assert.ok(a && b);
      await Promise.all([a.map.ready, b.map.ready]);
      await a.map.set("old", "1");
      await a.map.set("kept", "1");
      await a.node.leave();
      await hasView(b.node, [2]);
      await b.map.delete("old");
      await b.map.set("new", "2");
      assert.equal(a.map.entries.get("old"), "1");
      a.node.join();
      const c = await start(3);
      await Promise.all([a.map.ready, c.map.ready]);
      await settled(a.node, b.node, c.node);
      const wanted = [
        ["kept", "1"],
        ["new", "2"],
      ];
      for (const { map } of [a, b, c]) assert.deepEqual(sorted(map), wanted);
    }));

  test("survives the node that answers joiners", () =>
    withCluster(async (start) => {
      const [a, b] = await Promise.all([1, 2].map(start));
      assert.ok(a && b);
      await Promise.all([a.map.ready, b.map.ready]);
      await b.map.set("key", "value");
      await settled(a.node, b.node);
      await a.node.close();
      const c = await start(3);
      await c.map.ready;
      assert.deepEqual(sorted(c.map), [["key", "value"]]);
    }));
});
