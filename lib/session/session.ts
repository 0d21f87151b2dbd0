// One node's ring with its services, given a clock, sockets and priority: everything that runs in the ring's thread. Used by worker.ts.
import { pathToFileURL } from "node:url";
import { RainfrontError } from "../errors.js";
import { SharedCarriages } from "../raincore/carriages/sharedCarriages.js";
import { RaincoreEngine } from "../raincore/engine.js";
import { type LockEvent, Locks } from "../raincore/locks/locks.js";
import { Multicast } from "../raincore/multicast/multicast.js";
import { deriveTimers } from "../raincore/timers.js";
import { compareViews } from "../raincore/token.js";
import type { Effect, View } from "../raincore/types.js";
import { Network } from "./network.js";
import type { CreatePlugin, SessionPlugin } from "./plugin.js";
import type { CodedError, Outcome, SessionConfig, SessionEvent, SessionRequest, SessionStats } from "./protocol.js";
import { raisePriority } from "./realtime.js";
import { rehearse } from "./rehearsal.js";

type Coded = (error: unknown) => CodedError;

export class Session {
  readonly #emit: (event: SessionEvent) => void;
  readonly #peerIds: ReadonlySet<number>;
  readonly #network: Network;
  readonly #plugin: SessionPlugin | undefined;
  readonly #engine: RaincoreEngine;
  readonly #multicast: Multicast;
  readonly #locks: Locks;
  readonly #carriages: SharedCarriages;
  /** The host's number of what a module knows by its own. */
  readonly #multicastIds = new Map<number, number>();
  readonly #lockIds = new Map<number, number>();
  readonly #lockIdsOfHost = new Map<number, number>();
  readonly #messageIds = new Map<number, number>();
  readonly #updateIds = new Map<number, number>();
  #told: View | undefined;
  #leaseUntil_ms = 0;
  #lateness_ms_max = 0;
  #closed = false;

  /** Binds the sockets and makes everything ready. Throws `RF_RING_PORT`, and what the plugin throws. */
  static async open(config: SessionConfig, emit: (event: SessionEvent) => void): Promise<Session> {
    // Lives of one node are told apart by it; the channel's challenge, not the clock, decides which one is alive.
    const incarnation = BigInt(Date.now()) * 1000n + BigInt(Math.floor(Math.random() * 1000));
    if (config.rehearsal) rehearse();
    if (config.realtime && !raisePriority()) emit({ type: "log", level: "warn", code: "ring_no_realtime", fields: {} });
    const network = await Network.open(config, incarnation);
    let session: Session | undefined;
    try {
      const plugin = await loadPlugin(config, () => session, network, emit);
      session = new Session(config, incarnation, network, plugin, emit);
      return session;
    } catch (error) {
      network.close();
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
      queueBytes_max: config.multicastQueueBytes_max,
      onDeliver: ({ from, view, bytes }) => this.#deliver(from, view.epoch, view.origin, bytes),
      onView: (view) => this.#tellView(view),
      onSettled: (id, outcome) => this.#settle(this.#multicastIds, id, outcome),
    });
    this.#locks = new Locks({ self, onEvent: (event) => this.#onLockEvent(event) });
    this.#carriages = new SharedCarriages({
      self,
      onChange: (name, version, bytes) => emit({ type: "carriage", name, version, bytes }),
      onSettled: (id, result) => this.#answer(this.#updateIds, id, result),
    });
    this.#engine = new RaincoreEngine(
      {
        cluster: config.cluster,
        nodeId: self,
        incarnation,
        peers: config.peers.map(({ nodeId, addresses }) => ({ nodeId, paths: addresses.length })),
        timers: deriveTimers(config.failoverTarget_ms, config.peers.length + 1),
        epochFloor: Math.floor(Date.now() / 1000),
        quorum: config.quorum,
        rejoin: config.rejoin,
        packetBytes_max: network.packetBytes_max,
        modules: [...(plugin?.modules ?? []), this.#locks, this.#carriages, this.#multicast],
        ...(config.startupWait_ms === undefined ? {} : { startupWait_ms: config.startupWait_ms }),
      },
      { random: Math.random },
    );
  }

  start(): void {
    this.#network.listen({
      onDatagram: (from, path, bytes) => this.#apply(this.#engine.receive(this.#now_ms(), from, path, bytes)),
      onTimer: () => this.#tick(),
      onDone: () => this.#schedule(),
    });
    this.#apply(this.#engine.start(this.#now_ms()));
    this.#schedule();
  }

  handle(request: Exclude<SessionRequest, { type: "close" }>, coded: Coded): void {
    if (this.#closed) return;
    try {
      this.#handle(request);
    } catch (error) {
      if (!("id" in request)) throw error;
      this.#emit({ type: "refused", id: request.id, error: coded(error) });
    }
    this.#schedule();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#network.close();
    this.#plugin?.close?.();
  }

  wake(): void {
    this.#apply(this.#engine.wake(this.#now_ms()));
    this.#schedule();
  }

  get engine(): RaincoreEngine {
    return this.#engine;
  }

  #handle(request: Exclude<SessionRequest, { type: "close" }>): void {
    const now_ms = this.#now_ms();
    switch (request.type) {
      case "multicast":
        for (const { id, bytes, guarantee } of request.items) this.#queueMulticast(id, bytes, guarantee);
        this.#apply(this.#engine.wake(now_ms));
        break;
      case "send": {
        this.#checkPeer(request.to);
        const { id, effects } = this.#engine.send(now_ms, request.to, request.bytes);
        this.#messageIds.set(id, request.id);
        this.#apply(effects);
        break;
      }
      case "acquire":
        this.#acquire(request, now_ms);
        break;
      case "release": {
        const id = this.#lockIdsOfHost.get(request.id);
        if (id !== undefined) this.#locks.release(id);
        this.#apply(this.#engine.wake(now_ms));
        break;
      }
      case "update":
        this.#update(request);
        this.#apply(this.#engine.wake(now_ms));
        break;
      case "ask":
        this.#emit({
          type: "answer",
          id: request.id,
          result: request.what === "stats" ? this.#stats() : this.#locks.list(),
        });
        break;
      case "call":
        this.#emit({ type: "answer", id: request.id, result: this.#plugin?.call?.(request.method, request.params) });
        break;
      case "setKeys":
        this.#network.setKeys(request.keys);
        this.#emit({ type: "answer", id: request.id, result: undefined });
        break;
      case "join":
        this.#apply(this.#engine.join(now_ms));
        break;
      case "leave":
        this.#apply(this.#engine.leave(now_ms));
        break;
      default:
        request satisfies never;
    }
  }

  #checkPeer(nodeId: number): void {
    if (this.#peerIds.has(nodeId)) return;
    throw new RainfrontError("RF_NODE_UNKNOWN", `there is no other node ${nodeId}`, {
      fix: `send to one of ${[...this.#peerIds].slice(0, 8).join(", ")}`,
    });
  }

  #queueMulticast(hostId: number, bytes: Uint8Array, guarantee: "agreed" | "safe"): void {
    const id = this.#multicast.send(bytes, guarantee);
    if (id !== undefined) {
      this.#multicastIds.set(id, hostId);
      return;
    }
    const error: CodedError = {
      code: "RF_MULTICAST_FULL",
      message: `${this.#multicast.queuedMessages} messages (${this.#multicast.queuedBytes} bytes) wait to be sent already`,
      fix: "send the next one when an earlier one has been delivered",
    };
    this.#emit({ type: "refused", id: hostId, error });
  }

  #update({ id, name, ifVersion, bytes }: Extract<SessionRequest, { type: "update" }>): void {
    const shared = this.#carriages;
    const own = bytes === undefined ? shared.remove(name, ifVersion) : shared.update(name, ifVersion, bytes);
    if (own !== undefined) {
      this.#updateIds.set(own, id);
      return;
    }
    throw new RainfrontError("RF_CARRIAGE_LIMIT", "too many updates wait already", { fix: "wait for earlier ones" });
  }

  #acquire(request: Extract<SessionRequest, { type: "acquire" }>, now_ms: number): void {
    const { name, client, wait_ms, ttl_ms } = request;
    const id = this.#locks.acquire(now_ms, name, {
      client,
      ...(wait_ms === undefined ? {} : { wait_ms }),
      ...(ttl_ms === undefined ? {} : { ttl_ms }),
    });
    this.#lockIds.set(id, request.id);
    this.#lockIdsOfHost.set(request.id, id);
    this.#apply(this.#engine.wake(now_ms));
  }

  #onLockEvent(event: LockEvent): void {
    const hostId = this.#lockIds.get(event.id);
    if (hostId === undefined) return;
    if (event.type === "granted") {
      this.#emit({ type: "granted", id: hostId, fence: event.fence });
      return;
    }
    if (event.type === "lost") {
      // `released` follows, when the token knows.
      this.#emit({ type: "lost", id: hostId, reason: event.reason });
      return;
    }
    this.#lockIds.delete(event.id);
    this.#lockIdsOfHost.delete(hostId);
    if (event.type === "released") this.#emit({ type: "released", id: hostId });
    else this.#emit({ type: "refused", id: hostId, error: lockRefusal(event.name, event.reason) });
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

  #apply(effects: readonly Effect[]): void {
    for (const effect of effects) this.#applyOne(effect);
    this.#network.flush();
  }

  #applyOne(effect: Effect): void {
    switch (effect.type) {
      case "send":
        this.#network.send(effect.to, effect.path, effect.bytes);
        break;
      case "view":
        this.#plugin?.onView?.(effect.view);
        if (this.#told !== undefined && compareViews(effect.view, this.#told) === 0) this.#tellView(effect.view);
        break;
      case "lease":
        this.#onLease(effect.until_ms);
        break;
      case "state":
        if (effect.state !== "member") this.#told = undefined;
        this.#plugin?.onState?.(effect.state);
        this.#emit({ type: "state", state: effect.state });
        break;
      case "message":
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

  /** The host hears only when it begins or is void; renewals would wake it all the time. */
  #onLease(until_ms: number): void {
    this.#plugin?.onLease?.(until_ms);
    const wasValid = this.#leaseUntil_ms > this.#now_ms();
    this.#leaseUntil_ms = until_ms;
    const isValid = until_ms > this.#now_ms();
    if (wasValid !== isValid) this.#emit({ type: "lease", valid: isValid });
  }

  #schedule(): void {
    if (!this.#closed) this.#network.setTimer(this.#engine.deadline_ms);
  }

  /** The sockets were read before: what a late timer waits for may have arrived long ago. */
  #tick(): void {
    if (this.#closed) return;
    const now_ms = this.#now_ms();
    const late_ms = now_ms - this.#engine.deadline_ms;
    if (late_ms > this.#lateness_ms_max) this.#lateness_ms_max = late_ms;
    if (late_ms >= 0) this.#apply(this.#engine.tick(now_ms));
  }

  #stats(): SessionStats {
    const lateness_ms_max = this.#lateness_ms_max;
    this.#lateness_ms_max = 0;
    return {
      ...this.#engine.status(),
      now_ms: this.#now_ms(),
      network: this.#network.counters(),
      multicast: this.#multicast.counters,
      locks: this.#locks.counters,
      lateness_ms_max,
    };
  }

  #now_ms(): number {
    return this.#network.now_ms();
  }
}

function lockRefusal(name: string, reason: string): CodedError {
  switch (reason) {
    case "timeout":
      return {
        code: "RF_LOCK_TIMEOUT",
        message: `lock ${name} could not be had in time`,
        fix: "wait longer, or see `rainfront locks`",
      };
    case "limit":
      return {
        code: "RF_LOCK_LIMIT",
        message: `too many locks or waiters, at ${name}`,
        fix: "use fewer names, or fewer clients",
      };
    default:
      return {
        code: "RF_NOT_MEMBER",
        message: `this node leaves the group, lock ${name} was not had`,
        fix: "ask another node",
      };
  }
}

function readiness(view: View): string {
  return view.members.map((member) => (member.ready ? "+" : "-")).join("");
}

async function loadPlugin(
  config: SessionConfig,
  session: () => Session | undefined,
  network: Network,
  emit: (event: SessionEvent) => void,
): Promise<SessionPlugin | undefined> {
  if (config.plugin === undefined) return undefined;
  const { module, data } = config.plugin;
  const url = module.startsWith("file:") ? module : pathToFileURL(module).href;
  const { createPlugin } = (await import(url)) as { createPlugin?: CreatePlugin };
  if (typeof createPlugin !== "function") {
    throw new RainfrontError("RF_ARGUMENT", `plugin ${module} does not export createPlugin`, { fix: "see PluginHost" });
  }
  return createPlugin(
    {
      now_ms: () => network.now_ms(),
      wake: () => session()?.wake(),
      status: () => {
        const engine = session()?.engine;
        if (engine === undefined) throw new Error("the plugin asks before the ring exists");
        return engine.status();
      },
      networkCounters: () => network.counters(),
      suspectedKeyMismatch: () => network.suspectedKeyMismatch,
      emit: (event) => emit({ type: "plugin", event }),
      log: (level, code, fields) => emit({ type: "log", level, code, fields }),
    },
    data,
  );
}
