// The simulated network: every datagram is delayed, and may be lost, doubled, overtaken, or cut off. It also remembers
// when two nodes could last not hear each other, because that is the only excuse for two owners of one VIP.
import { decode } from "../../lib/raincore/messages.js";
import type { Random } from "./random.js";
import type { Schedule } from "./schedule.js";

export interface Weather {
  readonly delay_ms: readonly [number, number];
  readonly loss: number;
  readonly duplicate: number;
  /** The chance of a much longer delay, so that datagrams overtake each other. */
  readonly straggle: number;
  readonly straggle_ms: number;
}

export const FAIR_WEATHER: Weather = { delay_ms: [0.05, 0.3], loss: 0, duplicate: 0, straggle: 0, straggle_ms: 0 };

export type DeliverFn = (from: number, to: number, path: number, bytes: Uint8Array) => void;

/** Names a direction of a link. */
function link(from: number, to: number): string {
  return `${from}>${to}`;
}

export class Network {
  weather: Weather = FAIR_WEATHER;
  /** Asked for every datagram; true = lost. For the faults of single tests. */
  drop: (from: number, to: number, path: number, bytes: Uint8Array) => boolean = () => false;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #deliver: DeliverFn;
  readonly #cuts = new Map<string, number>();
  readonly #cutPaths = new Set<string>();
  readonly #ackLoss = new Set<string>();
  readonly #lastCut_ms = new Map<string, number>();

  constructor(schedule: Schedule, random: Random, deliver: DeliverFn) {
    this.#schedule = schedule;
    this.#random = random;
    this.#deliver = deliver;
  }

  send(from: number, to: number, path: number, bytes: Uint8Array): void {
    if (this.#isLost(from, to, path, bytes)) return;
    const copies = this.#random.chance(this.weather.duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.#schedule.after(this.#delay_ms(), () => this.#deliver(from, to, path, bytes));
    }
  }

  /** One direction between two nodes, on all paths. Cuts add up. */
  cut(from: number, to: number): void {
    this.#cuts.set(link(from, to), (this.#cuts.get(link(from, to)) ?? 0) + 1);
  }

  mend(from: number, to: number): void {
    const left = (this.#cuts.get(link(from, to)) ?? 0) - 1;
    if (left > 0) return void this.#cuts.set(link(from, to), left);
    if (this.#cuts.delete(link(from, to))) this.#lastCut_ms.set(link(from, to), this.#schedule.now_ms);
  }

  cutBetween(side: readonly number[], other: readonly number[]): void {
    for (const a of side) for (const b of other) this.#bothWays(a, b, (x, y) => this.cut(x, y));
  }

  mendBetween(side: readonly number[], other: readonly number[]): void {
    for (const a of side) for (const b of other) this.#bothWays(a, b, (x, y) => this.mend(x, y));
  }

  /** One of two or more paths in one direction; refused if it is the last one, which would be a cut without an excuse. */
  cutPath(from: number, to: number, path: number, pathCount: number): void {
    const paths = Array.from({ length: pathCount }, (_, other) => `${link(from, to)}/${other}`);
    const whole = paths.filter((name, other) => other !== path && !this.#cutPaths.has(name));
    if (whole.length > 0) this.#cutPaths.add(`${link(from, to)}/${path}`);
  }

  /** Only acknowledgements are lost in this direction. */
  loseAcks(from: number, to: number): void {
    this.#ackLoss.add(link(from, to));
  }

  /** Fair weather and nothing cut. */
  heal(): void {
    for (const direction of this.#cuts.keys()) this.#lastCut_ms.set(direction, this.#schedule.now_ms);
    this.#cuts.clear();
    this.#cutPaths.clear();
    this.#ackLoss.clear();
    this.weather = FAIR_WEATHER;
  }

  /** Whether these two nodes could not hear each other, in a direction, at some time since `since_ms`. */
  wereCutSince(a: number, b: number, since_ms: number): boolean {
    return [link(a, b), link(b, a)].some(
      (direction) =>
        this.#cuts.has(direction) || (this.#lastCut_ms.get(direction) ?? Number.NEGATIVE_INFINITY) >= since_ms,
    );
  }

  #bothWays(a: number, b: number, act: (x: number, y: number) => void): void {
    act(a, b);
    act(b, a);
  }

  #isLost(from: number, to: number, path: number, bytes: Uint8Array): boolean {
    const direction = link(from, to);
    if (this.#cuts.has(direction) || this.#cutPaths.has(`${direction}/${path}`)) return true;
    if (this.#ackLoss.has(direction) && isAck(bytes)) return true;
    return this.#random.chance(this.weather.loss) || this.drop(from, to, path, bytes);
  }

  #delay_ms(): number {
    const { delay_ms, straggle, straggle_ms } = this.weather;
    const usual_ms = this.#random.between(delay_ms[0], delay_ms[1]);
    return this.#random.chance(straggle) ? usual_ms + this.#random.between(0, straggle_ms) : usual_ms;
  }
}

function isAck(bytes: Uint8Array): boolean {
  const result = decode(bytes);
  return result.ok && result.message.type === "ack";
}
