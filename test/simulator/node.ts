// One simulated gateway: the ring and the VIP module under a clock of its own, and a model of its data plane, which goes
// on answering while the process is stopped, until the lease runs out.
import { Raincore, type RaincoreConfig, type RaincoreStatus } from "../../lib/raincore/raincore.js";
import type { Timers } from "../../lib/raincore/timers.js";
import type { Effect, View } from "../../lib/raincore/types.js";
import { type VipConfig, VipModule } from "../../lib/vip/vipTable.js";
import type { Random } from "./random.js";
import type { Schedule } from "./schedule.js";

export interface NodeOptions {
  readonly nodeId: number;
  readonly peerIds: readonly number[];
  readonly timers: Timers;
  readonly startupWait_ms: number;
  readonly vips: readonly VipConfig[];
  /** How fast this node's clock runs; 1 is true time. */
  readonly clockRate: number;
  readonly clockOffset_ms: number;
  /** Latest that the process runs after its timer was due. */
  readonly timerLateness_ms: number;
}

export interface NodeHooks {
  readonly send: (from: number, to: number, path: number, bytes: Uint8Array) => void;
  /** After every call into the core. */
  readonly stepped: (node: SimNode, what: string) => void;
}

export const PATHS = 2;

/** An interval of true time. */
export interface Interval {
  readonly from_ms: number;
  readonly until_ms: number;
}

export class SimNode {
  readonly nodeId: number;
  readonly options: NodeOptions;
  vip: VipModule;
  status: RaincoreStatus;
  view: View | undefined;
  /** Times at which the lease ran out while the process was neither stopped nor told that it lost its place. */
  readonly lapses_ms: number[] = [];
  life = 0;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #hooks: NodeHooks;
  #core: Raincore;
  #isUp = false;
  #isPaused = false;
  #inbox: (() => void)[] = [];
  #wakeNumber = 0;
  #answers: ReadonlyMap<string, { readonly from_ms: number }> = new Map();
  #leaseUntil_ms = 0;

  constructor(options: NodeOptions, schedule: Schedule, random: Random, hooks: NodeHooks) {
    this.options = options;
    this.nodeId = options.nodeId;
    this.#schedule = schedule;
    this.#random = random;
    this.#hooks = hooks;
    this.vip = this.#newVipModule();
    this.#core = this.#newCore();
    this.status = this.#core.status();
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get leaseUntil_ms(): number {
    return this.#isUp ? this.#toTrue(this.#leaseUntil_ms) : 0;
  }

  /** When this node's data plane answers for a VIP, as far as it knows now. */
  answering(address: string): Interval | undefined {
    const answer = this.#isUp ? this.#answers.get(address) : undefined;
    if (answer === undefined) return undefined;
    return { from_ms: this.#toTrue(answer.from_ms), until_ms: this.leaseUntil_ms };
  }

  isAnswering(address: string): boolean {
    const interval = this.answering(address);
    const { now_ms } = this.#schedule;
    return interval !== undefined && interval.from_ms <= now_ms && now_ms < interval.until_ms;
  }

  /** Starts the process, with nothing left of an earlier life. */
  start(): void {
    this.life += 1;
    this.#isUp = true;
    this.#isPaused = false;
    this.#inbox = [];
    this.#answers = new Map();
    this.#leaseUntil_ms = 0;
    this.view = undefined;
    this.vip = this.#newVipModule();
    this.#core = this.#newCore();
    this.#run("start", (now_ms) => this.#core.start(now_ms));
  }

  /** Process and data plane are gone. */
  crash(): void {
    this.#isUp = false;
    this.#wakeNumber += 1;
    this.#hooks.stepped(this, "crash");
  }

  /** The process stops; the data plane does not. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isUp || !this.#isPaused) return;
    this.#isPaused = false;
    const inbox = this.#inbox;
    this.#inbox = [];
    // Either the timers or the sockets are served first.
    if (this.#random.chance(0.5)) this.#tick();
    for (const receive of inbox) receive();
    this.#tick();
  }

  leave(): void {
    this.#whenRunning(() => this.#run("leave", (now_ms) => this.#core.leave(now_ms)));
  }

  receive(from: number, path: number, bytes: Uint8Array): void {
    const { life } = this;
    this.#whenRunning(() => {
      if (life === this.life)
        this.#run(`receive ${from}/${path}`, (now_ms) => this.#core.receive(now_ms, from, path, bytes));
    });
  }

  #whenRunning(act: () => void): void {
    if (!this.#isUp) return;
    if (this.#isPaused) this.#inbox.push(act);
    else act();
  }

  #newVipModule(): VipModule {
    const vip = new VipModule({
      self: this.options.nodeId,
      vips: this.options.vips,
      onChange: () => {
        this.#answers = new Map(vip.answers);
      },
    });
    return vip;
  }

  #newCore(): Raincore {
    const { nodeId, peerIds, timers, startupWait_ms } = this.options;
    const config: RaincoreConfig = {
      cluster: "sim",
      nodeId,
      incarnation: BigInt(this.life),
      peers: peerIds.map((peerId) => ({ nodeId: peerId, paths: PATHS })),
      timers,
      startupWait_ms,
      modules: [this.vip],
    };
    return new Raincore(config, { random: () => this.#random.next() });
  }

  #tick(): void {
    if (this.#isUp && !this.#isPaused) this.#run("tick", (now_ms) => this.#core.tick(now_ms));
  }

  #run(what: string, act: (now_ms: number) => Effect[]): void {
    for (const effect of act(this.#toLocal(this.#schedule.now_ms))) this.#apply(effect);
    this.status = this.#core.status();
    this.#planTick();
    this.#hooks.stepped(this, what);
  }

  #planTick(): void {
    const number = ++this.#wakeNumber;
    const due_ms = this.#toTrue(this.#core.deadline_ms);
    if (due_ms === Number.POSITIVE_INFINITY) return;
    const lateness_ms = this.#random.between(0, this.options.timerLateness_ms);
    this.#schedule.at(due_ms + lateness_ms, () => {
      if (number === this.#wakeNumber) this.#tick();
    });
  }

  #apply(effect: Effect): void {
    switch (effect.type) {
      case "send":
        this.#hooks.send(this.nodeId, effect.to, effect.path, effect.bytes);
        break;
      case "lease":
        this.#applyLease(effect.until_ms);
        break;
      case "view":
        this.view = effect.view;
        break;
      case "state":
      case "log":
        break;
      default:
        effect satisfies never;
    }
  }

  #applyLease(until_ms: number): void {
    const ranOut_ms = this.#toTrue(this.#leaseUntil_ms);
    if (until_ms > 0 && this.#leaseUntil_ms > 0 && ranOut_ms < this.#schedule.now_ms) this.lapses_ms.push(ranOut_ms);
    this.#leaseUntil_ms = until_ms;
  }

  #toLocal(true_ms: number): number {
    return this.options.clockOffset_ms + true_ms * this.options.clockRate;
  }

  #toTrue(local_ms: number): number {
    return (local_ms - this.options.clockOffset_ms) / this.options.clockRate;
  }
}
