// A member that has work does not wait for the idle token: it comes as fast as it goes round, wherever it is when the work comes up.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RaincoreEngine } from "../../../lib/raincore/engine.js";
import { decode } from "../../../lib/raincore/messages.js";
import { Multicast } from "../../../lib/raincore/multicast/multicast.js";
import { deriveTimers } from "../../../lib/raincore/timers.js";
import type { Effect } from "../../../lib/raincore/types.js";

const HOP_MS = 0.2;

interface Node {
  readonly engine: RaincoreEngine;
  readonly multicast: Multicast;
}

/** Engines on a network that loses nothing but what it is told to, and takes the same time for all. */
class CalmRing {
  readonly timers;
  now_ms = 1000;
  /** Calls for the token that get lost from now on. */
  callsToLose = 0;
  /** To how many each message has been delivered. */
  readonly #delivered = new Map<string, number>();
  readonly #nodes = new Map<number, Node>();
  readonly #events: { readonly at_ms: number; readonly run: () => void }[] = [];

  constructor(nodes: number, failoverTarget_ms: number) {
    this.timers = deriveTimers(failoverTarget_ms, nodes);
    const ids = Array.from({ length: nodes }, (_, index) => index + 1);
    for (const id of ids) this.#add(id, ids);
    for (const [id, { engine }] of this.#nodes) this.#perform(id, engine.start(this.now_ms));
    this.run(this.now_ms + 20 * failoverTarget_ms, () => false);
  }

  #add(id: number, ids: readonly number[]): void {
    const multicast = new Multicast({
      self: id,
      onDeliver: ({ bytes }) => {
        const text = Buffer.from(bytes).toString();
        this.#delivered.set(text, (this.#delivered.get(text) ?? 0) + 1);
      },
    });
    const engine = new RaincoreEngine(
      {
        cluster: "calm",
        nodeId: id,
        incarnation: BigInt(id),
        peers: ids.filter((other) => other !== id).map((nodeId) => ({ nodeId, paths: 1 })),
        timers: this.timers,
        modules: [multicast],
      },
      { random: () => 0.5 },
    );
    this.#nodes.set(id, { engine, multicast });
  }

  /** Until all have the message of this member. */
  send(from: number, text: string): number {
    const node = this.#nodes.get(from);
    assert.ok(node !== undefined);
    const begin_ms = this.now_ms;
    node.multicast.send(Buffer.from(text), "agreed");
    this.#perform(from, node.engine.wake(this.now_ms));
    const isDone = () => this.#delivered.get(text) === this.#nodes.size;
    this.run(begin_ms + 10 * this.timers.failoverTarget_ms, isDone);
    assert.ok(isDone(), `${text} is not delivered`);
    return this.now_ms - begin_ms;
  }

  counters(name: string): number {
    return [...this.#nodes.values()].reduce((sum, { engine }) => sum + (engine.status().counters[name] ?? 0), 0);
  }

  run(until_ms: number, isDone: () => boolean): void {
    while (!isDone()) {
      const due_ms = Math.min(...[...this.#nodes.values()].map(({ engine }) => engine.deadline_ms));
      const event = this.#events[0];
      const next_ms = Math.min(due_ms, event?.at_ms ?? Number.POSITIVE_INFINITY);
      if (next_ms > until_ms) {
        this.now_ms = until_ms;
        return;
      }
      this.now_ms = Math.max(this.now_ms, next_ms);
      if (event !== undefined && event.at_ms <= due_ms) {
        this.#events.shift();
        event.run();
        continue;
      }
      for (const [id, { engine }] of this.#nodes) {
        if (engine.deadline_ms <= this.now_ms) this.#perform(id, engine.tick(this.now_ms));
      }
    }
  }

  #perform(from: number, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type !== "send" || this.#loses(effect.bytes)) continue;
      const bytes = Uint8Array.from(effect.bytes);
      const deliver = (): void => {
        const node = this.#nodes.get(effect.to);
        if (node !== undefined) this.#perform(effect.to, node.engine.receive(this.now_ms, from, effect.path, bytes));
      };
      this.#events.push({ at_ms: this.now_ms + HOP_MS, run: deliver });
    }
  }

  #loses(bytes: Uint8Array): boolean {
    if (this.callsToLose === 0) return false;
    const result = decode(bytes);
    if (!result.ok || result.message.type !== "wake") return false;
    this.callsToLose -= 1;
    return true;
  }
}

/** A call, the rest of the round that the token is on, one on which it is called for, and one that brings the message to all. */
function bound_ms(nodes: number): number {
  return (1 + 3 * nodes) * HOP_MS + 0.001;
}

test("a message is with all members after a few rounds without rest, whoever sends it and whenever", () => {
  const step = fc.record({ from: fc.nat(), after_ms: fc.double({ min: 0, max: 8, noNaN: true }) });
  const steps = fc.array(step, { minLength: 5, maxLength: 40 });
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 6 }), fc.constantFrom(150, 5000), steps, (nodes, target_ms, orders) => {
      const ring = new CalmRing(nodes, target_ms);
      for (const [index, { from, after_ms }] of orders.entries()) {
        ring.run(ring.now_ms + after_ms, () => false);
        const took_ms = ring.send((from % nodes) + 1, `message ${index}`);
        assert.ok(took_ms <= bound_ms(nodes), `message ${index} took ${took_ms} ms`);
      }
    }),
    { numRuns: 60, seed: 1 },
  );
});

test("a call that gets lost is repeated after a unit", () => {
  const ring = new CalmRing(3, 5000);
  ring.run(ring.now_ms + 100, () => false);
  ring.callsToLose = 2;
  const took_ms = ring.send(2, "message");
  assert.equal(ring.callsToLose, 0);
  assert.ok(took_ms > 2 * ring.timers.unit_ms - 1 && took_ms <= 2 * ring.timers.unit_ms + bound_ms(3), `${took_ms} ms`);
});

test("nobody calls when there is no work, and one call is made for one piece of work", () => {
  const ring = new CalmRing(3, 150);
  const calls = (): number => ring.counters("wake_heard") + ring.counters("wake_on_round") + ring.counters("wake_late");
  ring.run(ring.now_ms + 5000, () => false);
  assert.equal(calls(), 0);
  ring.send(2, "message");
  ring.run(ring.now_ms + 5000, () => false);
  assert.equal(calls(), 1);
});
