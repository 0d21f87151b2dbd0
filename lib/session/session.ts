// One node's ring with its services, given a clock, sockets and priority: everything that runs in the ring's thread. Used by worker.ts.
import { RainfrontError } from "../errors.js";
import { SharedCarriages } from "../raincore/carriages/sharedCarriages.js";
import { RaincoreEngine } from "../raincore/engine.js";
import { Multicast } from "../raincore/multicast/multicast.js";
import { deriveTimers } from "../raincore/timers.js";
import { compareViews } from "../raincore/token.js";
import type { Effect, RaincoreState, View } from "../raincore/types.js";
import { epochFloorAt, incarnationAt } from "./birth.js";
import { coded, multicastFull, notMember } from "./failures.js";
import { LockDesk } from "./lockDesk.js";
import { Network } from "./network.js";
import type { SessionPlugin } from "./plugin.js";
import { loadPlugin } from "./pluginLoader.js";
import type { Outcome, SessionConfig, SessionEvent, SessionRequest, SessionStats } from "./protocol.js";
import { lockProgram, raisePriority } from "./realtime.js";
import { rehearse } from "./rehearsal.js";

/** Of the token: more per round is more per second. The same on all nodes. */
const MULTICAST_BYTES_MAX = 96 * 1024;

type Request = Exclude<SessionRequest, { readonly type: "close" }>;

/** What nobody serves while this node has left. */
const FOR_MEMBERS: ReadonlySet<Request["type"]> = new Set(["multicast", "send", "acquire", "update"]);

export class Session {
  readonly #emit: (event: SessionEvent) => void;
  readonly #peerIds: ReadonlySet<number>;
  readonly #network: Network;
  readonly #plugin: SessionPlugin | undefined;
  readonly #engine: RaincoreEngine;
  readonly #multicast: Multicast;
  readonly #locks: LockDesk;
  readonly #carriages: SharedCarriages;
  /** The host's number of what a module knows by its own. */
  readonly #multicastIds = new Map<number, number>();
  readonly #messageIds = new Map<number, number>();
  readonly #updateIds = new Map<number, number>();
  /** Told at the start: before that nobody can listen. */
  readonly #warnings: [code: string, fields: Record<string, unknown>][] = [];
  #told: View | undefined;
  #state: RaincoreState = "joining";
  /** How many there were, this one included. */
  #memberships = 0;
  #leaseUntil_ms = 0;
  #isLeaseTold = false;
  /** The plugin's messages, which it may give while the engine is at work. */
  #pluginMessages: { readonly to: number; readonly bytes: Uint8Array }[] = [];
  /** A module was given work, and the token not called for yet. */
  #hasWork = false;
  /** The engine, or what it wants done, is at work. */
  #isBusy = false;
  #lateness_ms_max = 0;
  #closed = false;

  /** Binds the sockets and makes everything ready. Throws `RF_RING_PORT`, and what the plugin throws. */
  static async open(config: SessionConfig, emit: (event: SessionEvent) => void): Promise<Session> {
    const incarnation = incarnationAt(Date.now());
    if (config.rehearsal) rehearse();
    const isSlow = config.realtime !== "off" && !raisePriority(config.realtime);
    // Of a process that does other work, its memory is its own affair.
    const mayWait = config.realtime === "process" && !lockProgram();
    const network = await Network.open(config, incarnation);
    let session: Session | undefined;
    let plugin: SessionPlugin | undefined;
    try {
      plugin = await loadPlugin(config, () => session, network, emit);
      session = new Session(config, incarnation, network, plugin, emit);
      if (isSlow) session.#warnings.push(["ring_no_realtime", {}]);
      if (mayWait) session.#warnings.push(["ring_program_not_locked", {}]);
      return session;
    } catch (error) {
      network.close();
      plugin?.close?.();
      throw error;
    }
  }

  private constructor(
    config: SessionConfig,
    incarnation: bigint,
    network: Network,
    plugin: SessionPlugin | undefined,
    emit: (event: SessionEvent) => void,
  ) {
    this.#emit = emit;
    this.#network = network;
    this.#plugin = plugin;
    this.#peerIds = new Set(config.peers.map((peer) => peer.nodeId));
    const self = config.nodeId;
    this.#multicast = new Multicast({
      self,
      bytesMax: MULTICAST_BYTES_MAX,
      queueBytes_max: config.multicastQueueBytes_max,
      onDeliver: ({ from, view, bytes }) => this.#deliver(from, view.epoch, view.origin, bytes),
      onView: (view) => this.#tellView(view),
      onSettled: (id, outcome) => this.#settle(this.#multicastIds, id, outcome),
    });
    this.#locks = new LockDesk(self, emit);
    this.#carriages = new SharedCarriages({
      self,
      onChange: (name, version, bytes) =>
        emit({ type: "carriage", name, version, bytes, membership: this.#membership }),
      onSettled: (id, result) => this.#answer(this.#updateIds, id, result),
    });
    const wall_ms = Date.now();
    const { epochFloor, isClamped } = epochFloorAt(wall_ms);
    if (isClamped) this.#warnings.push(["ring_clock_beyond_epochs", { clock: String(new Date(wall_ms)) }]);
    this.#engine = new RaincoreEngine(
      {
        cluster: config.cluster,
        nodeId: self,
        incarnation,
        peers: config.peers.map(({ nodeId, addresses }) => ({ nodeId, paths: addresses.length })),
        timers: deriveTimers(config.failoverTarget_ms, config.peers.length + 1),
        epochFloor,
        quorum: config.quorum,
        rejoin: config.rejoin,
        packetBytes_max: network.packetBytes_max,
        modules: [...(plugin?.modules ?? []), this.#locks.module, this.#carriages, this.#multicast],
        ...(config.startupWait_ms === undefined ? {} : { startupWait_ms: config.startupWait_ms }),
      },
      { random: Math.random },
    );
  }

  start(): void {
    for (const [code, fields] of this.#warnings) this.#warn(code, fields);
    this.#network.listen({
      onDatagram: (from, path, bytes) => this.#step((now_ms) => this.#engine.receive(now_ms, from, path, bytes)),
      onPortClosed: (nodeId, path) => this.#step((now_ms) => this.#engine.refused(now_ms, nodeId, path)),
      onLifelineCut: (nodeId) => this.#step((now_ms) => this.#engine.suspect(now_ms, nodeId)),
      onLifelinesFailed: (address, reason) => this.#warn("ring_lifelines_failed", { address, reason }),
      onTimer: () => this.#tick(),
      onDone: () => this.#schedule(),
    });
    this.#step((now_ms) => this.#engine.start(now_ms));
    this.#schedule();
  }

  /** A request that fails is refused; it costs nobody else anything. Call `endRequests` after the last one. */
  handle(request: Request): void {
    if (this.#closed) return;
    try {
      if (this.#state === "closed" && FOR_MEMBERS.has(request.type)) throw notMember();
      this.#handle(request);
    } catch (error) {
      if (!("id" in request)) throw error;
      this.#emit({ type: "refused", id: request.id, error: coded(error) });
    }
  }

  endRequests(): void {
    if (this.#closed) return;
    this.#callForToken();
    this.#schedule();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#network.close();
    this.#plugin?.close?.();
  }

  /** For the plugin, which may ask at any time. */
  wake(): void {
    if (this.#closed) return;
    this.#hasWork = true;
    if (this.#isBusy) return;
    this.#callForToken();
    this.#schedule();
  }

  /** As `wake`. What the transport has no room for is dropped: its sender says it again if it matters. */
  sendForPlugin(to: number, bytes: Uint8Array): void {
    this.#checkPeer(to);
    if (this.#closed) return;
    this.#pluginMessages.push({ to, bytes });
    if (!this.#isBusy) this.#schedule();
  }

  get engine(): RaincoreEngine {
    return this.#engine;
  }

  #handle(request: Request): void {
    switch (request.type) {
      case "multicast":
        this.#queueMulticast(request);
        break;
      case "send":
        this.#send(request);
        break;
      case "acquire":
        this.#locks.acquire(request, this.#now_ms());
        this.#hasWork = true;
        break;
      case "release":
        this.#locks.release(request.id);
        this.#hasWork = true;
        break;
      case "update":
        this.#update(request);
        break;
      case "ask":
        this.#emit({
          type: "answer",
          id: request.id,
          result: request.what === "stats" ? this.#stats() : this.#locks.list(),
        });
        break;
      case "call": {
        const result = structuredClone(this.#plugin?.call?.(request.method, request.params));
        this.#emit({ type: "answer", id: request.id, result });
        break;
      }
      case "setKeys":
        this.#network.setKeys(request.keys);
        for (const key of request.keys) key.fill(0);
        this.#emit({ type: "answer", id: request.id, result: undefined });
        break;
      case "join":
        this.#step((now_ms) => this.#engine.join(now_ms));
        break;
      case "leave":
        // What came before goes before.
        this.#callForToken();
        this.#step((now_ms) => this.#engine.leave(now_ms));
        break;
      default:
        request satisfies never;
    }
  }

  #send({ id, to, bytes }: Extract<SessionRequest, { type: "send" }>): void {
    this.#checkPeer(to);
    this.#step((now_ms) => {
      const sent = this.#engine.send(now_ms, to, bytes);
      // The host keeps to the same limits (see pending.ts). What the transport refuses all the same is settled at once: nothing of it was sent.
      const isRefused = sent.effects.some((one) => one.type === "settled" && one.id === sent.id && !one.delivered);
      if (isRefused) this.#emit({ type: "settled", id, outcome: "unsent" });
      else this.#messageIds.set(sent.id, id);
      return sent.effects;
    });
  }

  #checkPeer(nodeId: number): void {
    if (this.#peerIds.has(nodeId)) return;
    throw new RainfrontError("RF_NODE_UNKNOWN", `there is no other node ${nodeId}`, {
      fix: `send to one of ${[...this.#peerIds].slice(0, 8).join(", ")}`,
    });
  }

  #queueMulticast({ id, bytes, guarantee }: Extract<SessionRequest, { type: "multicast" }>): void {
    const own = this.#multicast.send(bytes, guarantee);
    // The host keeps to the same limits; see pending.ts.
    if (own === undefined) {
      throw multicastFull({ messages: this.#multicast.queuedMessages, bytes: this.#multicast.queuedBytes });
    }
    this.#multicastIds.set(own, id);
    this.#hasWork = true;
  }

  /** The one that modules speak of: they hear of a new one within the step, and its state is an effect of that step. */
  get #membership(): number {
    return this.#state === "member" ? this.#memberships : this.#memberships + 1;
  }

  #update({ id, name, ifVersion, bytes, membership }: Extract<SessionRequest, { type: "update" }>): void {
    // The program has not heard yet that this is another membership: the same version may be another group's, with other bytes.
    if (ifVersion > 0 && membership !== this.#memberships) {
      this.#emit({ type: "answer", id, result: { ok: false, cause: "lost" } });
      return;
    }
    const shared = this.#carriages;
    const own = bytes === undefined ? shared.remove(name, ifVersion) : shared.update(name, ifVersion, bytes);
    if (own !== undefined) {
      this.#updateIds.set(own, id);
      this.#hasWork = true;
      return;
    }
    throw new RainfrontError("RF_CARRIAGE_LIMIT", "too many updates wait already", { fix: "wait for earlier ones" });
  }

  #warn(code: string, fields: Record<string, unknown>): void {
    this.#emit({ type: "log", level: "warn", code, fields });
  }

  #deliver(from: number, epoch: number, origin: number, bytes: Uint8Array): void {
    this.#emit({ type: "delivery", from, epoch, origin, bytes });
  }

  #settle(ids: Map<number, number>, id: number, outcome: Outcome): void {
    const hostId = ids.get(id);
    if (hostId === undefined) return;
    ids.delete(id);
    this.#emit({ type: "settled", id: hostId, outcome });
  }

  #answer(ids: Map<number, number>, id: number, result: unknown): void {
    const hostId = ids.get(id);
    if (hostId === undefined) return;
    ids.delete(id);
    this.#emit({ type: "answer", id: hostId, result });
  }

  /** One call of the engine, and then what it wants done: not while another is at it. */
  #step(act: (now_ms: number) => readonly Effect[]): void {
    this.#isBusy = true;
    try {
      for (const effect of act(this.#now_ms())) this.#applyOne(effect);
    } finally {
      this.#isBusy = false;
    }
  }

  #callForToken(): void {
    if (!this.#hasWork) return;
    this.#hasWork = false;
    this.#step((now_ms) => this.#engine.wake(now_ms));
  }

  #applyOne(effect: Effect): void {
    switch (effect.type) {
      case "send":
        this.#network.send(effect.to, effect.path, effect.bytes);
        break;
      case "probe":
        this.#network.probe(effect.to, effect.path);
        break;
      case "view":
        this.#network.setMembers(effect.view.members.map(({ nodeId }) => nodeId));
        this.#plugin?.onView?.(effect.view);
        if (this.#told !== undefined && compareViews(effect.view, this.#told) === 0) this.#tellView(effect.view);
        break;
      case "lease":
        this.#onLease(effect.until_ms);
        break;
      case "state":
        this.#onState(effect.state);
        break;
      case "message":
        if (this.#plugin?.onMessage?.(effect.from, effect.bytes) === true) break;
        this.#emit({ type: "message", from: effect.from, bytes: effect.bytes });
        break;
      case "settled":
        this.#settle(this.#messageIds, effect.id, effect.delivered ? "delivered" : "unknown");
        break;
      case "log":
        this.#emit({ type: "log", level: effect.level, code: effect.code, fields: effect.fields });
        break;
      default:
        effect satisfies never;
    }
  }

  /** A new view in its order with the messages, and then whatever else changes in it. */
  #tellView(view: View): void {
    const told = this.#told;
    this.#told = view;
    const isNews = told === undefined || compareViews(told, view) !== 0 || readiness(told) !== readiness(view);
    if (isNews) this.#emit({ type: "view", view });
  }

  #onState(state: RaincoreState): void {
    this.#state = state;
    if (state !== "member") this.#told = undefined;
    this.#plugin?.onState?.(state);
    if (state === "closed") {
      // Nothing serves them until this node joins again, which may be never.
      this.#locks.refuseAll();
      this.#multicast.abandon();
    }
    if (state === "member") this.#memberships += 1;
    this.#emit({ type: "state", state });
  }

  #onLease(until_ms: number): void {
    this.#plugin?.onLease?.(until_ms);
    this.#leaseUntil_ms = until_ms;
    this.#tellLease();
  }

  /** The host hears only when it begins or ends; renewals would wake it all the time. */
  #tellLease(): void {
    const valid = this.#leaseUntil_ms > this.#now_ms();
    if (valid === this.#isLeaseTold) return;
    this.#isLeaseTold = valid;
    this.#emit({ type: "lease", valid });
  }

  /** After the last step of a wake-up: what it sends goes out together. */
  #schedule(): void {
    if (this.#closed) return;
    this.#callForToken();
    for (const { to, bytes } of this.#pluginMessages.splice(0))
      this.#step((now_ms) => this.#engine.send(now_ms, to, bytes).effects);
    this.#network.flush();
    const lapse_ms = this.#isLeaseTold ? this.#leaseUntil_ms : Number.POSITIVE_INFINITY;
    this.#network.setTimer(Math.min(this.#engine.deadline_ms, lapse_ms));
  }

  /** The sockets were read before: what a late timer waits for may have arrived long ago. */
  #tick(): void {
    if (this.#closed) return;
    this.#tellLease();
    const late_ms = this.#now_ms() - this.#engine.deadline_ms;
    if (late_ms > this.#lateness_ms_max) this.#lateness_ms_max = late_ms;
    if (late_ms >= 0) this.#step((now_ms) => this.#engine.tick(now_ms));
  }

  #stats(): SessionStats {
    const lateness_ms_max = this.#lateness_ms_max;
    this.#lateness_ms_max = 0;
    return {
      ...this.#engine.status(),
      now_ms: this.#now_ms(),
      network: this.#network.counters(),
      multicast: this.#multicast.counters,
      locks: this.#locks.module.counters,
      lateness_ms_max,
    };
  }

  #now_ms(): number {
    return this.#network.now_ms();
  }
}

function readiness(view: View): string {
  return view.members.map((member) => (member.ready ? "+" : "-")).join("");
}
