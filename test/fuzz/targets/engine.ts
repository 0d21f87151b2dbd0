// Rows of datagrams, opened already, against one node's whole ring and against its transport alone: members may be broken
// or worse, and nothing that they say may bring a node down.
import { RaincoreEngine } from "../../../lib/raincore/engine.js";
import { decode, encode } from "../../../lib/raincore/messages.js";
import { deriveTimers } from "../../../lib/raincore/timers.js";
import { Transport } from "../../../lib/raincore/transport/transport.js";
import type { Effect } from "../../../lib/raincore/types.js";
import { VipModule } from "../../../lib/vip/vipTable.js";
import { Random } from "../../simulator/random.js";
import { frame, readFrames, row } from "../frames.js";
import { type Target, Violation } from "../target.js";
import { MESSAGES } from "./samples.js";

const SELF = 1;
const PEERS = [2, 3] as const;
const PATHS = 2;
const TIMERS = deriveTimers(150);
/** For one datagram or tick: every peer by every path, several times over. */
const EFFECTS_MAX = 256;

interface Answer {
  readonly effects: number;
  readonly most: number;
  readonly badDeadline: boolean;
  readonly state: string;
}

/** Sender and path in `a`, time since the last one in `b`. */
function seedRows(): Uint8Array[] {
  const single = MESSAGES.map((message) => frame(2, 1, encode(message)));
  return [...single, row(...single), row(...MESSAGES.map((message) => frame(3, 40, encode(message))))];
}

function runEngine(input: Uint8Array): Answer {
  const random = new Random(1);
  const engine = new RaincoreEngine(
    {
      cluster: "front",
      nodeId: SELF,
      incarnation: 5n,
      peers: PEERS.map((nodeId) => ({ nodeId, paths: PATHS })),
      timers: TIMERS,
      modules: [new VipModule({ self: SELF, vips: [] })],
    },
    { random: () => random.next() },
  );
  let now_ms = 1000;
  let effects = 0;
  let most = 0;
  let badDeadline = false;
  const took = (news: readonly Effect[]) => {
    effects += news.length;
    most = Math.max(most, news.length);
    badDeadline ||= Number.isNaN(engine.deadline_ms);
  };
  took(engine.start(now_ms));
  for (const { a, b, bytes } of readFrames(input)) {
    now_ms += b;
    if (engine.deadline_ms <= now_ms) took(engine.tick(now_ms));
    took(engine.receive(now_ms, a & 0x0f, a >> 7, bytes));
  }
  return { effects, most, badDeadline, state: engine.status().state };
}

export const engine: Target = {
  name: "engine",
  covers: /\/lib\/raincore\/[a-zA-Z]+\./,
  bytesMax: 4096,
  limits: { countedPerByte: 1024, countedBytes: 4 * 1024 * 1024, heapPerByte: 8192, heapBytes: 16 * 1024 * 1024 },
  seeds: seedRows,
  decode: runEngine,
  check(answer) {
    const { most, badDeadline, state } = answer as Answer;
    if (most > EFFECTS_MAX) throw new Violation(`${most} effects at once`);
    if (badDeadline) throw new Violation("has a deadline that is no number");
    return state;
  },
};

/** One packet with a new id may cost a page and its book-keeping, whatever its own size; never the size that it claims. */
const PER_PACKET_BYTES = 128 * 1024;
const PACKETS_MAX = 64;

function runTransport(input: Uint8Array): Answer {
  let effects = 0;
  let most = 0;
  const transport = new Transport(
    {
      transmit: () => {
        effects += 1;
      },
      pathsOf: () => PATHS,
      deliver: () => {},
      settled: () => {},
      count: () => {},
    },
    { timers: TIMERS, life: 5n, packetBytes_max: 1400, tokenBytes_max: 60_000 },
  );
  let now_ms = 1000;
  for (const peer of PEERS) transport.send(now_ms, peer, new Uint8Array(5000), { priority: "bulk" });
  for (const { a, b, bytes } of readFrames(input)) {
    now_ms += b;
    const before = effects;
    const result = decode(bytes);
    const from = PEERS[a & 1] ?? SELF;
    if (result.ok && result.message.type === "part") transport.onPart(now_ms, from, a >> 7, result.message);
    if (result.ok && result.message.type === "have") transport.onHave(now_ms, from, a >> 7, result.message);
    if (transport.deadline_ms <= now_ms) transport.tick(now_ms);
    most = Math.max(most, effects - before);
  }
  const badDeadline = Number.isNaN(transport.deadline_ms);
  return { effects, most, badDeadline, state: transport.bookedBytes > 0 ? "collecting" : "idle" };
}

export const transport: Target = {
  ...engine,
  name: "transport",
  covers: /\/lib\/raincore\/(transport\/|messages|wire)/,
  limits: { countedBytes: PACKETS_MAX * PER_PACKET_BYTES, heapBytes: 2 * PACKETS_MAX * PER_PACKET_BYTES },
  decode: runTransport,
};
