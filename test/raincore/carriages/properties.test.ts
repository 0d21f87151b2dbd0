// Shared carriages under drawn histories: members crash, lose their place, drop the token in doubt, leave, come back,
// part and merge, at any moment, with updates under way.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SharedCarriages, type UpdateResult } from "../../../lib/raincore/carriages/sharedCarriages.js";
import { type Life, TokenRing } from "../multicast/tokenRing.js";

const NODES = [1, 2, 3, 4];
const NAMES = ["x-a", "x-b", "x-c"];

interface Change {
  readonly name: string;
  readonly version: number;
  /** Of a value, what the update said; undefined: removed. */
  readonly said: { readonly key: string; readonly ifVersion: number } | undefined;
  /** At this life's first sight of the group: all that is there, without its history. */
  readonly isSnapshot: boolean;
}

class Cluster {
  readonly ring: TokenRing<SharedCarriages>;
  readonly logs = new Map<Life<SharedCarriages>, Change[]>();
  readonly settled = new Map<string, UpdateResult>();
  readonly removals = new Set<string>();
  readonly #current = new Map<number, Life<SharedCarriages>>();
  readonly #visits = new Map<Life<SharedCarriages>, number>();
  /** The last version of all when a life first saw the group's state. */
  readonly #horizons = new Map<Life<SharedCarriages>, number>();
  readonly #keys = new Map<string, string>();
  readonly #modules: SharedCarriages[] = [];
  #counter = 0;

  constructor() {
    this.ring = new TokenRing<SharedCarriages>(NODES, {
      create: (node) => this.#create(node),
      onLife: (life) => {
        this.logs.set(life, []);
        this.#current.set(life.node, life);
      },
      onVisit: (node, bytes) => {
        const life = this.#current.get(node);
        if (life === undefined) return;
        if (!this.#visits.has(life)) this.#horizons.set(life, lastVersionIn(bytes));
        this.#visits.set(life, (this.#visits.get(life) ?? 0) + 1);
      },
    });
  }

  /** By what the node knows, or by something stale. */
  update(node: number, name: string, stale: number, isRemoval: boolean): void {
    const module = this.ring.module(node);
    const ifVersion = Math.max(0, (module.get(name)?.version ?? 0) - stale);
    const key = `${node}#${++this.#counter}`;
    const isRemovable = isRemoval && ifVersion > 0;
    const id = isRemovable
      ? module.remove(name, ifVersion)
      : module.update(name, ifVersion, textBytes(`${key} ${ifVersion}`));
    assert.ok(id !== undefined);
    if (isRemovable) this.removals.add(key);
    this.#keys.set(`${this.#modules.indexOf(module)}/${id}`, key);
  }

  settle(): void {
    for (let calm = 0, hops = 0; calm <= 2 * this.ring.running.length; hops++) {
      assert.ok(hops < 2000, "the ring does not come to rest");
      calm = this.ring.hop() ? 0 : calm + 1;
    }
  }

  check(): void {
    for (const module of this.#modules) {
      for (const cause of ["order_broken", "carriage_malformed", "callback_failed"]) {
        assert.equal(module.counters[cause] ?? 0, 0, cause);
      }
    }
    for (const log of this.logs.values()) checkHistory(log);
    const going = [...this.logs].filter(([life]) => life.live);
    for (const [p, logP] of going)
      for (const [q, logQ] of going) {
        checkTogether(logP, logQ, Math.max(this.#horizons.get(p) ?? 0, this.#horizons.get(q) ?? 0));
      }
    const states = going.map(([life]) => life.module.names().map((name) => [name, life.module.get(name)?.version]));
    for (const state of states) assert.deepEqual(state, states[0]);
    this.#checkOutcomes();
  }

  checkAtRest(): void {
    const [node] = this.ring.running;
    if (node === undefined) return;
    const before = this.ring.carriageAt(node);
    for (let hop = 0; hop < 2 * NODES.length; hop++) assert.equal(this.ring.hop(), false);
    assert.equal(this.ring.carriageAt(node), before, "idle visits change nothing");
    for (const id of this.ring.running) assert.equal(this.ring.module(id).hasWork, false);
  }

  #checkOutcomes(): void {
    const said = new Set([...this.logs.values()].flat().map((change) => change.said?.key));
    for (const [key, result] of this.settled) {
      if (this.removals.has(key)) continue;
      if (result.ok) assert.ok(said.has(key), `${key} was reported`);
      else if (result.cause !== "unknown") assert.ok(!said.has(key), `${key} was refused, and nobody saw it`);
    }
  }

  #create(node: number): SharedCarriages {
    const index = this.#modules.length;
    const module: SharedCarriages = new SharedCarriages({
      self: node,
      onChange: (name, version, bytes) => {
        const life = this.#current.get(node);
        if (life === undefined) return;
        const [key = "", ifVersion = ""] = bytes === undefined ? [] : Buffer.from(bytes).toString().split(" ");
        const said = bytes === undefined ? undefined : { key, ifVersion: Number(ifVersion) };
        const isSnapshot = this.#visits.get(life) === 1;
        this.logs.get(life)?.push({ name, version, said, isSnapshot });
      },
      onSettled: (id, result) => {
        const key = this.#keys.get(`${index}/${id}`) ?? "";
        assert.ok(!this.settled.has(key));
        this.settled.set(key, result);
      },
    });
    this.#modules.push(module);
    return module;
  }
}

/** Versions grow, and every value was set at exactly the version that its update asked for. */
function checkHistory(log: readonly Change[]): void {
  const versions = new Map<string, number>();
  let last = 0;
  for (const { name, version, said, isSnapshot } of log) {
    if (isSnapshot) {
      if (said === undefined) versions.delete(name);
      else versions.set(name, version);
      continue;
    }
    assert.ok(version > last, "versions grow");
    last = version;
    if (said !== undefined) assert.equal(said.ifVersion, versions.get(name) ?? 0, "compare-and-set");
    versions.set(name, said === undefined ? 0 : version);
  }
}

function checkTogether(p: readonly Change[], q: readonly Change[], from: number): void {
  const after = (log: readonly Change[]) => log.filter(({ version, isSnapshot }) => !isSnapshot && version > from);
  const texts = (log: readonly Change[]) =>
    after(log).map(({ name, version, said }) => `${name} ${version} ${said?.key}`);
  assert.deepEqual(texts(p), texts(q));
}

function lastVersionIn(bytes: Uint8Array | undefined): number {
  return bytes === undefined ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(4);
}

function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Named, so that a counterexample can be read. */
interface Act {
  readonly name: string;
  readonly run: (cluster: Cluster) => void;
}

const node = fc.constantFrom(...NODES);
const update = fc
  .tuple(node, fc.constantFrom(...NAMES), fc.constantFrom(0, 0, 0, 1), fc.constantFrom(false, false, true))
  .map(
    ([id, name, stale, isRemoval]): Act => ({
      name: `${isRemoval ? "remove" : "update"} ${name} by ${id}, ${stale} too old`,
      run: (cluster) => cluster.update(id, name, stale, isRemoval),
    }),
  );
const hop = fc
  .integer({ min: 1, max: 6 })
  .map((count): Act => ({ name: `hop ${count}`, run: ({ ring }) => ring.hop(count) }));
const fault = fc
  .tuple(fc.constantFrom("wake", "crash", "lose", "doubt", "doubt", "leave", "join"), node)
  .map(([kind, id]): Act => ({ name: `${kind} ${id}`, run: ({ ring }) => ring[kind](id) }));
const part = fc
  .subarray(NODES, { minLength: 1 })
  .map((ids): Act => ({ name: `part ${ids}`, run: ({ ring }) => ring.part(ids) }));
const merge = fc.constant<Act>({ name: "merge", run: ({ ring }) => ring.merge() });
const history = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: update },
    { weight: 8, arbitrary: hop },
    { weight: 6, arbitrary: fault },
    { weight: 1, arbitrary: part },
    { weight: 1, arbitrary: merge },
  ),
  { minLength: 5, maxLength: 80 },
);

test("compare-and-set, one order without gaps, and true outcomes hold in every history", () => {
  fc.assert(
    fc.property(history, (acts) => {
      const cluster = new Cluster();
      for (const act of acts) act.run(cluster);
      cluster.ring.merge();
      cluster.settle();
      cluster.check();
      cluster.checkAtRest();
    }),
    { numRuns: 300, includeErrorInReport: true },
  );
});
