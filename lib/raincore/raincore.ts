// One node's part of the token ring. The daemon, the simulator and tests drive it: they hand in time and messages and
// apply the effects that come back, in order. It never throws for what the network says; it counts it by cause.
import { Beacons } from "./beacons.js";
import { Core } from "./core.js";
import { Joining } from "./joining.js";
import { decode, type Message } from "./messages.js";
import { Recovery } from "./recovery.js";
import { Ring } from "./ring.js";
import type { Effect, RaincoreConfig, RaincoreEnv, RaincoreStatus } from "./types.js";

export type * from "./types.js";

export class Raincore {
  readonly #core: Core;
  readonly #ring: Ring;
  readonly #recovery: Recovery;
  readonly #joining: Joining;
  readonly #beacons: Beacons;
  #started = false;
  #leaveBy_ms = Number.POSITIVE_INFINITY;

  constructor(config: RaincoreConfig, env: RaincoreEnv) {
    const core = new Core(config, env);
    this.#core = core;
    this.#beacons = new Beacons(core);
    this.#joining = new Joining(core, (token) => this.#ring.install(token, []));
    this.#ring = new Ring(core, {
      takeJoiners: (token) => this.#joining.takeJoiners(token),
      tokenSeen: () => this.#recovery.tokenSeen(),
      visited: (token) => this.#beacons.visited(token),
      tellRemoved: (nodeIds) => this.#beacons.tell(nodeIds),
      closed: () => this.#close(),
    });
    this.#recovery = new Recovery(core, this.#ring, (nodeIds) => this.#beacons.tell(nodeIds));
    core.onLost = (reason) => this.#lose(reason);
  }

  /** Call tick at or after this time (own clock). Infinity once closed. */
  get deadline_ms(): number {
    if (!this.#started || this.#core.state === "closed") return Number.POSITIVE_INFINITY;
    const parts = [this.#ring.deadline_ms, this.#recovery.deadline_ms, this.#joining.deadline_ms, this.#leaveBy_ms];
    return Math.min(...parts);
  }

  start(now_ms: number): Effect[] {
    return this.#step(now_ms, () => {
      this.#started = true;
      this.#core.emit({ type: "state", state: "joining" });
      this.#joining.start();
    });
  }

  receive(now_ms: number, from: number, path: number, bytes: Uint8Array): Effect[] {
    return this.#step(now_ms, () => {
      const core = this.#core;
      if (!this.#started) return core.count("refused_not_started");
      if (!core.isPeer(from)) return core.count("refused_unknown_sender");
      if (path < 0 || path >= core.pathsOf(from)) return core.count("refused_unknown_path");
      const result = decode(bytes);
      if (!result.ok) return core.count(`refused_${result.cause}`);
      core.count("received");
      this.#dispatch(from, path, result.message);
    });
  }

  tick(now_ms: number): Effect[] {
    return this.#step(now_ms, () => {
      this.#ring.tick();
      this.#recovery.tick();
      this.#joining.tick();
      if (this.#core.now_ms >= this.#leaveBy_ms) this.#close();
    });
  }

  /** Leaves with the token when it next comes (or now, if it is here); after one lease without it, just leaves. */
  leave(now_ms: number): Effect[] {
    return this.#step(now_ms, () => {
      const core = this.#core;
      if (core.leaving || core.state === "closed") return;
      core.leaving = true;
      if (core.state === "joining") return this.#close();
      this.#leaveBy_ms = core.now_ms + core.timers.lease_ms;
      this.#ring.wake();
    });
  }

  status(): RaincoreStatus {
    const core = this.#core;
    const members = core.state === "member" ? (core.copy?.members ?? []) : [];
    return {
      state: core.state,
      epoch: core.newest.epoch,
      origin: core.newest.origin,
      seq: core.newest.seq,
      members: members.map(({ nodeId, incarnation, ready }) => ({ nodeId, incarnation, ready })),
      holding: this.#ring.holding,
      leaseUntil_ms: core.leaseUntil_ms,
      counters: { ...core.counters },
    };
  }

  #step(now_ms: number, act: () => void): Effect[] {
    const core = this.#core;
    const overdue_ms = now_ms - this.deadline_ms;
    core.now_ms = Math.max(core.now_ms, now_ms);
    if (core.state !== "closed" && overdue_ms > core.timers.distrust_ms) this.#distrust(overdue_ms);
    act();
    return core.takeEffects();
  }

  /** This process was stopped, or starved: the others have gone on without it, and what it knows is stale. */
  #distrust(overdue_ms: number): void {
    this.#core.count("distrusted_self");
    this.#core.log("warn", "ring_woke_late", { overdue_ms: Math.round(overdue_ms) });
    if (this.#core.state === "joining") this.#joining.distrust();
    else if (this.#core.copy?.members.length === 1 && overdue_ms > this.#core.timers.lease_ms) this.#lose("woke_late");
    else this.#doubt();
  }

  /**
   * Acts on nothing it knows until it has asked the others (a 911). If all of them were stopped as well, their answers make the token
   * again at once; if they went on without this node, one of them says so.
   */
  #doubt(): void {
    const core = this.#core;
    core.voidLease();
    core.doubting = true;
    this.#ring.doubt();
    this.#recovery.callNow();
  }

  #dispatch(from: number, path: number, message: Message): void {
    switch (message.type) {
      case "token":
        this.#ring.onToken(from, path, message.token);
        return;
      case "ack":
        this.#ring.onAck(from, path, message.id);
        return;
      case "nack":
        this.#ring.onNack(from, path, message);
        return;
      case "call":
        this.#recovery.onCall(from, path, message);
        return;
      case "answer":
        this.#recovery.onAnswer(from, path, message);
        return;
      case "join":
        this.#onJoin(from, message);
        return;
      case "beacon":
        this.#joining.groupHeard();
        this.#beacons.onBeacon(from, message);
        return;
      default:
        message satisfies never;
    }
  }

  #onJoin(from: number, message: Message & { type: "join" }): void {
    if (this.#core.state === "closed" || !this.#joining.onJoin(from, message)) return;
    if (this.#core.state !== "member") return;
    // So that it does not form a group of its own while it waits.
    this.#beacons.tell([from]);
    this.#ring.wake();
  }

  #lose(reason: string): void {
    const core = this.#core;
    core.count(`lost_${reason}`);
    core.log("warn", "ring_lost", { reason, epoch: core.newest.epoch });
    core.voidLease();
    for (const module of core.config.modules) module.onLost(core.now_ms);
    this.#ring.reset();
    this.#recovery.reset();
    core.copy = undefined;
    core.doubting = false;
    if (core.leaving) {
      this.#close();
      return;
    }
    core.setState("joining");
    this.#joining.start();
  }

  #close(): void {
    const core = this.#core;
    if (core.state === "closed") return;
    core.voidLease();
    for (const module of core.config.modules) module.onLost(core.now_ms);
    this.#ring.reset();
    this.#recovery.reset();
    core.copy = undefined;
    core.setState("closed");
  }
}
