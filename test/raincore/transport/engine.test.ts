// The transport inside the engine: messages from node to node, and tokens that do not fit one datagram.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Effect, RaincoreEngine, type TokenContext, type TokenModule } from "../../../lib/raincore/engine.js";
import { decode } from "../../../lib/raincore/messages.js";
import { Random } from "../../simulator/random.js";
import { type Process, type Send, VirtualNetwork, type VirtualNode } from "../virtualNetwork.js";
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

interface CargoProcess extends Process {
  readonly cargo: Cargo;
  /** All but what it sends. */
  readonly effects: Effect[];
}

/** Engines with two paths, and clocks that show the same time. */
class Ring extends VirtualNetwork<CargoProcess> {
  drop: (from: number, to: number, path: number, bytes: Uint8Array) => boolean = () => false;
  readonly #cargoBytes: number;

  constructor(nodes: number, cargoBytes: number) {
    super({ nodes, seed: 4, paths: 2, clock: { offset_ms: 0, rate: 1 }, delay_ms: [0.1, 0.3] });
    this.#cargoBytes = cargoBytes;
    for (const nodeId of this.nodeIds) this.start(nodeId);
  }

  member(nodeId: number): CargoProcess {
    return this.processOf(nodeId);
  }

  /** Those that are up. */
  get members(): CargoProcess[] {
    return this.nodes.flatMap(({ process }) => process ?? []);
  }

  send(from: number, to: number, bytes: Uint8Array): number {
    let sent = 0;
    this.call(from, ({ engine }, now_ms) => {
      const { id, effects } = engine.send(now_ms, to, bytes);
      sent = id;
      return effects;
    });
    return sent;
  }

  protected override newProcess({ nodeId, life }: VirtualNode<CargoProcess>): CargoProcess {
    const module = new Cargo(this.#cargoBytes);
    const engine = new RaincoreEngine(
      {
        cluster: "t",
        nodeId,
        incarnation: BigInt(life),
        peers: this.peersOf(nodeId),
        timers,
        startupWait_ms: 200,
        modules: [module],
      },
      { random: () => this.random() },
    );
    return { engine, cargo: module, effects: [] };
  }

  protected override afterCall({ process }: VirtualNode<CargoProcess>, effects: readonly Effect[]): void {
    process?.effects.push(...effects.filter(({ type }) => type !== "send"));
  }

  protected override loses(from: number, { to, path, bytes }: Send): boolean {
    assert.ok(bytes.length <= 1400, "a datagram beyond the limit");
    return this.drop(from, to, path, bytes);
  }
}

function newRing(nodes: number, cargoBytes: number): Ring {
  const ring = new Ring(nodes, cargoBytes);
  ring.run(1000);
  for (const nodeId of ring.nodeIds) assert.equal(ring.membersSeenBy(nodeId), nodes);
  return ring;
}

function epochs(ring: Ring): number[] {
  return ring.members.map(({ engine }) => engine.status().epoch);
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
  for (const { cargo } of ring.members) assert.equal(cargo.damaged, 0);
});

test("with one datagram in fifty lost, a token of 60 KB still goes round and nobody is removed", () => {
  const ring = newRing(3, 60_000);
  const random = new Random(8);
  const before = epochs(ring);
  ring.drop = () => random.chance(0.02);
  ring.run(3000);
  assert.deepEqual(epochs(ring), before);
  for (const { cargo } of ring.members) assert.equal(cargo.damaged, 0);
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
  const duplicates = ring.members.map(({ engine }) => engine.status().counters.token_duplicate ?? 0);
  assert.ok(duplicates.some((count) => count > 0));
});

test("a member that dies is removed in the usual time, large token or not", () => {
  const ring = newRing(3, 100_000);
  ring.crash(3);
  ring.run(timers.rotation_ms + timers.callAfter_ms + timers.callFail_ms + timers.handOverFail_ms + 10);
  assert.equal(ring.membersSeenBy(1), 2);
  assert.equal(ring.membersSeenBy(2), 2);
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
  ring.crash(2);
  ids.push(ring.send(1, 2, second));
  ring.leave(1);
  ring.run(1000);
  assert.equal(ring.member(1).engine.status().state, "closed");
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
    .member(1)
    .engine.status()
    .paths.map(({ nodeId, path, isUp }) => [nodeId, path, isUp]);
  assert.deepEqual(paths, [
    [2, 0, true],
    [2, 1, false],
  ]);
  assert.ok((ring.member(1).engine.status().paths[0]?.roundTrip_ms ?? 9) < 1);
});
