// Transports under test on a virtual network: a virtual clock, and datagrams that are lost, doubled, delayed, overtaken,
// or cut off by path. Everything follows from the seed.
import { decode, encode } from "../../../lib/raincore/messages.js";
import { deriveTimers } from "../../../lib/raincore/timers.js";
import type { Priority } from "../../../lib/raincore/transport/packets.js";
import { Transport, type TransportOptions } from "../../../lib/raincore/transport/transport.js";
import { Random } from "../../simulator/random.js";

export const timers = deriveTimers(150);
export const PACKET_BYTES_MAX = 1400;
export const TOKEN_BYTES_MAX = 128 * 1024;

export interface Weather {
  readonly loss: number;
  readonly duplicate: number;
  readonly delay_ms: readonly [number, number];
}

export const FAIR: Weather = { loss: 0, duplicate: 0, delay_ms: [0.1, 0.2] };

interface Flight {
  readonly at_ms: number;
  readonly order: number;
  readonly from: number;
  readonly to: number;
  readonly path: number;
  readonly bytes: Uint8Array;
}

export interface Arrival {
  readonly from: number;
  readonly path: number;
  readonly bytes: Uint8Array;
  readonly priority: Priority;
  readonly at_ms: number;
}

export interface Outcome {
  readonly id: number;
  readonly to: number;
  readonly delivered: boolean;
  readonly bytes: Uint8Array;
  readonly at_ms: number;
}

export interface NodeOptions {
  readonly life?: bigint;
  readonly firstId?: number;
  readonly packetBytes_max?: number;
}

export class Endpoint {
  readonly nodeId: number;
  readonly arrivals: Arrival[] = [];
  readonly outcomes: Outcome[] = [];
  readonly counters: Record<string, number> = {};
  readonly transport: Transport;

  constructor(net: Net, nodeId: number, options: NodeOptions) {
    this.nodeId = nodeId;
    const { packetBytes_max = PACKET_BYTES_MAX, life = 1n, firstId = 0 } = options;
    const fixed: TransportOptions = { timers, life, firstId, packetBytes_max, tokenBytes_max: TOKEN_BYTES_MAX };
    this.transport = new Transport(
      {
        transmit: (to, path, bytes) => net.carry(nodeId, to, path, bytes),
        pathsOf: () => net.paths,
        deliver: (from, path, bytes, priority) =>
          this.arrivals.push({ from, path, bytes, priority, at_ms: net.now_ms }),
        settled: (id, to, delivered, bytes) => this.outcomes.push({ id, to, delivered, bytes, at_ms: net.now_ms }),
        count: (name) => {
          this.counters[name] = (this.counters[name] ?? 0) + 1;
        },
      },
      fixed,
    );
  }
}

export class Net {
  now_ms = 1000;
  weather = FAIR;
  readonly paths: number;
  /** Asked for every datagram; true: lost. */
  drop: (from: number, to: number, path: number, bytes: Uint8Array) => boolean = () => false;
  /** What a datagram waits in queues, besides its delay. */
  queue_ms: (from: number, to: number, path: number) => number = () => 0;
  /** Datagrams carried (not lost ones included), by "from>to/path". */
  readonly carried: Record<string, number> = {};
  readonly #random: Random;
  readonly #nodes = new Map<number, Endpoint>();
  #flights: Flight[] = [];
  #order = 0;

  constructor(seed = 1, paths = 2) {
    this.#random = new Random(seed);
    this.paths = paths;
  }

  node(nodeId: number, options: NodeOptions = {}): Endpoint {
    const node = new Endpoint(this, nodeId, options);
    this.#nodes.set(nodeId, node);
    return node;
  }

  carry(from: number, to: number, path: number, bytes: Uint8Array): void {
    const link = `${from}>${to}/${path}`;
    this.carried[link] = (this.carried[link] ?? 0) + 1;
    if (bytes.length > PACKET_BYTES_MAX) throw new Error("a datagram beyond the limit");
    const { loss, duplicate, delay_ms } = this.weather;
    if (this.drop(from, to, path, bytes) || this.#random.chance(loss)) return;
    const queue_ms = this.queue_ms(from, to, path);
    for (let copy = this.#random.chance(duplicate) ? 2 : 1; copy > 0; copy--) {
      const at_ms = this.now_ms + queue_ms + this.#random.between(delay_ms[0], delay_ms[1]);
      this.#insert({ at_ms, order: this.#order++, from, to, path, bytes: Uint8Array.from(bytes) });
    }
  }

  /** Until nothing is left to happen, or the condition holds, or the time is over. */
  run(limit_ms: number, isOver: () => boolean = () => false): void {
    const end_ms = this.now_ms + limit_ms;
    while (!isOver()) {
      const due = this.#dueNode();
      const flight = this.#flights[0];
      const next_ms = Math.min(
        due?.transport.deadline_ms ?? Number.POSITIVE_INFINITY,
        flight?.at_ms ?? Number.POSITIVE_INFINITY,
      );
      if (next_ms > end_ms) {
        this.now_ms = end_ms;
        return;
      }
      this.now_ms = Math.max(this.now_ms, next_ms);
      if (flight !== undefined && flight.at_ms <= next_ms) this.#land();
      else due?.transport.tick(this.now_ms);
    }
  }

  #dueNode(): Endpoint | undefined {
    let due: Endpoint | undefined;
    for (const node of this.#nodes.values()) {
      if (due === undefined || node.transport.deadline_ms < due.transport.deadline_ms) due = node;
    }
    return due;
  }

  #land(): void {
    const flight = this.#flights.shift();
    const node = flight && this.#nodes.get(flight.to);
    if (flight === undefined || node === undefined) return;
    const result = decode(flight.bytes);
    if (!result.ok) throw new Error(`a transport sent what is ${result.cause}`);
    const { message } = result;
    if (message.type === "part") node.transport.onPart(this.now_ms, flight.from, flight.path, message);
    else if (message.type === "have") node.transport.onHave(this.now_ms, flight.from, flight.path, message);
    // The slow way to write a packet gives the same bytes as the fast one.
    if (this.#order % 64 === 0 && !Buffer.from(encode(message)).equals(flight.bytes)) throw new Error("two encodings");
  }

  #insert(flight: Flight): void {
    let low = 0;
    let high = this.#flights.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#flights[middle]?.at_ms ?? 0) <= flight.at_ms) low = middle + 1;
      else high = middle;
    }
    this.#flights.splice(low, 0, flight);
  }
}

/** Bytes that tell a wrong place or a wrong message. */
export function patterned(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed * 2654435761;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
