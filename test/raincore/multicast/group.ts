// A group of multicast modules on a token ring, that writes down all that they say and checks it: what is promised must hold for
// every two memberships that go on together, whatever happened. Used by the multicast tests.
import assert from "node:assert/strict";
import { type Delivery, type Guarantee, Multicast, type Outcome } from "../../../lib/raincore/multicast/multicast.js";
import { compareViews, type ViewId } from "../../../lib/raincore/token.js";
import { type Life, TokenRing } from "./tokenRing.js";

type Entry =
  | { readonly type: "view"; readonly view: ViewId }
  | { readonly type: "message"; readonly delivery: Delivery; readonly key: string };

interface Witness {
  readonly key: string;
  readonly view: ViewId;
  /** The memberships that were in the deliverer's view when it delivered. */
  readonly lives: readonly Life<Multicast>[];
}

const HEAD_BYTES = 6;
/** Counters that stay at 0 as long as nobody meddles with the token. */
const MISHAPS = [
  "carriage_malformed",
  "callback_failed",
  "chunk_without_beginning",
  "entry_stale",
  "order_broken",
  "partial_of_wrong_length",
  "partial_refused",
  "partial_replaced",
];

export interface GroupLimits {
  readonly bytesMax?: number;
  readonly queueBytes_max?: number;
  readonly queueMessages_max?: number;
}

export class Group {
  readonly ring: TokenRing<Multicast>;
  readonly logs = new Map<Life<Multicast>, Entry[]>();
  readonly settled = new Map<string, Outcome>();
  readonly drains = new Map<number, number>();
  readonly #keys = new Map<string, string>();
  readonly #current = new Map<number, Life<Multicast>>();
  readonly #seen = new Map<Multicast, Set<string>>();
  readonly #sent = new Set<string>();
  readonly #witnesses: Witness[] = [];
  readonly #processes = new Map<number, number>();
  #counter = 0;
  #failure: unknown;

  constructor(nodeIds: readonly number[], limits: GroupLimits = {}) {
    this.ring = new TokenRing<Multicast>(nodeIds, {
      create: (nodeId) => this.#create(nodeId, limits),
      onLife: (life) => {
        this.logs.set(life, []);
        this.#current.set(life.node, life);
      },
    });
  }

  /** Returns what the message is called in logs, or undefined if the queue is full. */
  send(nodeId: number, length: number, guarantee: Guarantee = "agreed"): string | undefined {
    const number = ++this.#counter;
    const id = this.ring.module(nodeId).send(messageBytes(nodeId, number, length), guarantee);
    if (id === undefined) return undefined;
    const key = `${nodeId}#${number}`;
    this.#keys.set(this.#idOf(nodeId, id), key);
    this.#sent.add(key);
    return key;
  }

  /** What a node's present or last membership has delivered. */
  delivered(nodeId: number): string[] {
    const life = this.#current.get(nodeId);
    return life === undefined ? [] : keysOf(this.logs.get(life) ?? []);
  }

  log(nodeId: number): Entry[] {
    const life = this.#current.get(nodeId);
    return (life && this.logs.get(life)) ?? [];
  }

  /** Hops until nobody has anything to hurry for; fails if that does not come about. */
  settle(hops_max = 5000): number {
    let hops = 0;
    for (let calm = 0; calm <= 2 * this.ring.running.length; hops++) {
      assert.ok(hops < hops_max, "the ring does not come to rest");
      calm = this.ring.hop() ? 0 : calm + 1;
    }
    return hops;
  }

  /** Every promise, over everything that was written down. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    for (const cause of MISHAPS) assert.equal(this.counter(cause), 0, cause);
    for (const [life, log] of this.logs) this.#checkOne(life, log);
    const lives = [...this.logs];
    for (const [index, [p, logP]] of lives.entries()) {
      for (const [q, logQ] of lives.slice(index + 1)) checkTogether(p, logP, q, logQ);
    }
    for (const witness of this.#witnesses) this.#checkWitness(witness);
    for (const [key, outcome] of this.settled) {
      const isDelivered = lives.some(([, log]) => keysOf(log).includes(key));
      if (outcome === "delivered") assert.ok(isDelivered, `${key} was settled as delivered, but was not`);
      if (outcome === "unsent") assert.ok(!isDelivered, `${key} was settled as unsent, but was delivered`);
    }
  }

  /** All that running nodes sent is settled, and nothing is left on the token. */
  checkAtRest(): void {
    for (const nodeId of this.ring.running) {
      const { queuedMessages, queuedBytes } = this.ring.module(nodeId);
      assert.deepEqual({ queuedMessages, queuedBytes }, { queuedMessages: 0, queuedBytes: 0 });
      const before = this.ring.carriageAt(nodeId);
      assert.equal(this.ring.hop(), false);
      assert.equal(this.ring.carriageAt(nodeId), before, "an idle visit changes nothing");
      assert.equal(before === undefined || (before[8] === 0 && before[9] === 0), true, "no records are left");
    }
  }

  counter(name: string): number {
    return [...this.#seen.keys()].reduce((sum, module) => sum + (module.counters[name] ?? 0), 0);
  }

  #keepFailure(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#failure ??= error;
    }
  }

  #create(nodeId: number, limits: GroupLimits): Multicast {
    this.#processes.set(nodeId, (this.#processes.get(nodeId) ?? 0) + 1);
    const process = this.#processes.get(nodeId);
    const module: Multicast = new Multicast({
      self: nodeId,
      ...limits,
      // The module lets no failure of its host through, so it is kept for the check.
      onDeliver: (delivery) => this.#keepFailure(() => this.#onDeliver(nodeId, module, delivery)),
      onView: (view) => this.log(nodeId).push({ type: "view", view }),
      onSettled: (id, outcome) => {
        const key = this.#keys.get(`${nodeId}/${process}/${id}`) ?? `unknown message ${id}`;
        this.#keepFailure(() => assert.ok(!this.settled.has(key), `${key} is settled once`));
        this.settled.set(key, outcome);
      },
      onDrain: () => this.drains.set(nodeId, (this.drains.get(nodeId) ?? 0) + 1),
    });
    this.#seen.set(module, new Set());
    return module;
  }

  #idOf(nodeId: number, id: number): string {
    return `${nodeId}/${this.#processes.get(nodeId)}/${id}`;
  }

  #onDeliver(nodeId: number, module: Multicast, delivery: Delivery): void {
    const life = this.#current.get(nodeId);
    const key = keyOf(delivery);
    assert.ok(life?.live, "a node that is out delivers nothing");
    assert.ok(this.#sent.has(key), `${key} was sent`);
    const seen = this.#seen.get(module);
    assert.ok(!seen?.has(key), `${key} comes once`);
    seen?.add(key);
    this.log(nodeId).push({ type: "message", delivery, key });
    if (delivery.guarantee === "agreed" && delivery.from !== nodeId) return;
    const lives = this.ring.membersAround(nodeId).flatMap((id) => this.#current.get(id) ?? []);
    this.#witnesses.push({ key, view: delivery.view, lives });
  }

  #checkOne(life: Life<Multicast>, log: readonly Entry[]): void {
    let view: ViewId | undefined;
    let label: ViewId = life.from;
    let order = 0;
    const numbers = new Map<number, number>();
    for (const entry of log) {
      if (entry.type === "view") {
        assert.ok(view === undefined || compareViews(entry.view, view) > 0, "views only grow");
        assert.ok(order === 0 || compareViews(label, entry.view) < 0, "a view comes before its first message");
        view = entry.view;
        continue;
      }
      const { delivery } = entry;
      assert.ok(compareViews(delivery.view, label) >= 0, "nothing older than the joining, and labels only grow");
      assert.ok(view === undefined || compareViews(delivery.view, view) >= 0, "a message of an older view is late");
      assert.ok(delivery.order > order, "orders grow");
      const number = Number(keyOf(delivery).split("#")[1]);
      assert.ok(number > (numbers.get(delivery.from) ?? 0), `first in, first out, from node ${delivery.from}`);
      numbers.set(delivery.from, number);
      label = delivery.view;
      order = delivery.order;
    }
  }

  #checkWitness({ key, view, lives }: Witness): void {
    for (const life of lives) {
      if (!life.live || compareViews(life.from, view) > 0) continue;
      assert.ok(keysOf(this.logs.get(life) ?? []).includes(key), `node ${life.node} has what was delivered as stable`);
    }
  }
}

/**
 * Two memberships that reported a view both have the same messages, in the same order, of all older views that both were in;
 * of the views after that, two that go on to the end have the same, too.
 */
function checkTogether(p: Life<Multicast>, logP: Entry[], q: Life<Multicast>, logQ: Entry[]): void {
  const from = compareViews(p.from, q.from) > 0 ? p.from : q.from;
  const viewsQ = logQ.flatMap((entry) => (entry.type === "view" ? [entry.view] : []));
  const common = logP.flatMap((entry) =>
    entry.type === "view" && viewsQ.some((view) => compareViews(view, entry.view) === 0) ? [entry.view] : [],
  );
  const last = common.at(-1);
  const until = p.live && q.live ? { epoch: Number.POSITIVE_INFINITY, origin: 0 } : last;
  if (until === undefined || last === undefined || p.node === q.node) return;
  const inCommon = (log: Entry[]) =>
    log.flatMap((entry) => {
      if (entry.type === "view") return [];
      const { view, order, guarantee } = entry.delivery;
      if (compareViews(view, from) < 0 || compareViews(view, until) >= 0) return [];
      return [`${entry.key} at ${order} in ${view.epoch}/${view.origin} ${guarantee}`];
    });
  assert.deepEqual(inCommon(logP), inCommon(logQ), `nodes ${p.node} and ${q.node} have the same`);
}

function keysOf(log: readonly Entry[]): string[] {
  return log.flatMap((entry) => (entry.type === "message" ? [entry.key] : []));
}

export function messageBytes(nodeId: number, number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, HEAD_BYTES)).fill(number & 0xff);
  const data = new DataView(bytes.buffer);
  data.setUint16(0, nodeId);
  data.setUint32(2, number);
  return bytes;
}

/** The message's name; fails if it is not as it was sent. */
function keyOf({ from, bytes }: Delivery): string {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const number = data.getUint32(2);
  assert.equal(data.getUint16(0), from);
  assert.ok(bytes.subarray(HEAD_BYTES).every((byte) => byte === (number & 0xff)));
  return `${from}#${number}`;
}
