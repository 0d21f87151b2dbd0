// The simulated network: every datagram is delayed, and may be lost, doubled, overtaken, damaged, cut off, or come again
// much later. It also remembers when two nodes could last not hear each other, because that is the only excuse for two
// owners of one VIP.
import type { Random } from "./random.js";
import type { Schedule } from "./schedule.js";
import { isAck } from "./wireKinds.js";

export interface Weather {
  readonly delay_ms: readonly [number, number];
  readonly loss: number;
  readonly duplicate: number;
  /** The chance of a much longer delay, so that datagrams overtake each other. */
  readonly straggle: number;
  readonly straggle_ms: number;
  /** So bad that it comes to the same as a partition: beyond what the timers are made for. */
  readonly isPartition: boolean;
}

export const FAIR_WEATHER: Weather = {
  delay_ms: [0.05, 0.3],
  loss: 0,
  duplicate: 0,
  straggle: 0,
  straggle_ms: 0,
  isPartition: false,
};

export interface Datagram {
  readonly from: number;
  readonly to: number;
  readonly path: number;
  readonly sent_ms: number;
  /** As it is on the wire. */
  readonly bytes: Uint8Array;
  /** What is in it; for faults that choose by content. */
  readonly plain: Uint8Array;
}

export type DeliverFn = (datagram: Datagram) => void;

const NODES_MAX = 0x1_0000;
const PATHS_MAX = 16;
/** Kept for replays: the latest ones, and a sample of all. */
const LATEST_MAX = 256;
const SAMPLE_MAX = 512;

/** Names a direction of a link. */
function link(from: number, to: number): number {
  return from * NODES_MAX + to;
}

function linkPath(from: number, to: number, path: number): number {
  return link(from, to) * PATHS_MAX + path;
}

/** What is in force as often as it was put in force; cuts of several faults overlap. */
class Counted {
  readonly #counts = new Map<number, number>();

  has(key: number): boolean {
    return this.#counts.size > 0 && this.#counts.has(key);
  }

  add(key: number): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** True: that was the last one. */
  remove(key: number): boolean {
    const left = (this.#counts.get(key) ?? 0) - 1;
    if (left <= 0) return this.#counts.delete(key);
    this.#counts.set(key, left);
    return false;
  }

  keys(): Iterable<number> {
    return this.#counts.keys();
  }

  clear(): void {
    this.#counts.clear();
  }
}

export class Network {
  /** Asked for every datagram; true = lost. For the faults of single tests. */
  drop: (from: number, to: number, path: number, plain: Uint8Array) => boolean = () => false;
  /** The chance that a datagram arrives with a few bits turned over. */
  flipChance = 0;
  /** Whether datagrams are kept for replays. */
  isRecording = false;
  sent = 0;
  #weather: Weather = FAIR_WEATHER;
  #badUntil_ms = Number.NEGATIVE_INFINITY;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #deliver: DeliverFn;
  readonly #cuts = new Counted();
  readonly #cutPaths = new Counted();
  readonly #ackLoss = new Counted();
  readonly #lastCut_ms = new Map<number, number>();
  readonly #jammedUntil_ms = new Map<number, number>();
  #healed_ms = Number.NEGATIVE_INFINITY;
  #staleFrom_ms = Number.POSITIVE_INFINITY;
  readonly #held: Datagram[] = [];
  readonly #latest: Datagram[] = [];
  readonly #sample: Datagram[] = [];

  constructor(schedule: Schedule, random: Random, deliver: DeliverFn) {
    this.#schedule = schedule;
    this.#random = random;
    this.#deliver = deliver;
  }

  get weather(): Weather {
    return this.#weather;
  }

  set weather(weather: Weather) {
    if (this.#weather.isPartition) this.#badUntil_ms = this.#schedule.now_ms;
    this.#weather = weather;
  }

  send(datagram: Datagram): void {
    this.sent += 1;
    if (this.isRecording) this.#record(datagram);
    if (this.#isLost(datagram)) return;
    const { duplicate } = this.#weather;
    const copies = duplicate > 0 && this.#random.chance(duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const arriving = this.flipChance > 0 && this.#random.chance(this.flipChance) ? this.#damaged(datagram) : datagram;
      if (this.#isJammed(datagram.from)) this.#held.push(arriving);
      else this.#forward(arriving);
    }
  }

  /** Something that is no node's datagram goes there, if anything does. */
  ask(from: number, to: number, path: number, arrived: () => void): void {
    const isCut = this.#cuts.has(link(from, to)) || this.#cutPaths.has(linkPath(from, to, path));
    if (isCut || this.#isJammed(from) || this.#random.chance(this.#weather.loss)) return;
    this.#schedule.after(this.#delay_ms(), arrived);
  }

  #forward(datagram: Datagram): void {
    this.#arriveAfter(this.#delay_ms(), datagram);
  }

  #arriveAfter(delay_ms: number, datagram: Datagram): void {
    const from_ms = this.#schedule.now_ms;
    this.#schedule.after(delay_ms, () => {
      const isStale = from_ms < this.#healed_ms && this.#schedule.now_ms > this.#staleFrom_ms;
      if (!isStale) this.#deliver(datagram);
    });
  }

  /** Delivers recorded datagrams again, some of them on another path, over the next `within_ms`; how many there were. */
  replay(count: number, within_ms: number): number {
    const known = this.#random.chance(0.5) ? this.#latest : this.#sample;
    if (known.length === 0) return 0;
    for (let i = 0; i < count; i++) {
      const datagram = this.#random.pick(known);
      const path = this.#random.chance(0.2) ? 1 - Math.min(1, datagram.path) : datagram.path;
      this.#arriveAfter(this.#random.between(0, within_ms), { ...datagram, path });
    }
    return count;
  }

  /** One direction between two nodes, on all paths. Cuts add up. */
  cut(from: number, to: number): void {
    if (from !== to) this.#cuts.add(link(from, to));
  }

  mend(from: number, to: number): void {
    if (this.#cuts.remove(link(from, to))) this.#lastCut_ms.set(link(from, to), this.#schedule.now_ms);
  }

  cutBetween(side: readonly number[], other: readonly number[]): void {
    for (const a of side) for (const b of other) this.#bothWays(a, b, (x, y) => this.cut(x, y));
  }

  mendBetween(side: readonly number[], other: readonly number[]): void {
    for (const a of side) for (const b of other) this.#bothWays(a, b, (x, y) => this.mend(x, y));
  }

  /** One of two or more paths in one direction; refused if it is the last one, which would be a cut without an excuse. */
  cutPath(from: number, to: number, path: number, pathCount: number): boolean {
    for (let other = 0; other < pathCount; other++) {
      if (other === path || this.#cutPaths.has(linkPath(from, to, other))) continue;
      this.#cutPaths.add(linkPath(from, to, path));
      return true;
    }
    return false;
  }

  mendPath(from: number, to: number, path: number): void {
    this.#cutPaths.remove(linkPath(from, to, path));
  }

  /** What this node sends until then arrives then. */
  jam(from: number, for_ms: number): void {
    const until_ms = this.#schedule.now_ms + for_ms;
    this.#jammedUntil_ms.set(from, Math.max(until_ms, this.#jammedUntil_ms.get(from) ?? 0));
    this.#schedule.after(for_ms, () => this.#release());
  }

  /** What is held back and is not to be any more. */
  #release(): void {
    const held = this.#held.splice(0);
    for (const datagram of held) {
      if (this.#isJammed(datagram.from)) this.#held.push(datagram);
      else this.#forward(datagram);
    }
  }

  /** Only acknowledgements are lost in this direction. */
  loseAcks(from: number, to: number): void {
    this.#ackLoss.add(link(from, to));
  }

  keepAcks(from: number, to: number): void {
    this.#ackLoss.remove(link(from, to));
  }

  /** Fair weather and nothing cut: what is under way arrives within that time, or not at all. */
  heal(underWay_ms: number): void {
    this.#healed_ms = this.#schedule.now_ms;
    this.#staleFrom_ms = this.#healed_ms + underWay_ms;
    for (const direction of this.#cuts.keys()) this.#lastCut_ms.set(direction, this.#schedule.now_ms);
    this.#cuts.clear();
    this.#cutPaths.clear();
    this.#ackLoss.clear();
    for (const [from, until_ms] of this.#jammedUntil_ms)
      this.#jammedUntil_ms.set(from, Math.min(until_ms, this.#schedule.now_ms));
    this.flipChance = 0;
    this.weather = FAIR_WEATHER;
    this.#release();
  }

  /** Whether these two nodes could not hear each other, in a direction, at some time since `since_ms`. */
  wereCutSince(a: number, b: number, since_ms: number): boolean {
    if (this.#weather.isPartition || this.#badUntil_ms >= since_ms) return true;
    if (this.#wasJammedSince(a, since_ms) || this.#wasJammedSince(b, since_ms)) return true;
    return this.#wasCutSince(link(a, b), since_ms) || this.#wasCutSince(link(b, a), since_ms);
  }

  #wasJammedSince(from: number, since_ms: number): boolean {
    return (this.#jammedUntil_ms.get(from) ?? Number.NEGATIVE_INFINITY) >= since_ms;
  }

  #wasCutSince(direction: number, since_ms: number): boolean {
    return this.#cuts.has(direction) || (this.#lastCut_ms.get(direction) ?? Number.NEGATIVE_INFINITY) >= since_ms;
  }

  #bothWays(a: number, b: number, act: (x: number, y: number) => void): void {
    act(a, b);
    act(b, a);
  }

  #isLost(datagram: Datagram): boolean {
    const { from, to, path, plain } = datagram;
    const direction = link(from, to);
    if (this.#cuts.has(direction) || this.#cutPaths.has(linkPath(from, to, path))) return true;
    if (this.#ackLoss.has(direction) && isAck(plain)) return true;
    const { loss } = this.#weather;
    return (loss > 0 && this.#random.chance(loss)) || this.drop(from, to, path, plain);
  }

  #delay_ms(): number {
    const { delay_ms, straggle, straggle_ms } = this.#weather;
    const usual_ms = this.#random.between(delay_ms[0], delay_ms[1]);
    return straggle > 0 && this.#random.chance(straggle) ? usual_ms + this.#random.between(0, straggle_ms) : usual_ms;
  }

  #isJammed(from: number): boolean {
    return this.#schedule.now_ms < (this.#jammedUntil_ms.get(from) ?? Number.NEGATIVE_INFINITY);
  }

  #record(datagram: Datagram): void {
    this.#latest[(this.sent - 1) % LATEST_MAX] = datagram;
    if (this.#sample.length < SAMPLE_MAX) this.#sample.push(datagram);
    else if (this.sent % 8 === 0) this.#sample[this.#random.integer(0, SAMPLE_MAX - 1)] = datagram;
  }

  #damaged(datagram: Datagram): Datagram {
    const bytes = Uint8Array.from(datagram.bytes);
    for (let flips = this.#random.integer(1, 3); flips > 0; flips--) {
      const at = this.#random.integer(0, bytes.length - 1);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#random.integer(0, 7));
    }
    return { ...datagram, bytes };
  }
}
