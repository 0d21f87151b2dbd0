// The host's lock requests and the module that serves them: numbers of the one and the other, and what the host is told. Used by session.ts.
import { type LockEvent, Locks, type RefusedReason } from "../raincore/locks/locks.js";
import type { CodedError, LockDescription, SessionEvent, SessionRequest } from "./protocol.js";

type Acquire = Extract<SessionRequest, { readonly type: "acquire" }>;

export class LockDesk {
  readonly module: Locks;
  readonly #emit: (event: SessionEvent) => void;
  /** The host's number of a request that is not over, by the module's, and the other way round. */
  readonly #hostIds = new Map<number, number>();
  readonly #ownIds = new Map<number, number>();

  constructor(self: number, emit: (event: SessionEvent) => void) {
    this.#emit = emit;
    this.module = new Locks({ self, onEvent: (event) => this.#onEvent(event) });
  }

  /** Throws `RF_LOCK_NAME`, `RF_ARGUMENT`. */
  acquire({ id, name, client, wait_ms, ttl_ms }: Acquire, now_ms: number): void {
    const times = { ...(wait_ms === undefined ? {} : { wait_ms }), ...(ttl_ms === undefined ? {} : { ttl_ms }) };
    const own = this.module.acquire(now_ms, name, { client, ...times });
    this.#hostIds.set(own, id);
    this.#ownIds.set(id, own);
  }

  /** One that is over already is no mistake: the host may not have heard. */
  release(hostId: number): void {
    const own = this.#ownIds.get(hostId);
    if (own !== undefined) this.module.release(own);
  }

  list(): readonly LockDescription[] {
    return this.module.list();
  }

  /** This node is out of the group, and nothing serves those who wait. */
  refuseAll(): void {
    for (const [own, hostId] of [...this.#hostIds]) {
      this.#forget(own, hostId);
      this.#emit({ type: "refused", id: hostId, error: refusal("", "leaving") });
      this.module.release(own);
    }
  }

  #onEvent(event: LockEvent): void {
    const hostId = this.#hostIds.get(event.id);
    if (hostId === undefined) return;
    switch (event.type) {
      case "granted":
        this.#emit({ type: "granted", id: hostId, name: event.name, fence: event.fence });
        return;
      case "lost":
        this.#emit({ type: "lost", id: hostId, reason: event.reason });
        break;
      case "released":
        this.#emit({ type: "released", id: hostId });
        break;
      case "refused":
        this.#emit({ type: "refused", id: hostId, error: refusal(event.name, event.reason) });
        break;
      default:
        event satisfies never;
    }
    this.#forget(event.id, hostId);
  }

  #forget(own: number, hostId: number): void {
    this.#hostIds.delete(own);
    this.#ownIds.delete(hostId);
  }
}

function refusal(name: string, reason: RefusedReason): CodedError {
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
    case "leaving":
      return {
        code: "RF_NOT_MEMBER",
        message: "this node leaves the group, and waits for no lock",
        fix: "ask another node, or call join()",
      };
    default:
      return reason satisfies never;
  }
}
