// Reliable messages of any size over datagrams: each arrives once and whole, or its sender is told that it failed. Pure:
// the engine hands in time and packets, and sends what comes out. Also the one place that knows the paths to every peer.
import type { Timers } from "../timers.js";
import { type TransportTimes, transportTimes } from "./limits.js";
import type { HaveMessage, PartMessage, Priority } from "./packets.js";
import { PathBook, type PathStatus } from "./paths.js";
import { Receiver } from "./receiver.js";
import { Sender, type SendOptions } from "./sender.js";

export interface TransportHooks {
  /** Must not change the bytes, nor keep them longer than it takes to send them. */
  readonly transmit: (to: number, path: number, bytes: Uint8Array) => void;
  readonly pathsOf: (to: number) => number;
  /** A message is here, by a last part that came over `path`. */
  readonly deliver: (from: number, path: number, bytes: Uint8Array, priority: Priority) => void;
  /** What became of a message. Not delivered: as far as this end knows. */
  readonly settled: (id: number, to: number, delivered: boolean, bytes: Uint8Array, priority: Priority) => void;
  readonly count: (name: string) => void;
}

export interface TransportOptions {
  readonly timers: Timers;
  /** This process's incarnation. */
  readonly life: bigint;
  readonly packetBytes_max: number;
  /** Of a message of the token's priority. */
  readonly tokenBytes_max: number;
  /** Of every peer's first message; default 0. */
  readonly firstId?: number;
}

export class Transport {
  readonly paths: PathBook;
  readonly times: TransportTimes;
  readonly packetBytes_max: number;
  readonly #sender: Sender;
  readonly #receiver: Receiver;

  constructor(hooks: TransportHooks, options: TransportOptions) {
    this.times = transportTimes(options.timers);
    this.packetBytes_max = options.packetBytes_max;
    const { tokenResendMin_ms: min_ms, tokenResendMax_ms: max_ms } = this.times;
    this.paths = new PathBook(hooks.pathsOf, { min_ms, max_ms }, hooks.count);
    this.#sender = new Sender(hooks, options, this.times, this.paths);
    this.#receiver = new Receiver(hooks, options, this.times);
  }

  /** Call tick at or after this time. */
  get deadline_ms(): number {
    return Math.min(this.#sender.deadline_ms, this.#receiver.deadline_ms);
  }

  /**
   * The bytes are not copied: they must not change until the message is settled. A message of the token's priority replaces the one before it
   * to the same peer, which is then not settled.
   */
  send(now_ms: number, to: number, bytes: Uint8Array, options: SendOptions): number {
    return this.#sender.send(now_ms, to, bytes, options);
  }

  /** Nobody wants it any more: if it is under way, it stops, and is not settled. */
  cancel(now_ms: number, to: number, id: number): void {
    this.#sender.cancel(now_ms, to, id);
  }

  onPart(now_ms: number, from: number, path: number, part: PartMessage): void {
    this.#receiver.onPart(now_ms, from, path, part);
  }

  onHave(now_ms: number, from: number, path: number, have: HaveMessage): void {
    this.#sender.onHave(now_ms, from, path, have);
  }

  tick(now_ms: number): void {
    this.#receiver.tick(now_ms);
    this.#sender.tick(now_ms);
  }

  /** Everything that is under way fails, and so does what is sent until `open`; what came in parts is dropped, what was delivered stays known. */
  close(): void {
    this.#sender.close();
    this.#receiver.close();
  }

  open(): void {
    this.#sender.open();
  }

  pathsStatus(): PathStatus[] {
    return this.paths.status();
  }

  /** What waits or is under way at this end, and what is booked for messages that come in. */
  get queuedBytes(): number {
    return this.#sender.queuedBytes;
  }

  get bookedBytes(): number {
    return this.#receiver.bookedBytes;
  }
}
