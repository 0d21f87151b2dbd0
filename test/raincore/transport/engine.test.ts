// The transport inside the engine: messages from node to node, and tokens that do not fit one datagram.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Effect, RaincoreEngine, type TokenContext, type TokenModule } from "../../../lib/raincore/engine.js";
import { decode } from "../../../lib/raincore/messages.js";
import { Random } from "../../simulator/random.js";
import { patterned, timers } from "./net.js";

/** A carriage of a fixed size that every member rewrites at its visit; the first byte counts visits. */
class Cargo implements TokenModule {
  readonly carriage = "cargo";
  readonly format = 1;
  readonly bytesMax = 120_000;
  visits = 0;
  damaged = 0;
  readonly #bytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  onToken(_ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array {
    const count = bytes?.[0] ?? 0;
    if (bytes !== undefined && Buffer.compare(bytes, cargo(this.#bytes, count)) !== 0) this.damaged += 1;
    this.visits += 1;
    return cargo(this.#bytes, (count + 1) & 0xff);
  }

  onLost(): void {}
}

function cargo(length: number, count: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(count);
  for (let at = 1; at < length; at += 97) bytes[at] = (at + count) & 0xff;
  return bytes;
}

interface Member {
  readonly engine: RaincoreEngine;
  readonly cargo: Cargo;
  readonly effects: Effect[];
}

/** Engines on a virtual clock. */
class Ring {
  now_ms = 0;
  readonly members = new Map<number, Member>();
  drop: (from: number, to: number, path: number, bytes: Uint8Array) => boolean = () => false;
  readonly #random = new Random(4);
  readonly #flights: { at_ms: number; to: number; act: () => void }[] = [];

  constructor(nodes: number, cargoBytes: number) {
    const ids = Array.from({ length: nodes }, (_, index) => index + 1);
    for (const nodeId of ids) {
      const module = new Cargo(cargoBytes);
      const peers = ids.filter((id) => id !== nodeId).map((id) => ({ nodeId: id, paths: 2 }));
      const config = { cluster: "t", nodeId, incarnation: 1n, peers, timers, startupWait_ms: 200, modules: [module] };
      const engine = new RaincoreEngine(config, { random: () => this.#random.next() });
      this.members.set(nodeId, { engine, cargo: module, effects: [] });
    }
    for (const nodeId of ids) this.#apply(nodeId, this.engine(nodeId).start(this.now_ms));
  }

  engine(nodeId: number): RaincoreEngine {
    return this.member(nodeId).engine;
  }

  member(nodeId: number): Member {
    const member = this.members.get(nodeId);
    assert.ok(member !== undefined);
    return member;
  }

  send(from: number, to: number, bytes: Uint8Array): number {
    const { id, effects } = this.engine(from).send(this.now_ms, to, bytes);
    this.#apply(from, effects);
    return id;
  }

  stop(nodeId: number): void {
    this.members.delete(nodeId);
  }

  leave(nodeId: number): void {
    this.#apply(nodeId, this.engine(nodeId).leave(this.now_ms));
  }

  run(duration_ms: number): void {
    const end_ms = this.now_ms + duration_ms;
    for (;;) {
      const due = [...this.members].sort((a, b) => a[1].engine.deadline_ms - b[1].engine.deadline_ms)[0];
      const flight = this.#flights[0];
      const next_ms = Math.min(due?.[1].engine.deadline_ms ?? Infinity, flight?.at_ms ?? Infinity);
      if (next_ms > end_ms) break;
      this.now_ms = Math.max(this.now_ms, next_ms);
      if (flight !== undefined && flight.at_ms <= next_ms) this.#flights.shift()?.act();
      else if (due !== undefined) this.#apply(due[0], due[1].engine.tick(this.now_ms));
    }
    this.now_ms = end_ms;
  }

  #apply(from: number, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type !== "send") this.member(from).effects.push(effect);
      else if (!this.drop(from, effect.to, effect.path, effect.bytes)) this.#carry(from, effect);
    }
  }

  #carry(from: number, { to, path, bytes }: Effect & { type: "send" }): void {
    assert.ok(bytes.length <= 1400, "a datagram beyond the limit");
    const at_ms = this.now_ms + this.#random.between(0.1, 0.3);
    const act = () => {
      const member = this.members.get(to);
      if (member !== undefined) this.#apply(to, member.engine.receive(this.now_ms, from, path, bytes));
    };
    const place = this.#flights.findIndex((flight) => flight.at_ms > at_ms);
    this.#flights.splice(place < 0 ? this.#flights.length : place, 0, { at_ms, to, act });
  }
}

function newRing(nodes: number, cargoBytes: number): Ring {
  const ring = new Ring(nodes, cargoBytes);
  ring.run(1000);
  for (const nodeId of ring.members.keys()) assert.equal(ring.engine(nodeId).status().members.length, nodes);
  return ring;
}

function epochs(ring: Ring): number[] {
  return [...ring.members.values()].map(({ engine }) => engine.status().epoch);
}

function typeOf(bytes: Uint8Array): string {
  const result = decode(bytes);
  return result.ok ? result.message.type : result.cause;
}

test("a token of 100 KB goes round whole, and nobody is removed", () => {
  const ring = newRing(3, 100_000);
  const before = epochs(ring);
  const visits = ring.member(2).cargo.visits;
  ring.run(2000);
  assert.ok(ring.member(2).cargo.visits - visits >= 0.9 * (2000 / timers.rotation_ms));
  assert.deepEqual(epochs(ring), before);
  for (const { cargo } of ring.members.values()) assert.equal(cargo.damaged, 0);
});

test("with one datagram in fifty lost, a token of 60 KB still goes round and nobody is removed", () => {
  const ring = newRing(3, 60_000);
  const random = new Random(8);
  const before = epochs(ring);
  ring.drop = () => random.chance(0.02);
  ring.run(3000);
  assert.deepEqual(epochs(ring), before);
  for (const { cargo } of ring.members.values()) assert.equal(cargo.damaged, 0);
});

test("when only the acknowledgement of a large token is lost, the token is asked about again and nobody is removed", () => {
  const ring = newRing(3, 60_000);
  const before = epochs(ring);
  let lost = 0;
  ring.drop = (_from, _to, _path, bytes) => {
    if (typeOf(bytes) !== "ack" || lost >= 2) return false;
    lost += 1;
    return true;
  };
  ring.run(500);
  assert.equal(lost, 2);
  assert.deepEqual(epochs(ring), before);
  const duplicates = [...ring.members.values()].map(({ engine }) => engine.status().counters.token_duplicate ?? 0);
  assert.ok(duplicates.some((count) => count > 0));
});

test("a member that dies is removed in the usual time, large token or not", () => {
  const ring = newRing(3, 100_000);
  ring.stop(3);
  ring.run(timers.rotation_ms + timers.callAfter_ms + timers.callFail_ms + timers.handOverFail_ms + 10);
  assert.equal(ring.engine(1).status().members.length, 2);
  assert.equal(ring.engine(2).status().members.length, 2);
});

test("a message goes from node to node beside the token", () => {
  const ring = newRing(3, 10_000);
  const before = epochs(ring);
  const message = patterned(5_000_000, 1);
  const id = ring.send(1, 3, message);
  const small = ring.send(1, 2, Uint8Array.of(7));
  ring.run(1000);
  assert.deepEqual(epochs(ring), before);
  const arrived = ring.member(3).effects.find((effect) => effect.type === "message");
  assert.ok(arrived?.type === "message" && arrived.from === 1);
  assert.equal(Buffer.compare(arrived.bytes, message), 0);
  const settled = ring.member(1).effects.filter((effect) => effect.type === "settled");
  assert.deepEqual(settled, [
    { type: "settled", id: small, to: 2, delivered: true, bytes: Uint8Array.of(7) },
    { type: "settled", id, to: 3, delivered: true, bytes: message },
  ]);
});

test("a message to a node that is not configured, or from a node that has left, comes back as not delivered", () => {
  const ring = newRing(2, 10);
  const [first, second] = [Uint8Array.of(1), Uint8Array.of(2)];
  const ids = [ring.send(1, 9, first)];
  ring.stop(2);
  ids.push(ring.send(1, 2, second));
  ring.leave(1);
  ring.run(1000);
  assert.equal(ring.engine(1).status().state, "closed");
  ids.push(ring.send(1, 2, first));
  const settled = ring.member(1).effects.flatMap((effect) => (effect.type === "settled" ? [effect] : []));
  assert.deepEqual(
    settled.map(({ id, delivered, bytes }) => [id, delivered, bytes]),
    [
      [ids[0], false, first],
      [ids[1], false, second],
      [ids[2], false, first],
    ],
  );
});

test("the status tells the paths", () => {
  const ring = newRing(2, 10);
  ring.drop = (_from, _to, path) => path === 1;
  ring.run(6000);
  const paths = ring
    .engine(1)
    .status()
    .paths.map(({ nodeId, path, isUp }) => [nodeId, path, isUp]);
  assert.deepEqual(paths, [
    [2, 0, true],
    [2, 1, false],
  ]);
  assert.ok((ring.engine(1).status().paths[0]?.roundTrip_ms ?? 9) < 1);
});
