// The Raincore Distributed Session Service as a library: membership, ordered multicast, locks and shared state among a fixed set of nodes.
// The ring runs in a thread of its own, so that whatever the program does (garbage collection, a slow log) never costs a token.
import { EventEmitter } from "node:events";
import { isErrorCode, RainfrontError } from "../errors.js";
import type { UpdateResult } from "../raincore/carriages/sharedCarriages.js";
import type { RaincoreState, View } from "../raincore/types.js";
import { Carriage, type CarriageState } from "./carriage.js";
import { HeldLock, type Lock, type LockRequest } from "./lock.js";
import { completeKeys, completeOptions, type RaincoreOptions } from "./options.js";
import type {
  CodedError,
  Delivered,
  Guarantee,
  LockDescription,
  SessionEvent,
  SessionRequest,
  SessionStats,
} from "./protocol.js";
import { RingThread } from "./ringThread.js";

/** The largest multicast or message, in bytes. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

export interface RaincoreEvents {
  /** A new view; messages of older views have been delivered before. */
  view: [view: View];
  /** An ordered multicast message: the same ones in the same order on all members. */
  message: [message: Delivered];
  /** A message that another node sent to this one alone. */
  direct: [message: { readonly from: number; readonly bytes: Uint8Array }];
  state: [state: RaincoreState];
  /** The node's right to act for the group has begun, or ended before its time. */
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

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class Raincore extends EventEmitter<RaincoreEvents> {
  readonly nodeId: number;
  readonly #thread: RingThread;
  readonly #waiting = new Map<number, Waiting>();
  readonly #locks = new Map<number, HeldLock>();
  readonly #carriages = new Map<string, Carriage>();
  readonly #carriageStates = new Map<string, CarriageState>();
  #nextId = 1;
  #state: RaincoreState = "joining";
  #view: View | undefined;
  #leaseValid = false;
  #closing = false;
  #ended = false;
  #failure: Error | undefined;
  #onOpen: Waiting | undefined;

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
    this.#thread = new RingThread(
      config,
      (event) => this.#onEvent(event),
      (error) => this.#onEnd(error),
    );
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

  /** Resolves with the first view in which this node is a ready member and may act; at once if it is one. */
  async joined(signal?: AbortSignal): Promise<View> {
    for (;;) {
      signal?.throwIfAborted();
      if (this.#ended) throw this.#closedError();
      const view = this.#view;
      if (view?.members.some((member) => member.nodeId === this.nodeId && member.ready)) return view;
      await this.#next(["view", "close"], signal);
    }
  }

  /**
   * Sends to all members, this node included, in the one order of the group. Resolves when it has been delivered here: `agreed`, with the
   * others to follow; `safe`, when every member has it. Rejects with `RF_NOT_DELIVERED` if membership was lost before that was known,
   * `RF_MULTICAST_FULL` if too many wait already, `RF_MESSAGE_SIZE`, `RF_CLOSED`.
   */
  async multicast(bytes: Uint8Array, { guarantee = "agreed" }: { readonly guarantee?: Guarantee } = {}): Promise<void> {
    checkSize(bytes);
    await this.#ask((id) => ({ type: "multicast", items: [{ id, bytes, guarantee }] }));
  }

  /** Sends to one node, member or not. Resolves when it has the message. Rejects with `RF_NOT_DELIVERED`, `RF_MESSAGE_SIZE`, `RF_NODE_UNKNOWN`. */
  async send(nodeId: number, bytes: Uint8Array): Promise<void> {
    checkSize(bytes);
    await this.#ask((id) => ({ type: "send", id, to: nodeId, bytes }));
  }

  /**
   * Waits for a lock of the group, first come, first served. Rejects with `RF_LOCK_TIMEOUT`, `RF_LOCK_LIMIT`, `RF_LOCK_NAME`, or the
   * signal's reason.
   */
  async lock(name: string, request: LockRequest = {}): Promise<Lock> {
    const { signal, wait_ms, ttl_ms, client = `pid ${process.pid}` } = request;
    signal?.throwIfAborted();
    const id = this.#nextId++;
    const onAbort = (): void => this.#thread.post({ type: "release", id });
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const fence = (await this.#ask(() => ({ type: "acquire", id, name, client, wait_ms, ttl_ms }), id)) as
        | bigint
        | undefined;
      if (fence === undefined) throw signal?.reason ?? this.#closedError();
      const held = new HeldLock(name, fence, () => this.#thread.post({ type: "release", id }));
      this.#locks.set(id, held);
      return held;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** All locks of the group, as the token showed them last. */
  async locks(): Promise<readonly LockDescription[]> {
    return (await this.#ask((id) => ({ type: "ask", id, what: "locks" }))) as readonly LockDescription[];
  }

  /** A small piece of state that all members share; the name is 1 to 24 of `a-z 0-9 . -`. */
  carriage(name: string): Carriage {
    const known = this.#carriages.get(name);
    if (known !== undefined) return known;
    const carriage = new Carriage(name, this.#carriageStates.get(name), async (ifVersion, bytes) => {
      const result = await this.#ask((id) => ({ type: "update", id, name, ifVersion, bytes }));
      return result as UpdateResult;
    });
    this.#carriages.set(name, carriage);
    return carriage;
  }

  async stats(): Promise<SessionStats> {
    return (await this.#ask((id) => ({ type: "ask", id, what: "stats" }))) as SessionStats;
  }

  /** Asks the plugin. Rejects with what it throws. */
  async call(method: string, params: unknown): Promise<unknown> {
    return this.#ask((id) => ({ type: "call", id, method, params }));
  }

  /** From now on the first key seals and all open; see "Changing the key" in docs/configuration.md. Rejects with `RF_ARGUMENT`. */
  async setKeys(keys: Uint8Array | readonly Uint8Array[]): Promise<void> {
    const complete = completeKeys(keys);
    await this.#ask((id) => ({ type: "setKeys", id, keys: complete }));
  }

  /** Asks for a place again, after `leave` or (with `rejoin: false`) after membership was lost. */
  join(): void {
    if (this.#ended) throw this.#closedError();
    this.#thread.post({ type: "join" });
  }

  /** Leaves the group: what this node has is given to others, and nobody has to find out. Resolves when it is out. */
  async leave(): Promise<void> {
    if (this.#ended) return;
    this.#thread.post({ type: "leave" });
    while (this.#state !== "closed" && !this.#ended) await this.#next(["state", "close"]);
  }

  /** Ends the ring's thread at once. To the others the node has died, unless it left before. */
  async close(): Promise<void> {
    if (!this.#ended && !this.#closing) {
      this.#closing = true;
      this.#thread.post({ type: "close" });
    }
    await this.#thread.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
    await this.close();
  }

  #ask(make: (id: number) => SessionRequest, id = this.#nextId++): Promise<unknown> {
    if (this.#ended || this.#closing) return Promise.reject(this.#closedError());
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#thread.post(make(id));
    });
  }

  #next(names: readonly ("view" | "state" | "close")[], signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        for (const name of names) this.removeListener(name, done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      for (const name of names) this.on(name, done);
      signal?.addEventListener("abort", done, { once: true });
    });
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
        this.emit("view", event.view);
        break;
      case "lease":
        this.#leaseValid = event.valid;
        this.emit("lease", event.valid);
        break;
      case "delivery":
        this.emit("message", { from: event.from, epoch: event.epoch, origin: event.origin, bytes: event.bytes });
        break;
      case "message":
        this.emit("direct", { from: event.from, bytes: event.bytes });
        break;
      case "settled":
        if (event.outcome === "delivered") this.#resolve(event.id, undefined);
        else this.#reject(event.id, notDelivered(event.outcome));
        break;
      case "granted":
        this.#resolve(event.id, event.fence);
        break;
      case "lost":
        this.#locks.get(event.id)?.lose(event.reason);
        break;
      case "released":
        this.#onReleased(event.id);
        break;
      case "refused":
        this.#reject(event.id, errorFrom(event.error));
        break;
      case "carriage":
        this.#onCarriage(event);
        break;
      case "answer":
        this.#resolve(event.id, event.result);
        break;
      case "plugin":
        this.emit("plugin", event.event);
        break;
      case "log":
        this.emit("log", { level: event.level, code: event.code, fields: event.fields });
        break;
      case "closed":
        break;
      default:
        event satisfies never;
    }
  }

  #onState(state: RaincoreState): void {
    this.#state = state;
    if (state !== "member") this.#view = undefined;
    this.emit("state", state);
  }

  /** One that waited still was given up: its caller learns why from its signal. */
  #onReleased(id: number): void {
    this.#locks.get(id)?.markReleased();
    this.#locks.delete(id);
    this.#resolve(id, undefined);
  }

  #onCarriage({
    name,
    version,
    bytes,
  }: {
    readonly name: string;
    readonly version: number;
    readonly bytes: Uint8Array | undefined;
  }): void {
    this.#carriageStates.set(name, { version, bytes });
    this.#carriages.get(name)?.change({ version, bytes });
  }

  #resolve(id: number, result: unknown): void {
    this.#waiting.get(id)?.resolve(result);
    this.#waiting.delete(id);
  }

  #reject(id: number, error: Error): void {
    this.#waiting.get(id)?.reject(error);
    this.#waiting.delete(id);
  }

  #onEnd(error: Error | undefined): void {
    this.#ended = true;
    this.#failure ??= error;
    this.#view = undefined;
    const closed = this.#closedError();
    this.#onOpen?.reject(closed);
    for (const waiting of this.#waiting.values()) waiting.reject(closed);
    this.#waiting.clear();
    for (const lock of this.#locks.values()) lock.lose("closed");
    this.#locks.clear();
    this.#state = "closed";
    this.emit("close", this.#closing ? undefined : closed);
  }

  #closedError(): Error {
    return this.#failure ?? new RainfrontError("RF_CLOSED", "this Raincore is closed", { fix: "start another one" });
  }
}

function checkSize(bytes: Uint8Array): void {
  if (bytes.length <= MESSAGE_BYTES_MAX) return;
  throw new RainfrontError("RF_MESSAGE_SIZE", `${bytes.length} bytes are more than ${MESSAGE_BYTES_MAX}`, {
    fix: "split the message",
  });
}

function notDelivered(outcome: "unknown" | "unsent"): RainfrontError {
  return outcome === "unsent"
    ? new RainfrontError("RF_NOT_DELIVERED", "the message was not sent", { fix: "send it again after joining" })
    : new RainfrontError("RF_NOT_DELIVERED", "it is not known whether the message was delivered", {
        fix: "send it again if the receivers can tell doubles",
      });
}

function errorFrom({ code, message, fix }: CodedError): RainfrontError {
  const known = isErrorCode(code) ? code : "RF_INTERNAL";
  return new RainfrontError(known, message, fix === undefined ? {} : { fix });
}
