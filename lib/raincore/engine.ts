// One node's part of the token ring. The daemon, the simulator and tests drive it: they hand in time and messages and
// apply the effects that come back, in order. It never throws for what the network says; it counts it by cause.
import { Beacons } from "./beacons.js";
import { Core } from "./core.js";
import { Joining } from "./joining.js";
import { decode, type Message } from "./messages.js";
import { Recovery } from "./recovery.js";
import { Ring } from "./ring.js";
import { TOKEN_BYTES_MAX } from "./token.js";
import { checkModules } from "./train.js";
import type { Priority } from "./transport/packets.js";
import { Transport } from "./transport/transport.js";
import type { Effect, RaincoreConfig, RaincoreEnv, RaincorePlace, RaincoreStatus } from "./types.js";

export type * from "./types.js";

/** Fits an Ethernet frame together with what the secure channel, UDP and IPv6 add. */
const PACKET_BYTES_MAX = 1400;

/** One node's ring, pure: time and messages come in, effects come out, to be applied in their order. Never throws for what the network says. */
export class RaincoreEngine {
  readonly #core: Core;
  readonly #transport: Transport;
  readonly #ring: Ring;
  readonly #recovery: Recovery;
  readonly #joining: Joining;
  readonly #beacons: Beacons;
  #started = false;
  #leaveBy_ms = Number.POSITIVE_INFINITY;

  /** Throws `RF_ARGUMENT` for modules whose carriages do not go together. */
  constructor(config: RaincoreConfig, env: RaincoreEnv) {
    checkModules(config.modules);
    const core = new Core(config, env);
    this.#core = core;
    this.#beacons = new Beacons(core);
    this.#joining = new Joining(core, (token) => {
      this.#ring.install(token, []);
      // Those that are to come in as well: they hear of the group before the token has come to them, and form none.
      this.#beacons.tell([...core.peerIds]);
    });
    this.#transport = this.#newTransport(config);
    this.#ring = new Ring(core, this.#transport, {
      isQuiet: () => this.#joining.isQuiet,
      takeJoiners: (token) => this.#joining.takeJoiners(token),
      tokenSeen: () => this.#recovery.tokenSeen(),
      visited: (token) => this.#beacons.visited(token),
      tellRemoved: (nodeIds) => this.#beacons.tell(nodeIds),
      closed: () => this.#close(),
      quietOver: () => this.#recovery.quietOver(),
      quietFailed: (gone) => this.#recovery.quietFailed(gone),
      joinerFailed: (member) => this.#joining.failed(member),
    });
    this.#recovery = new Recovery(core, this.#transport, this.#ring, this.#beacons);
    core.onLost = (reason) => this.#lose(reason);
  }

  /** Call tick at or after this time (own clock). Infinity once closed. */
  get deadline_ms(): number {
    if (!this.#started || this.#core.state === "closed") return Number.POSITIVE_INFINITY;
    return Math.min(this.#protocolDeadline_ms, this.#modulesDeadline_ms);
  }

  start(now_ms: number): Effect[] {
    return this.#step(now_ms, () => {
      this.#started = true;
      this.#core.emit({ type: "state", state: "joining" });
      this.#joining.start();
    });
  }

  /** Asks for a place again after this node was closed. */
  join(now_ms: number): Effect[] {
    return this.#step(now_ms, () => {
      const core = this.#core;
      if (core.state !== "closed") return;
      core.leaving = false;
      this.#transport.open();
      core.setState("joining");
      this.#joining.start();
    });
  }

  /** A module was given work: it gets the token at once if that is here, else the token is called for. */
  wake(now_ms: number): Effect[] {
    return this.#step(now_ms, () => {
      if (this.#core.state === "member") this.#ring.wake();
    });
  }

  /**
   * A message of up to 16 MiB to a configured node, member or not. It arrives once and whole, and is settled as delivered, or is settled as
   * not delivered, as far as this node knows. The bytes must not change until then.
   */
  send(now_ms: number, to: number, bytes: Uint8Array): { readonly id: number; readonly effects: Effect[] } {
    let id = 0;
    const effects = this.#step(now_ms, () => {
      id = this.#transport.send(this.#core.now_ms, to, bytes, { priority: "bulk" });
    });
    return { id, effects };
  }

  receive(now_ms: number, from: number, path: number, bytes: Uint8Array): Effect[] {
    return this.#step(now_ms, () => {
      const core = this.#core;
      if (!this.#started) return core.count("refused_not_started");
      if (!core.isPeer(from)) return core.count("refused_unknown_sender");
      if (path < 0 || path >= core.pathsOf(from)) return core.count("refused_unknown_path");
      if (this.#ring.takeIdle(from, path, bytes)) return core.count("received");
      const result = decode(bytes);
      if (!result.ok) return core.count(`refused_${result.cause}`);
      core.count("received");
      this.#dispatch(from, path, result.message);
    });
  }

  /** The host's answer to `probe`: no process has that node's port, on this path. */
  refused(now_ms: number, to: number, path: number): Effect[] {
    return this.#step(now_ms, () => {
      this.#core.count("port_closed");
      this.#ring.refused(to, path);
      this.#recovery.refused(to, path);
    });
  }

  /**
   * The host has reason to believe that this node's process has ended. It is only looked at sooner than it would be: a wrong suspicion costs
   * a round of the token.
   */
  suspect(now_ms: number, nodeId: number): Effect[] {
    return this.#step(now_ms, () => {
      const core = this.#core;
      if (core.state !== "member" || nodeId === core.self || !core.isListed(nodeId)) return;
      // One line after the other ends, and whoever ends lines at will is heard once in that time.
      if (core.isSuspect(nodeId)) return;
      core.count("suspected");
      core.suspect(nodeId);
      this.#ring.suspect(nodeId);
      this.#recovery.suspect(nodeId);
    });
  }

  tick(now_ms: number): Effect[] {
    return this.#step(now_ms, () => {
      this.#ring.tick();
      this.#recovery.tick();
      this.#joining.tick();
      this.#transport.tick(this.#core.now_ms);
      this.#tickModules();
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

  /** For hosts that look after every call. */
  get place(): RaincorePlace {
    const { state, newest } = this.#core;
    const { epoch, origin, seq } = newest;
    return { state, epoch, origin, seq, holding: this.#ring.holding };
  }

  status(): RaincoreStatus {
    const core = this.#core;
    const members = core.state === "member" ? (core.copy?.members ?? []) : [];
    return {
      ...this.place,
      members: members.map(({ nodeId, incarnation, ready }) => ({ nodeId, incarnation, ready })),
      quorate: core.state === "member" && core.copy !== undefined && core.isQuorate(core.copy),
      leaseUntil_ms: core.leaseUntil_ms,
      counters: { ...core.counters },
      paths: this.#transport.pathsStatus(),
    };
  }

  get #protocolDeadline_ms(): number {
    const ring_ms = Math.min(this.#ring.deadline_ms, this.#recovery.deadline_ms, this.#joining.deadline_ms);
    return Math.min(ring_ms, this.#leaveBy_ms, this.#transport.deadline_ms);
  }

  get #modulesDeadline_ms(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { deadline_ms } of this.#core.config.modules) {
      if (deadline_ms !== undefined && deadline_ms < earliest) earliest = deadline_ms;
    }
    return earliest;
  }

  #tickModules(): void {
    const { config, now_ms } = this.#core;
    for (const module of config.modules) {
      if (module.deadline_ms !== undefined && module.deadline_ms <= now_ms) module.onTick?.(now_ms);
    }
  }

  #step(now_ms: number, act: () => void): Effect[] {
    const core = this.#core;
    const overdue_ms = now_ms - this.deadline_ms;
    core.now_ms = Math.max(core.now_ms, now_ms);
    if (overdue_ms > core.timers.callAfter_ms - core.timers.rotation_ms) core.forked();
    const mayBeGivenUp = core.state === "member" && this.#mayBeGivenUp(overdue_ms);
    if (core.state !== "closed" && overdue_ms > core.timers.distrust_ms) this.#distrust(overdue_ms);
    else if (mayBeGivenUp) {
      core.count("woke_late");
      this.#ring.reckonFromNow();
    }
    act();
    return core.takeEffects();
  }

  /** Who is alone has nobody who could. */
  #mayBeGivenUp(overdue_ms: number): boolean {
    const { copy, lateness, now_ms } = this.#core;
    return copy !== undefined && copy.members.length > 1 && lateness.add(overdue_ms, now_ms);
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
    core.leaseLost_ms = Math.max(core.leaseLost_ms, core.leaseUntil_ms);
    // A node outside of this view may have formed a group meanwhile, and answer for our VIPs until it has heard of us.
    const hasOutsiders = core.copy !== undefined && !core.peersListed(core.copy);
    core.outsiders_ms = hasOutsiders ? core.now_ms + core.timers.lease_ms : 0;
    core.voidLease();
    core.doubting = true;
    this.#ring.doubt();
    this.#recovery.callNow();
  }

  #dispatch(from: number, path: number, message: Message): void {
    if (isOfMember(message)) this.#joining.groupHeard();
    switch (message.type) {
      case "token":
        this.#ring.onToken(from, path, message.token, message.quiet);
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
        this.#beacons.onBeacon(from, message);
        return;
      case "wake":
        this.#ring.onWake(message.view);
        return;
      case "part":
        if (this.#core.state === "closed") this.#core.count("refused_closed");
        else this.#transport.onPart(this.#core.now_ms, from, path, message);
        return;
      case "have":
        this.#transport.onHave(this.#core.now_ms, from, path, message);
        return;
      default:
        message satisfies never;
    }
  }

  #newTransport(config: RaincoreConfig): Transport {
    const core = this.#core;
    return new Transport(
      {
        transmit: (to, path, bytes) => core.transmit(to, path, bytes),
        pathsOf: (to) => core.pathsOf(to),
        deliver: (from, path, bytes, priority) => this.#onMessage(from, path, bytes, priority),
        settled: (id, to, delivered, bytes, priority) => {
          if (priority === "token") this.#ring.partsSettled(to, id, delivered);
          else core.emit({ type: "settled", id, to, delivered, bytes });
        },
        count: (name) => core.count(name),
      },
      {
        timers: config.timers,
        life: config.incarnation,
        packetBytes_max: config.packetBytes_max ?? PACKET_BYTES_MAX,
        tokenBytes_max: TOKEN_BYTES_MAX,
      },
    );
  }

  /** A message that came in parts: somebody's, or a token that did not fit one datagram. */
  #onMessage(from: number, path: number, bytes: Uint8Array, priority: Priority): void {
    const core = this.#core;
    if (priority === "bulk") {
      core.emit({ type: "message", from, bytes });
      return;
    }
    const result = decode(bytes, true);
    if (result.ok && result.message.type === "token") this.#dispatch(from, path, result.message);
    else core.count("refused_malformed");
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
    core.forgetCopy();
    core.doubting = false;
    core.leaseLost_ms = 0;
    core.outsiders_ms = 0;
    core.leaseFrom_ms = 0;
    core.lateness.reset();
    if (core.leaving || core.config.rejoin === false) {
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
    this.#transport.close();
    core.forgetCopy();
    core.doubting = false;
    core.leaseLost_ms = 0;
    core.outsiders_ms = 0;
    core.leaseFrom_ms = 0;
    core.lateness.reset();
    this.#leaveBy_ms = Number.POSITIVE_INFINITY;
    core.setState("closed");
  }
}

/** What only somebody who is in a group says. */
function isOfMember({ type }: Message): boolean {
  return type === "token" || type === "call" || type === "beacon" || type === "wake";
}
