// The ring plays against itself in memory, in virtual time, before it begins. Cold code runs ten times slower than compiled code, and at rest
// the ring runs so seldom that it would take V8 minutes to see what is worth compiling: its first minutes would cost several times the
// CPU, and a fail-over in them milliseconds. Used by session.ts.
import { randomFillSync } from "node:crypto";
import { SharedCarriages } from "../raincore/carriages/sharedCarriages.js";
import { RaincoreEngine } from "../raincore/engine.js";
import { Locks } from "../raincore/locks/locks.js";
import { Multicast } from "../raincore/multicast/multicast.js";
import { SecureChannel, sealedBytes } from "../raincore/secureChannel.js";
import { deriveTimers } from "../raincore/timers.js";
import type { Effect } from "../raincore/types.js";
import { chooseAead } from "./aead.js";

const NODES = [1, 2, 3] as const;
/** Enough for V8's last compiler: about as many visits as the first two minutes of a real ring. */
const STEPS = 12_000;
const DATAGRAM_BYTES_MAX = 2048;
const HOP_MS = 0.2;

interface Player {
  readonly nodeId: number;
  readonly engine: RaincoreEngine;
  readonly multicast: Multicast;
  readonly channel: SecureChannel;
}

interface Datagram {
  readonly from: number;
  readonly to: number;
  readonly path: number;
  readonly bytes: Buffer;
}

/** What was played, for the test: a rehearsal in which nothing happens would warm nothing. */
export interface Rehearsal {
  readonly members: number;
  readonly delivered: number;
}

/** Takes some tenths of a second. */
export function rehearse(): Rehearsal {
  const clusterKeys = [randomFillSync(new Uint8Array(32))];
  const players = NODES.map((nodeId) => newPlayer(nodeId, clusterKeys));
  const flying: Datagram[] = [];
  let now_ms = 1000;
  for (const player of players) perform(player, player.engine.start(now_ms), flying);
  for (let step = 0; step < STEPS; step++) {
    const datagram = flying.shift();
    if (datagram !== undefined) {
      now_ms += HOP_MS / 8;
      arrive(players, datagram, now_ms, flying);
      continue;
    }
    const next = players.reduce((first, player) =>
      player.engine.deadline_ms < first.engine.deadline_ms ? player : first,
    );
    now_ms = Math.max(now_ms, next.engine.deadline_ms);
    perform(next, next.engine.tick(now_ms), flying);
    // Mostly at rest, as a ring is.
    if (step % 64 === 0) {
      next.multicast.send(new Uint8Array(64), "agreed");
      perform(next, next.engine.wake(now_ms), flying);
    }
  }
  for (const { channel } of players) channel.destroy();
  return {
    members: Math.min(...players.map(({ engine }) => engine.status().members.length)),
    delivered: Math.min(...players.map(({ multicast }) => multicast.counters.delivered ?? 0)),
  };
}

function newPlayer(nodeId: number, clusterKeys: readonly Uint8Array[]): Player {
  const peers = NODES.filter((id) => id !== nodeId);
  const multicast = new Multicast({ self: nodeId, onDeliver: () => {} });
  const modules = [
    new Locks({ self: nodeId, onEvent: () => {} }),
    new SharedCarriages({ self: nodeId, onChange: () => {} }),
    multicast,
  ];
  const engine = new RaincoreEngine(
    {
      cluster: "rehearsal",
      nodeId,
      incarnation: BigInt(nodeId),
      peers: peers.map((peer) => ({ nodeId: peer, paths: 2 })),
      timers: deriveTimers(1000),
      modules,
    },
    { random: () => 0.5 },
  );
  const channel = new SecureChannel({
    aead: chooseAead(),
    random: (out) => randomFillSync(out),
    clusterKeys,
    cluster: "rehearsal",
    nodeId,
    incarnation: BigInt(nodeId),
    peers,
  });
  return { nodeId, engine, multicast, channel };
}

function perform(player: Player, effects: readonly Effect[], flying: Datagram[]): void {
  for (const effect of effects) {
    if (effect.type !== "send" || sealedBytes(effect.bytes.length) > DATAGRAM_BYTES_MAX) continue;
    const { to, path } = effect;
    flying.push({ from: player.nodeId, to, path, bytes: player.channel.seal(to, effect.bytes) });
  }
}

function arrive(
  players: readonly Player[],
  { from, to, path, bytes }: Datagram,
  now_ms: number,
  flying: Datagram[],
): void {
  const player = players.find(({ nodeId }) => nodeId === to);
  if (player === undefined) return;
  const opened = player.channel.open(now_ms, bytes);
  if (opened.ok) perform(player, player.engine.receive(now_ms, from, path, opened.plain), flying);
  else if (opened.reply !== undefined) flying.push({ from: to, to: from, path, bytes: Buffer.from(opened.reply) });
}
