// One simulated gateway: the ring and its modules under a clock of its own, and its data plane (dataPlane.ts), which goes on answering while the
// process is stopped.
import { RaincoreEngine } from "../../lib/raincore/engine.js";
import type {
  Effect,
  RaincoreConfig,
  RaincorePlace,
  RaincoreStatus,
  TokenModule,
  View,
} from "../../lib/raincore/types.js";
import { VipModule } from "../../lib/vip/vipTable.js";
import { Away, type Departure } from "./away.js";
import { epochFloorOf, incarnationOf } from "./births.js";
import { DataPlaneModel } from "./dataPlane.js";
import { Interruptions, type Interval } from "./interruptions.js";
import { LocalClock } from "./localClock.js";
import type { Datagram } from "./network.js";
import type { NodeHooks, NodeOptions, Step } from "./nodeOptions.js";
import type { Random } from "./random.js";
import type { Schedule } from "./schedule.js";
import { PATHS, Wire } from "./wire.js";
import { describeDatagram } from "./wireKinds.js";

/** Datagrams that wait for a stopped process; its sockets hold no more. */
const INBOX_MAX = 4096;

export class SimNode {
  readonly nodeId: number;
  readonly options: NodeOptions;
  vip: VipModule;
  view: View | undefined;
  /** The view of the token's latest visit; what services report during a visit belongs to it. */
  visiting: View | undefined;
  life = 0;
  /** Grows whenever the claims of its data plane may have changed. */
  claims = 0;
  /** Numbers of the cluster's keys as configured: the first seals, all open. */
  keys: readonly number[] = [1];
  /** Own clock's last step ahead, in true time. */
  steppedClock_ms = Number.NEGATIVE_INFINITY;
  /** When this life began, if its wall clock had been set back by then. */
  setBack_ms: number | undefined;
  /** Of the last life that began so, this one or an earlier one. */
  lastSetBack_ms = Number.NEGATIVE_INFINITY;
  /** Was asked to leave in this life. */
  isLeaving = false;
  /** Additional lateness of timers and sockets. */
  slowness_ms = 0;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #hooks: NodeHooks;
  #core: RaincoreEngine;
  #wire: Wire | undefined;
  #status: RaincoreStatus | undefined;
  #place: RaincorePlace | undefined;
  #isUp = false;
  #isPaused = false;
  #isDeaf = false;
  #inbox: (() => void)[] = [];
  readonly #interruptions = new Interruptions();
  #plannedFor_ms = Number.NaN;
  #wakeNumber = 0;
  readonly #clock: LocalClock;
  readonly #dataPlane: DataPlaneModel;
  readonly #away: Away;

  constructor(options: NodeOptions, schedule: Schedule, random: Random, hooks: NodeHooks) {
    this.options = options;
    this.nodeId = options.nodeId;
    this.#clock = new LocalClock(options.clockRate, options.clockOffset_ms);
    this.#dataPlane = new DataPlaneModel(this.#clock);
    this.#schedule = schedule;
    this.#random = random;
    this.#hooks = hooks;
    this.#away = this.#newAway();
    this.vip = this.#newVipModule();
    this.#core = this.#newCore([]);
  }

  /** Of the status, what every step may ask for. */
  get place(): RaincorePlace {
    this.#place ??= this.#core.place;
    return this.#place;
  }

  get status(): RaincoreStatus {
    this.#status ??= this.#core.status();
    return this.#status;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get leaseUntil_ms(): number {
    return this.#isUp ? this.toTrue(this.#dataPlane.leaseUntilOwn_ms) : 0;
  }

  /** On its own clock. */
  get leaseUntilOwn_ms(): number {
    return this.#dataPlane.leaseUntilOwn_ms;
  }

  get lapses_ms(): readonly number[] {
    return this.#dataPlane.lapses_ms;
  }

  get nowOwn_ms(): number {
    return this.#clock.toLocal(this.#schedule.now_ms);
  }

  /** When this node's data plane answers for a VIP, as far as it knows now. */
  answering(address: string): Interval | undefined {
    const { held } = this.#away;
    if (held !== undefined) return this.#dataPlane.answering(address, held.answers, held.until_ms);
    return this.#isUp ? this.#dataPlane.answering(address) : undefined;
  }

  /** Its data plane goes on by what an earlier process told it, or one that was let go. */
  get isHeld(): boolean {
    return this.#away.held !== undefined;
  }

  /** It was let go: the process has no say any more, and ends. */
  get isAway(): boolean {
    return this.#away.isAway;
  }

  /** Who is absent, as far as it knows. */
  get knownAbsent(): ReadonlyMap<number, number> {
    return this.#away.known();
  }

  isAnswering(address: string): boolean {
    const interval = this.answering(address);
    const { now_ms } = this.#schedule;
    return interval !== undefined && interval.from_ms <= now_ms && now_ms < interval.until_ms;
  }

  /** Starts the process, with nothing left of an earlier life. `isSetBack`: its wall clock is, so that this life seems to be an early one. */
  start(isSetBack = false): void {
    this.life += 1;
    this.setBack_ms = isSetBack ? this.#schedule.now_ms : undefined;
    if (isSetBack) this.lastSetBack_ms = this.#schedule.now_ms;
    this.isLeaving = false;
    this.#isUp = true;
    this.#isPaused = false;
    this.#interruptions.end(this.#schedule.now_ms);
    this.#inbox = [];
    this.#dataPlane.reset();
    this.claims += 1;
    this.view = undefined;
    this.#away.beginLife();
    this.vip = this.#newVipModule();
    this.#core = this.#newCore(this.#hooks.modulesOf(this));
    this.#wire = this.#newWire();
    this.#hooks.began(this);
    this.#wire.greet(this.nowOwn_ms);
    this.#run("start", (now_ms) => this.#core.start(now_ms));
  }

  /** Process and data plane are gone. */
  crash(): void {
    if (!this.#isUp && !this.isHeld) return;
    this.#away.drop();
    this.#end();
  }

  /** The process is gone. */
  #end(): void {
    this.#isUp = false;
    this.claims += 1;
    this.#wakeNumber += 1;
    this.#plannedFor_ms = Number.NaN;
    this.#hooks.stepped(this, "crash");
  }

  /** The process stops; the data plane does not. Deaf: its sockets have no room, and what comes meanwhile is lost. */
  pause(isDeaf = false): void {
    this.#isDeaf = isDeaf;
    if (!this.#isPaused) this.#interruptions.begin(this.#schedule.now_ms);
    this.#isPaused = true;
  }

  /** For how long it was stopped since then. */
  stopped_ms(since_ms: number): number {
    return this.#interruptions.within_ms(since_ms, this.#schedule.now_ms);
  }

  resume(): void {
    if (!this.#isUp || !this.#isPaused) return;
    this.#isPaused = false;
    this.#interruptions.end(this.#schedule.now_ms);
    const inbox = this.#inbox;
    this.#inbox = [];
    // Either the timers or the sockets are served first.
    if (this.#random.chance(0.5)) this.#tick();
    for (const receive of inbox) receive();
    this.#tick();
  }

  /** Asks all others to let it go. */
  askAway(departure: Departure): void {
    this.#whenRunning(() => {
      this.#away.ask(departure);
      this.#run("wake", (now_ms) => this.#core.wake(now_ms));
    });
  }

  leave(): void {
    this.isLeaving = true;
    this.#whenRunning(() => this.#run("leave", (now_ms) => this.#core.leave(now_ms)));
  }

  /** A reliable message; what becomes of it is an effect. */
  send(to: number, bytes: Uint8Array): void {
    this.#whenRunning(() => this.#run("send", (now_ms) => this.#core.send(now_ms, to, bytes).effects));
  }

  /** In the ring's thread: at once, or when the process is not stopped any more. */
  whenAwake(act: () => void): void {
    const { life } = this;
    this.#whenRunning(() => {
      if (life === this.life && this.#isUp) act();
    });
  }

  /** A service of this node was given work. */
  wake(): void {
    this.#whenRunning(() => this.#run("wake", (now_ms) => this.#core.wake(now_ms)));
  }

  /** The answer to its probe: no process has that node's port. */
  refused(to: number, path: number): void {
    this.#trace(() => `refused by the port of ${to}/${path}`);
    this.#whenRunning(() => this.#run("refused", (now_ms) => this.#core.refused(now_ms, to, path)));
  }

  /** Something says that a node's process has ended. */
  suspect(nodeId: number): void {
    this.#trace(() => `suspects ${nodeId}`);
    this.#whenRunning(() => this.#run("suspect", (now_ms) => this.#core.suspect(now_ms, nodeId)));
  }

  receive(datagram: Datagram): void {
    if (this.slowness_ms > 0 && this.#isUp && !this.#isPaused) {
      this.#schedule.after(this.#random.between(0, this.slowness_ms), () => this.#take(datagram));
    } else {
      this.#take(datagram);
    }
  }

  /** The own clock jumps ahead. */
  stepClock(by_ms: number): void {
    this.#clock.step(by_ms);
    this.steppedClock_ms = this.#schedule.now_ms;
    this.claims += 1;
    this.#plannedFor_ms = Number.NaN;
    if (this.#isUp) {
      this.#planTick();
      this.#hooks.stepped(this, "tick");
    }
  }

  /** The configuration has other keys now; a running process takes them over. */
  setKeys(keys: readonly number[]): void {
    this.keys = keys;
    this.#trace(() => `keys ${keys.join()}`);
    const { life } = this;
    this.#whenRunning(() => {
      if (life === this.life) this.#wire?.setKeys(keys);
    });
  }

  toTrue(local_ms: number): number {
    return this.#clock.toTrue(local_ms);
  }

  #take(datagram: Datagram): void {
    if (this.#isPaused && this.#isDeaf) return;
    const { life } = this;
    this.#whenRunning(() => {
      if (life !== this.life || !this.#isUp) return;
      const { path } = datagram;
      const opened = this.#wire?.open(this.nowOwn_ms, datagram);
      if (opened === undefined) return;
      this.#trace(() => `← ${opened.from}/${path} ${describeDatagram(opened.plain)}`);
      this.#run("receive", (now_ms) => this.#core.receive(now_ms, opened.from, path, opened.plain));
      this.#wire?.used(opened);
    });
  }

  get #incarnation(): bigint {
    return incarnationOf(this.life, this.setBack_ms !== undefined);
  }

  #newWire(): Wire {
    const { nodeId, peerIds, isSealed } = this.options;
    const incarnation = this.#incarnation;
    return new Wire({ nodeId, peerIds, isSealed, incarnation, keys: this.keys }, this.#random, {
      transmit: (to, path, bytes, plain) =>
        this.#hooks.send({ from: nodeId, to, path, sent_ms: this.#schedule.now_ms, bytes, plain }),
      opened: (datagram) => this.#hooks.opened(this, datagram),
      refused: (from, path, cause) => this.#trace(() => `refused ${from}/${path} ${cause}`),
    });
  }

  #whenRunning(act: () => void): void {
    if (!this.#isUp) return;
    if (!this.#isPaused) act();
    else if (this.#inbox.length < INBOX_MAX) this.#inbox.push(act);
  }

  #newVipModule(): VipModule {
    const vip = new VipModule({
      self: this.options.nodeId,
      vips: this.options.vips,
      absent: (now_ms) => this.#away.known(now_ms),
      returning: () => this.#away.module?.returning ?? new Set(),
      recalled: () => this.#away.module?.recalled ?? new Set(),
      onChange: () => {
        this.#dataPlane.setAnswers(vip.answers);
        this.claims += 1;
        this.#trace(() => `answers ${this.#dataPlane.describeAnswers()}`);
      },
    });
    return vip;
  }

  #newAway(): Away {
    return new Away(this.options, {
      now_ms: () => this.nowOwn_ms,
      answers: () => this.#dataPlane.answers,
      isServing: () => this.vip.isServing,
      changed: () => {
        this.claims += 1;
      },
      wentAway: (departure) => {
        this.#hooks.wentAway(this, departure);
        this.#laterInLife(departure.lag_ms, () => (departure.isKilled ? this.#end() : this.leave()));
      },
      trace: (line) => this.#trace(line),
    });
  }

  /** The process ends that was let go; one that leaves for good takes its data plane with it. */
  #closed(): void {
    if (this.isAway) this.#laterInLife(0, () => this.#end());
    else this.#away.drop();
  }

  #laterInLife(delay_ms: number, act: () => void): void {
    const { life } = this;
    this.#schedule.after(delay_ms, () => {
      if (this.#isUp && life === this.life) act();
    });
  }

  #newCore(services: readonly TokenModule[]): RaincoreEngine {
    const { nodeId, peerIds, timers, startupWait_ms, quorum, packetBytes_max, calmRounds } = this.options;
    this.#status = undefined;
    this.#place = undefined;
    const config: RaincoreConfig = {
      cluster: "sim",
      nodeId,
      incarnation: this.#incarnation,
      peers: peerIds.map((peerId) => ({ nodeId: peerId, paths: PATHS })),
      timers,
      startupWait_ms,
      epochFloor: epochFloorOf(this.life, this.setBack_ms !== undefined, this.#schedule.now_ms),
      quorum,
      packetBytes_max,
      calmRounds,
      modules: [...(this.#away.module === undefined ? [] : [this.#away.module]), this.vip, ...services],
    };
    return new RaincoreEngine(config, { random: () => this.#chance() });
  }

  /** The greatest values make the greatest sequence numbers. */
  #chance(): number {
    const value = this.#random.next();
    return this.options.nearWrap && value < 0.5 ? 1 - (1 + Math.floor(value * 4000)) / 0x1_0000_0000 : value;
  }

  #tick(): void {
    if (this.#isUp && !this.#isPaused) this.#run("tick", (now_ms) => this.#core.tick(now_ms));
  }

  #run(step: Step, act: (now_ms: number) => Effect[]): void {
    const effects = act(this.nowOwn_ms);
    this.#status = undefined;
    this.#place = undefined;
    for (const effect of effects) this.#apply(effect);
    this.#planTick();
    this.#hooks.stepped(this, step);
  }

  #planTick(): void {
    const deadline_ms = this.#core.deadline_ms;
    // What is planned for that very deadline stays planned.
    if (deadline_ms === this.#plannedFor_ms) return;
    this.#plannedFor_ms = deadline_ms;
    const number = ++this.#wakeNumber;
    const due_ms = this.toTrue(deadline_ms);
    if (due_ms === Number.POSITIVE_INFINITY) return;
    const lateness_ms = this.#random.between(0, this.options.timerLateness_ms + this.slowness_ms);
    this.#schedule.at(due_ms + lateness_ms, () => {
      if (number !== this.#wakeNumber) return;
      this.#plannedFor_ms = Number.NaN;
      this.#tick();
    });
  }

  #apply(effect: Effect): void {
    switch (effect.type) {
      case "send":
        this.#trace(() => `→ ${effect.to}/${effect.path} ${describeDatagram(effect.bytes)}`);
        this.#wire?.send(effect.to, effect.path, effect.bytes);
        break;
      case "lease":
        this.#applyLease(effect.until_ms);
        break;
      case "view":
        this.view = effect.view;
        this.#away.onView(effect.view);
        this.#trace(
          () =>
            `view ${effect.view.epoch}/${effect.view.origin} of ${effect.view.members.map((m) => `${m.nodeId}${m.ready ? "" : "?"}`).join(",")}`,
        );
        break;
      case "state":
        this.#trace(() => `state ${effect.state}`);
        if (effect.state === "closed") this.#closed();
        break;
      case "log":
        this.#trace(() => `log ${effect.code} ${JSON.stringify(effect.fields)}`);
        break;
    }
    this.#hooks.effect(this, effect);
  }

  #applyLease(until_ms: number): void {
    this.#dataPlane.setLease(until_ms, this.#schedule.now_ms);
    this.claims += 1;
    this.#trace(() => (until_ms === 0 ? "lease void" : `lease until ${this.toTrue(until_ms).toFixed(2)}`));
  }

  #trace(line: () => string): void {
    this.#hooks.tracer()?.(this.nodeId, line(), this.#schedule.now_ms);
  }
}
