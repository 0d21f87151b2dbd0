// The Raincore Distributed Session Service as a library: membership, ordered multicast, locks and shared state among a fixed set of nodes.
// The ring runs in a thread of its own, so that whatever the program does (garbage collection, a slow log) never costs a token.
import { EventEmitter } from "node:events";
import { RainfrontError } from "../errors.js";
import type { UpdateResult } from "../raincore/carriages/sharedCarriages.js";
import type { RaincoreState, View } from "../raincore/types.js";
import type { Carriage } from "./carriage.js";
import { Carriages } from "./carriages.js";
import { errorFrom, notDelivered, notMember, tooLarge } from "./failures.js";
import { HeldLock, type Lock, type LockRequest } from "./lock.js";
import { completeKeys, completeOptions, type RaincoreOptions } from "./options.js";
import { type PendingKind, PendingRequests, type Waiter } from "./pending.js";
import type { Delivered, Guarantee, LockDescription, SessionEvent, SessionRequest, SessionStats } from "./protocol.js";
import { RingThread } from "./ringThread.js";

/** The largest multicast or message, in bytes. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** What a `Raincore` emits, in the order in which it happened. */
export interface RaincoreEvents {
  /** A new view; messages of older views have been delivered before. */
  view: [view: View];
  /** An ordered multicast message: the same ones in the same order on all members. Its bytes share memory with others': copy few that are kept. */
  message: [message: Delivered];
  /** A message that another node sent to this one alone. */
  direct: [message: { readonly from: number; readonly bytes: Uint8Array }];
  /** After a multicast was refused with `RF_MULTICAST_FULL`, or a direct message with `RF_SEND_FULL`: half of the room for them is free. */
  drain: [];
  state: [state: RaincoreState];
  /** The node's right to act for the group has begun, or ended. */
  lease: [valid: boolean];
  /** What the plugin emitted. */
  plugin: [event: unknown];
  log: [
    entry: {
      readonly level: "debug" | "info" | "warn";
      readonly code: string;
      readonly fields: Record<string, unknown>;
    },
  ];
  /** The ring's thread has ended; with an error if nobody had asked for that. */
  close: [error: Error | undefined];
}

/** One node of a group: membership, ordered multicast, locks, shared carriages and direct messages. The guide is docs/raincore.md. */
export class Raincore extends EventEmitter<RaincoreEvents> {
  readonly nodeId: number;
  readonly #thread: RingThread;
  readonly #pending: PendingRequests;
  readonly #locks = new Map<number, HeldLock>();
  readonly #carriages: Carriages;
  readonly #multicastBytes_max: number;
  #nextId = 1;
  #state: RaincoreState = "joining";
  #view: View | undefined;
  #leaseValid = false;
  #closing = false;
  #ended = false;
  #failure: Error | undefined;
  /** Who waits for a change of view, state or life. */
  readonly #watching = new Set<() => void>();
  /** Who waits for having left. */
  readonly #leaving: (() => void)[] = [];
  #onOpen: Waiter | undefined;

  /**
   * Binds the sockets and begins to look for the others. Throws `RF_ARGUMENT` for bad options, `RF_CONFIG_FAILOVER_TARGET`, `RF_RING_PORT`.
   */
  static async start(options: RaincoreOptions): Promise<Raincore> {
    const raincore = new Raincore(options);
    await new Promise((resolve, reject) => {
      raincore.#onOpen = { resolve, reject };
    });
    return raincore;
  }

  private constructor(options: RaincoreOptions) {
    super();
    const config = completeOptions(options);
    this.nodeId = config.nodeId;
    this.#pending = new PendingRequests(config.multicastQueueBytes_max, () => this.emit("drain"));
    this.#carriages = new Carriages(async (name, ifVersion, bytes, membership) => {
      return (await this.#ask((id) => ({ type: "update", id, name, ifVersion, bytes, membership }))) as UpdateResult;
    });
    this.#multicastBytes_max = Math.min(MESSAGE_BYTES_MAX, config.multicastQueueBytes_max);
    this.#thread = new RingThread(
      config,
      (event) => this.#onEvent(event),
      (error) => this.#onEnd(error),
    );
    // The thread has its own by now.
    wipe(config.clusterKeys);
  }

  /** The newest view that was told of; undefined outside a group. */
  get view(): View | undefined {
    return this.#view;
  }

  get state(): RaincoreState {
    return this.#state;
  }

  /** Whether this node had the right to act for the group, when that was last told of. */
  get leaseValid(): boolean {
    return this.#leaseValid;
  }

  /** Bytes of multicasts that are not settled. More than `multicastQueueBytes_max` are refused; stay below, or wait for `drain`. */
  get multicastBytes(): number {
    return this.#pending.multicastBytes;
  }

  /** Bytes of direct messages that are not settled. More than 64 MiB are refused; stay below, or wait for `drain`. */
  get sendBytes(): number {
    return this.#pending.sendBytes;
  }

  /**
   * Resolves with the first view in which this node is a ready member and may act; at once if it is one. Rejects with `RF_NOT_MEMBER` when
   * this node has left, `RF_CLOSED`, or the signal's reason.
   */
  async joined(signal?: AbortSignal): Promise<View> {
    for (;;) {
      signal?.throwIfAborted();
      if (this.#ended) throw this.#closedError();
      if (this.#state === "closed") throw notMember();
      const view = this.#view;
      const isReady = view?.members.some((member) => member.nodeId === this.nodeId && member.ready) === true;
      if (view !== undefined && isReady && view.quorate) return view;
      await this.#change(signal);
    }
  }

  /**
   * Sends to all members, this node included, in the one order of the group. Resolves when it has been delivered here: `agreed`, with the
   * others to follow; `safe`, when every member has it. Rejects with `RF_NOT_DELIVERED` if membership was lost before that was known,
   * `RF_MULTICAST_FULL` if too many are under way (see `multicastBytes`), `RF_MESSAGE_SIZE`, `RF_NOT_MEMBER` after leaving, `RF_CLOSED`. The
   * bytes are copied.
   */
  multicast(bytes: Uint8Array, { guarantee = "agreed" }: { readonly guarantee?: Guarantee } = {}): Promise<void> {
    const { length } = bytes;
    if (length > this.#multicastBytes_max) return Promise.reject(tooLarge(length, this.#multicastBytes_max));
    return this.#ask((id) => ({ type: "multicast", id, bytes, guarantee }), this.#nextId++, "multicast", length);
  }

  /**
   * Sends to one node, member or not. Resolves when it has the message. Rejects with `RF_NOT_DELIVERED`, `RF_SEND_FULL` if too many are under
   * way (see `sendBytes`), `RF_MESSAGE_SIZE`, `RF_NODE_UNKNOWN`, `RF_NOT_MEMBER` after leaving, `RF_CLOSED`. The bytes are copied.
   */
  send(nodeId: number, bytes: Uint8Array): Promise<void> {
    const { length } = bytes;
    if (length > MESSAGE_BYTES_MAX) return Promise.reject(tooLarge(length, MESSAGE_BYTES_MAX));
    return this.#ask((id) => ({ type: "send", id, to: nodeId, bytes }), this.#nextId++, "send", length);
  }

  /**
   * Waits for a lock of the group, first come, first served. Rejects with `RF_LOCK_TIMEOUT`, `RF_LOCK_LIMIT`, `RF_LOCK_NAME`,
   * `RF_REQUESTS_FULL`, `RF_NOT_MEMBER` after leaving, or the signal's reason.
   */
  async lock(name: string, request: LockRequest = {}): Promise<Lock> {
    const { signal, wait_ms, ttl_ms, client = `pid ${process.pid}` } = request;
    signal?.throwIfAborted();
    const id = this.#nextId++;
    const release = (): void => this.#thread.post({ type: "release", id });
    signal?.addEventListener("abort", release, { once: true });
    try {
      const held = await this.#ask(() => ({ type: "acquire", id, name, client, wait_ms, ttl_ms }), id);
      // Granted all the same, a moment too late: it is on its way back.
      signal?.throwIfAborted();
      if (!(held instanceof HeldLock)) throw this.#closedError();
      return held;
    } finally {
      signal?.removeEventListener("abort", release);
    }
  }

  /** All locks of the group, as the token showed them last. */
  async locks(): Promise<readonly LockDescription[]> {
    return (await this.#ask((id) => ({ type: "ask", id, what: "locks" }))) as readonly LockDescription[];
  }

  /**
   * A small piece of state that all members share; the name is 1 to 32 of `a-z 0-9 . -`. Throws `RF_ARGUMENT` for another name, and
   * `RF_CARRIAGE_LIMIT` for more than 256 different ones.
   */
  carriage(name: string): Carriage {
    return this.#carriages.get(name);
  }

  async stats(): Promise<SessionStats> {
    return (await this.#ask((id) => ({ type: "ask", id, what: "stats" }))) as SessionStats;
  }

  /** Asks the plugin. Rejects with what it throws, `RF_ARGUMENT` for params that are not plain data, and `RF_REQUESTS_FULL`. */
  async call(method: string, params: unknown): Promise<unknown> {
    const plain = plainData(params);
    return this.#ask((id) => ({ type: "call", id, method, params: plain }));
  }

  /** From now on the first key seals and all open; see "Changing the key" in docs/configuration.md. Rejects with `RF_ARGUMENT`. */
  async setKeys(keys: Uint8Array | readonly Uint8Array[]): Promise<void> {
    const complete = completeKeys(keys);
    try {
      await this.#ask((id) => ({ type: "setKeys", id, keys: complete }));
    } finally {
      wipe(complete);
    }
  }

  /** Asks for a place again, after `leave` or (with `rejoin: false`) after membership was lost. */
  join(): void {
    if (this.#ended || this.#closing) throw this.#closedError();
    // Whoever waits for `joined` from now on waits for this.
    if (this.#state === "closed") this.#state = "joining";
    this.#thread.post({ type: "join" });
  }

  /** Leaves the group: what this node has is given to others, and nobody has to find out. Resolves when it is out. */
  async leave(): Promise<void> {
    if (this.#ended || this.#state === "closed") return;
    const left = new Promise<void>((resolve) => this.#leaving.push(resolve));
    this.#thread.post({ type: "leave" });
    await left;
  }

  /** Ends the ring's thread at once. To the others the node has died, unless it left before. */
  async close(): Promise<void> {
    if (!this.#ended && !this.#closing) {
      this.#closing = true;
      this.#thread.close();
    }
    await this.#thread.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
    await this.close();
  }

  #ask<Result = unknown>(
    make: (id: number) => SessionRequest,
    id = this.#nextId++,
    kind: PendingKind = "request",
    bytes = 0,
  ): Promise<Result> {
    if (this.#ended || this.#closing) return Promise.reject(this.#closedError());
    return new Promise((resolve, reject) => {
      const refusal = this.#pending.open(id, kind, bytes, { resolve: resolve as Waiter["resolve"], reject });
      if (refusal === undefined) this.#thread.post(make(id));
      else reject(refusal);
    });
  }

  /** Waits for the next view, state or end. */
  #change(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#watching.delete(done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      this.#watching.add(done);
      signal?.addEventListener("abort", done, { once: true });
    });
  }

  /** Before the program's listeners hear of it: one that throws keeps it from those behind it. */
  #changed(): void {
    for (const done of [...this.#watching]) done();
  }

  #onEvent(event: SessionEvent): void {
    switch (event.type) {
      case "open":
        this.#onOpen?.resolve(undefined);
        break;
      case "failed":
        this.#failure = errorFrom(event.error);
        break;
      case "state":
        this.#onState(event.state);
        break;
      case "view":
        this.#view = event.view;
        this.#changed();
        this.emit("view", event.view);
        break;
      case "lease":
        this.#onLease(event.valid);
        break;
      case "delivery":
        this.emit("message", { from: event.from, epoch: event.epoch, origin: event.origin, bytes: event.bytes });
        break;
      case "message":
        this.emit("direct", { from: event.from, bytes: event.bytes });
        break;
      case "settled":
        if (event.outcome === "delivered") this.#pending.resolve(event.id, undefined);
        else this.#pending.reject(event.id, notDelivered(event.outcome));
        break;
      case "granted":
        this.#onGranted(event);
        break;
      case "lost":
        this.#locks.get(event.id)?.lose(event.reason);
        this.#locks.delete(event.id);
        break;
      case "released":
        this.#onReleased(event.id);
        break;
      case "refused":
        this.#pending.reject(event.id, errorFrom(event.error));
        break;
      case "carriage":
        this.#carriages.change(event.name, event.version, event.bytes, event.membership);
        break;
      case "answer":
        this.#pending.resolve(event.id, event.result);
        break;
      case "plugin":
        this.emit("plugin", event.event);
        break;
      case "log":
        this.emit("log", { level: event.level, code: event.code, fields: event.fields });
        break;
      default:
        event satisfies never;
    }
  }

  #onState(state: RaincoreState): void {
    this.#state = state;
    if (state !== "member") {
      this.#view = undefined;
      this.#carriages.recheck();
    }
    if (state === "closed") for (const resolve of this.#leaving.splice(0)) resolve();
    this.#changed();
    this.emit("state", state);
  }

  #onLease(valid: boolean): void {
    if (valid === this.#leaseValid) return;
    this.#leaseValid = valid;
    this.emit("lease", valid);
  }

  /** At once, not when whoever waits runs again: it may be lost by the next event. */
  #onGranted({ id, name, fence }: { readonly id: number; readonly name: string; readonly fence: bigint }): void {
    const held = new HeldLock(name, fence, () => this.#thread.post({ type: "release", id }));
    this.#locks.set(id, held);
    this.#pending.resolve(id, held);
  }

  /** One that waited still was given up: its caller learns why from its signal. */
  #onReleased(id: number): void {
    this.#locks.get(id)?.markReleased();
    this.#locks.delete(id);
    this.#pending.resolve(id, undefined);
  }

  #onEnd(error: Error | undefined): void {
    this.#ended = true;
    this.#failure ??= error;
    this.#view = undefined;
    this.#state = "closed";
    const closed = this.#closedError();
    this.#onOpen?.reject(closed);
    this.#pending.rejectAll(closed);
    for (const lock of this.#locks.values()) lock.lose("closed");
    this.#locks.clear();
    this.#carriages.recheck();
    for (const resolve of this.#leaving.splice(0)) resolve();
    this.#changed();
    try {
      this.#onLease(false);
    } finally {
      this.emit("close", this.#closing ? undefined : closed);
    }
  }

  #closedError(): Error {
    return this.#failure ?? new RainfrontError("RF_CLOSED", "this Raincore is closed", { fix: "start another one" });
  }
}

function wipe(keys: readonly Uint8Array[]): void {
  for (const key of keys) key.fill(0);
}

function plainData(params: unknown): unknown {
  try {
    return structuredClone(params);
  } catch (cause) {
    throw new RainfrontError("RF_ARGUMENT", `params are not plain data: ${String(cause)}`, {
      fix: "give params without functions and class instances",
      cause,
    });
  }
}
