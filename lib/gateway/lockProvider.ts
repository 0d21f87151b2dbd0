// The group's locks for other programs of this machine: what the control socket needs of them, on top of the ring. Used by daemon.ts.
import type { Logger } from "pino";
import type { LockLostReason, LockParams, LockProvider, LockProviderEvent, LockStatus } from "../api/lockProtocol.js";
import { lockLostReasons } from "../api/lockProtocol.js";
import type { NodeConfig } from "../config/config.js";
import { RainfrontError } from "../errors.js";
import type { Lock } from "../session/lock.js";
import type { Raincore } from "../session/raincore.js";

interface Request {
  /** Stops waiting. */
  readonly stop: AbortController;
  /** Undefined once it is refused or given up. */
  readonly lock: Promise<Lock | undefined>;
}

export class RingLocks implements LockProvider {
  readonly #ring: () => Raincore;
  readonly #nodes: readonly NodeConfig[];
  readonly #log: Pick<Logger, "info" | "warn">;
  readonly #requests = new Map<number, Request>();
  #nextId = 1;

  /** `ring` throws while there is none. */
  constructor(ring: () => Raincore, nodes: readonly NodeConfig[], log: Pick<Logger, "info" | "warn">) {
    this.#ring = ring;
    this.#nodes = nodes;
    this.#log = log;
  }

  acquire(params: LockParams, onEvent: (event: LockProviderEvent) => void): number {
    const ring = this.#ring();
    const id = this.#nextId++;
    const stop = new AbortController();
    const tell = (event: LockProviderEvent): void => {
      if (stop.signal.aborted) return;
      // Nothing is left to be released.
      if (event.type !== "granted") this.#requests.delete(id);
      onEvent(event);
    };
    this.#requests.set(id, { stop, lock: this.#wait(ring, params, stop.signal, tell) });
    return id;
  }

  async release(id: number): Promise<void> {
    const request = this.#requests.get(id);
    if (request === undefined) return;
    this.#requests.delete(id);
    request.stop.abort();
    await (await request.lock)?.release();
  }

  async list(): Promise<LockStatus[]> {
    const locks = await this.#ring().locks();
    return locks.map(({ name, holder, fence, waiters, client }) => ({
      name,
      holder: holder === 0 ? null : { id: holder, name: this.#nameOf(holder) },
      fence: String(fence),
      waiters: waiters.length,
      client: client ?? null,
    }));
  }

  stalled({ name, client }: LockParams, isStalled: boolean): void {
    if (isStalled) this.#log.warn({ lock: name, client }, "the holder of a lock reads nothing: is it stopped?");
    else this.#log.info({ lock: name, client }, "the holder of a lock reads again");
  }

  async #wait(
    ring: Raincore,
    { name, client, wait_ms, ttl_ms }: LockParams,
    signal: AbortSignal,
    tell: (event: LockProviderEvent) => void,
  ): Promise<Lock | undefined> {
    try {
      const times = { ...(wait_ms === undefined ? {} : { wait_ms }), ...(ttl_ms === undefined ? {} : { ttl_ms }) };
      const lock = await ring.lock(name, { client, signal, ...times });
      if (signal.aborted) return lock; // `release` waits for it
      const tellLost = (): void => tell({ type: "lost", reason: lostReason(lock.lost.reason) });
      tell({ type: "granted", fence: lock.fence });
      // It may have been lost in the same turn of the ring in which it was granted.
      if (lock.lost.aborted) tellLost();
      else lock.lost.addEventListener("abort", tellLost, { once: true });
      return lock;
    } catch (error) {
      tell({ type: "refused", reason: refusalReason(error) });
      return undefined;
    }
  }

  #nameOf(nodeId: number): string {
    return this.#nodes.find(({ id }) => id === nodeId)?.name ?? String(nodeId);
  }
}

/** A ring that is closed has left the view. */
function lostReason(reason: unknown): LockLostReason {
  return lockLostReasons.find((known) => known === reason) ?? "view";
}

function refusalReason(error: unknown): "timeout" | "limit" | "leaving" {
  const code = error instanceof RainfrontError ? error.code : undefined;
  if (code === "RF_LOCK_TIMEOUT") return "timeout";
  return code === "RF_LOCK_LIMIT" || code === "RF_REQUESTS_FULL" ? "limit" : "leaving";
}
