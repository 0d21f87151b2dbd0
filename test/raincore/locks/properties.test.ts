// Any order of requests, releases and visits, as long as nothing fails.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { TestNode } from "./context.js";
import { three } from "./round.js";

test("as long as nothing fails, everybody gets every lock in the order in which the token heard of it", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("acquire" as const), node: fc.nat(2), name: fc.constantFrom("a", "b") }),
    fc.record({ do: fc.constant("release" as const), nth: fc.nat(5) }),
    fc.record({ do: fc.constant("go" as const), node: fc.nat(2) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: "max" }), (steps) => {
      const round = three();
      const expected = new Map<string, string[]>();
      const got = new Map<string, string[]>();
      const holding: { node: TestNode; id: number; name: string }[] = [];
      const fences = new Map<string, bigint>();
      const unheard: string[][] = [[], [], []];
      const visit = (index: number) => {
        for (const text of unheard[index]?.splice(0) ?? []) {
          const [name = ""] = text.split(" ");
          expected.set(name, [...(expected.get(name) ?? []), text]);
        }
        round.visit(index);
        const node = round.nodes[index];
        for (const event of node?.events.splice(0) ?? []) {
          if (event.type !== "granted" || node === undefined) continue;
          assert.ok(event.fence > (fences.get(event.name) ?? 0n));
          fences.set(event.name, event.fence);
          assert.ok(!holding.some(({ name }) => name === event.name), "one holder");
          holding.push({ node, id: event.id, name: event.name });
          got.set(event.name, [...(got.get(event.name) ?? []), `${event.name} ${node.nodeId}/${event.id}`]);
        }
      };
      const release = (nth: number) => {
        const [held] = holding.splice(nth, 1);
        held?.node.locks.release(held.id);
      };
      for (const one of steps) {
        if (one.do === "go") visit(one.node);
        else if (one.do === "release") release(one.nth % Math.max(1, holding.length));
        else unheard[one.node]?.push(`${one.name} ${one.node + 1}/${round.acquire(one.node, one.name)}`);
      }
      for (let rounds = 0; rounds < 300; rounds++) {
        for (const index of round.nodes.keys()) visit(index);
        release(0);
      }
      assert.deepEqual(got, expected);
      assert.deepEqual(round.table().locks, []);
    }),
  );
});
