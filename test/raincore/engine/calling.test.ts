// A member that has work does not wait for the idle token: it comes as fast as it goes round, wherever it is when the work comes up.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RaincoreEngine } from "../../../lib/raincore/engine.js";
import { decode } from "../../../lib/raincore/messages.js";
import { Multicast } from "../../../lib/raincore/multicast/multicast.js";
import { deriveTimers } from "../../../lib/raincore/timers.js";
import { type Process, type Send, VirtualNetwork, type VirtualNode } from "../virtualNetwork.js";

const HOP_MS = 0.2;

interface CalmProcess extends Process {
  readonly multicast: Multicast;
}

/** Engines on a network that loses nothing but what it is told to, and takes the same time for all. */
class CalmRing extends VirtualNetwork<CalmProcess> {
  readonly timers;
  /** Calls for the token that get lost from now on. */
  callsToLose = 0;
  /** To how many each message has been delivered. */
  readonly #delivered = new Map<string, number>();

  constructor(nodes: number, failoverTarget_ms: number) {
    super({ nodes, seed: 1, clock: { offset_ms: 1000, rate: 1 }, delay_ms: [HOP_MS, HOP_MS] });
    this.timers = deriveTimers(failoverTarget_ms, nodes);
    for (const nodeId of this.nodeIds) this.start(nodeId);
    this.run(20 * failoverTarget_ms);
  }

  /** Until all have the message of this member. */
  send(from: number, text: string): number {
    const begin_ms = this.now_ms;
    this.call(from, ({ engine, multicast }, now_ms) => {
      multicast.send(Buffer.from(text), "agreed");
      return engine.wake(now_ms);
    });
    const isDone = () => this.#delivered.get(text) === this.nodes.length;
    this.run(10 * this.timers.failoverTarget_ms, isDone);
    assert.ok(isDone(), `${text} is not delivered`);
    return this.now_ms - begin_ms;
  }

  counters(name: string): number {
    return this.nodeIds.reduce((sum, id) => sum + (this.processOf(id).engine.status().counters[name] ?? 0), 0);
  }

  protected override newProcess({ nodeId, life }: VirtualNode<CalmProcess>): CalmProcess {
    const multicast = new Multicast({
      self: nodeId,
      onDeliver: ({ bytes }) => {
        const text = Buffer.from(bytes).toString();
        this.#delivered.set(text, (this.#delivered.get(text) ?? 0) + 1);
      },
    });
    const engine = new RaincoreEngine(
      {
        cluster: "calm",
        nodeId,
        incarnation: BigInt(life),
        peers: this.peersOf(nodeId),
        timers: this.timers,
        modules: [multicast],
      },
      { random: () => 0.5 },
    );
    return { engine, multicast };
  }

  protected override loses(_from: number, { bytes }: Send): boolean {
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
        ring.run(after_ms);
        const took_ms = ring.send((from % nodes) + 1, `message ${index}`);
        assert.ok(took_ms <= bound_ms(nodes), `message ${index} took ${took_ms} ms`);
      }
    }),
    { numRuns: 60, seed: 1 },
  );
});

test("a call that gets lost is repeated after a unit", () => {
  const ring = new CalmRing(3, 5000);
  // The token has come to its rest just now.
  ring.send(2, "before");
  ring.run(10);
  ring.callsToLose = 2;
  const took_ms = ring.send(2, "message");
  assert.equal(ring.callsToLose, 0);
  assert.ok(took_ms > 2 * ring.timers.unit_ms - 1 && took_ms <= 2 * ring.timers.unit_ms + bound_ms(3), `${took_ms} ms`);
});

test("nobody calls when there is no work, and one call is made for one piece of work", () => {
  const ring = new CalmRing(3, 150);
  const calls = (): number => ring.counters("wake_heard") + ring.counters("wake_on_round") + ring.counters("wake_late");
  ring.run(5000);
  assert.equal(calls(), 0);
  ring.send(2, "message");
  ring.run(5000);
  assert.equal(calls(), 1);
});
