// The promises of ordered multicast under drawn histories: members crash, lose their place, drop the token in doubt,
// leave, come back, part and merge, at any moment, with messages of all sizes under way.
import { test } from "node:test";
import fc from "fast-check";
import type { Guarantee } from "../../../lib/raincore/multicast/multicast.js";
import { Group } from "./group.js";

const NODES = [1, 2, 3, 4, 5];

const node = fc.constantFrom(...NODES);
const length = fc.oneof(fc.integer({ min: 6, max: 200 }), fc.integer({ min: 1500, max: 2500 }), fc.constant(9000));
const guarantee = fc.constantFrom<Guarantee>("agreed", "safe");

/** Named, so that a counterexample can be read. */
interface Act {
  readonly name: string;
  readonly run: (group: Group) => void;
}

const send = fc.tuple(node, length, guarantee, fc.integer({ min: 1, max: 5 })).map(
  ([id, bytes, kind, count]): Act => ({
    name: `send ${count} of ${bytes} from ${id}, ${kind}`,
    run: (group) => {
      for (let i = 0; i < count; i++) group.send(id, bytes, kind);
    },
  }),
);
const hop = fc
  .integer({ min: 1, max: 7 })
  .map((count): Act => ({ name: `hop ${count}`, run: ({ ring }) => ring.hop(count) }));
const FAULTS = ["wake", "crash", "lose", "doubt", "leave", "join"] as const;
const fault = fc
  .tuple(fc.constantFrom(...FAULTS), node)
  .map(([kind, id]): Act => ({ name: `${kind} ${id}`, run: ({ ring }) => ring[kind](id) }));
const part = fc
  .subarray(NODES, { minLength: 1 })
  .map((ids): Act => ({ name: `part ${ids}`, run: ({ ring }) => ring.part(ids) }));
const merge = fc.constant<Act>({ name: "merge", run: ({ ring }) => ring.merge() });

const history = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: send },
    { weight: 8, arbitrary: hop },
    { weight: 8, arbitrary: fault },
    { weight: 1, arbitrary: part },
    { weight: 1, arbitrary: merge },
  ),
  { minLength: 5, maxLength: 80 },
);

test("order, atomicity, first in first out, one delivery, views and safety hold in every history", () => {
  fc.assert(
    fc.property(history, (acts) => {
      const group = new Group(NODES, { bytesMax: 8192 });
      for (const act of acts) act.run(group);
      group.ring.merge();
      group.settle();
      group.check();
      group.checkAtRest();
    }),
    { numRuns: 300, includeErrorInReport: true },
  );
});

test("without faults, all that is sent is delivered by all, in one order", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(send, hop), { maxLength: 60 }), (acts) => {
      const group = new Group(NODES, { bytesMax: 8192 });
      for (const act of acts) act.run(group);
      group.settle();
      group.check();
      group.checkAtRest();
      const [first, ...others] = NODES.map((id) => group.delivered(id));
      for (const other of others) if (other.join() !== first?.join()) throw new Error("not the same everywhere");
      if (first?.length !== group.settled.size) throw new Error("not all is delivered");
    }),
    { numRuns: 100, includeErrorInReport: true },
  );
});
