// What the clients of this node want and have: one request for one lock each, and the events that tell its client how it
// goes. Knows own time and the own lease, and nothing of the table. Used by Locks only.

/** With the node's lease; at its time limit; or because the view changed without this node or its quorum. */
export type LostReason = "lease" | "expired" | "view";
/** Its wait was over; too many locks or requests; or this node leaves. */
export type RefusedReason = "timeout" | "limit" | "leaving";

/** At most `granted` then `lost` or `released`; or `refused`; or `released` alone. */
export type LockEvent =
  | { readonly type: "granted"; readonly id: number; readonly name: string; readonly fence: bigint }
  /** The client must stop: somebody else may have the lock soon, or (after a pause of this process) already. */
  | { readonly type: "lost"; readonly id: number; readonly name: string; readonly reason: LostReason }
  /** Others can have it. */
  | { readonly type: "released"; readonly id: number; readonly name: string }
  | { readonly type: "refused"; readonly id: number; readonly name: string; readonly reason: RefusedReason };

/** A client's wish for a lock; times in milliseconds. */
export interface LockOptions {
  /** Who asks, for people to read. */
  readonly client: string;
  /** Refused if it cannot be had within this time; 0 = only if it is free now. Default: waits for ever. */
  readonly wait_ms?: number;
  /** Lost after so long. Default: never. */
  readonly ttl_ms?: number;
}

/** The table names the request, as seen with a valid lease: it may act from then on. */
interface Right {
  readonly fence: bigint;
  readonly from_ms: number;
}

export interface Request {
  readonly id: number;
  readonly name: string;
  readonly client: string;
  readonly giveUp_ms: number;
  /** Until then it waits for the token to come by once, however short its own wait is. */
  readonly tokenBy_ms: number;
  readonly ttl_ms: number;
  phase: "waiting" | "holding" | "ending";
  /** It has been on the token in this membership, where it could have been given its lock or there is no majority. */
  isQueued: boolean;
  right: Right | undefined;
  expires_ms: number;
}

const NEVER_MS = Number.POSITIVE_INFINITY;

export class Requests {
  readonly counters: Record<string, number> = {};
  readonly #requests = new Map<number, Request>();
  readonly #onEvent: (event: LockEvent) => void;
  readonly #tokenWait_ms: number;
  readonly #max: number;
  #nextId = 1;
  #leaseUntil_ms = 0;
  #events: LockEvent[] = [];
  #isTelling = false;
  #tellBy_ms = 0;
  /** Something has happened that belongs on the token. */
  changed = false;

  constructor(onEvent: (event: LockEvent) => void, limits: { readonly tokenWait_ms: number; readonly max: number }) {
    this.#onEvent = onEvent;
    this.#tokenWait_ms = limits.tokenWait_ms;
    this.#max = limits.max;
  }

  /** In the order in which they came. */
  all(): Iterable<Request> {
    return this.#requests.values();
  }

  get(id: number): Request | undefined {
    return this.#requests.get(id);
  }

  /** A request that is one too many is refused at the next tick, when its client knows its number. */
  add(now_ms: number, name: string, options: LockOptions): number {
    const id = this.#nextId;
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1;
    const isTooMany = this.#requests.size >= this.#max || this.#requests.has(id);
    if (isTooMany) {
      this.#remember({ type: "refused", id, name, reason: "limit" });
      this.#tellBy_ms = now_ms;
      return id;
    }
    this.#requests.set(id, {
      id,
      name,
      client: options.client,
      giveUp_ms: now_ms + (options.wait_ms ?? NEVER_MS),
      tokenBy_ms: now_ms + this.#tokenWait_ms,
      ttl_ms: options.ttl_ms ?? NEVER_MS,
      phase: "waiting",
      isQueued: false,
      right: undefined,
      expires_ms: NEVER_MS,
    });
    this.changed = true;
    return id;
  }

  /** What is held goes with the next visit; what was only wanted is forgotten at once. */
  release(id: number): void {
    const request = this.#requests.get(id);
    if (request === undefined || request.phase === "ending") return;
    this.changed = true;
    if (request.phase === "holding") request.phase = "ending";
    else this.#end(request, { type: "released", id, name: request.name });
  }

  /** The lock of a request that was ending is given back. */
  released(request: Request): void {
    this.#end(request, { type: "released", id: request.id, name: request.name });
  }

  refuse(request: Request, reason: RefusedReason): void {
    this.#end(request, { type: "refused", id: request.id, name: request.name, reason });
  }

  lose(request: Request, reason: LostReason): void {
    this.#end(request, { type: "lost", id: request.id, name: request.name, reason });
  }

  /** Nobody holds on to anything. What waits goes on waiting, here. */
  loseHeld(reason: LostReason): void {
    for (const request of [...this.#requests.values()]) {
      request.right = undefined;
      if (request.phase === "holding") this.lose(request, reason);
    }
  }

  /** It now runs until then; 0 = void. One that had run out before takes its rights with it, however late that is noticed. */
  setLease(until_ms: number, now_ms: number): void {
    this.#lapse(now_ms);
    if (until_ms > now_ms) this.#leaseUntil_ms = until_ms;
    else this.#voidLease();
  }

  /** If the lease has run out: what was held is lost, and a right has to be seen anew before it counts. */
  #lapse(now_ms: number): void {
    if (this.#leaseUntil_ms !== 0 && now_ms >= this.#leaseUntil_ms) this.#voidLease();
  }

  #voidLease(): void {
    this.#leaseUntil_ms = 0;
    this.loseHeld("lease");
  }

  /** What time brings. */
  advance(now_ms: number): void {
    this.expire(now_ms);
    this.takeRights(now_ms);
    this.refuseLate(now_ms);
  }

  /** What time takes away: with the lease, or because it was to be held no longer. */
  expire(now_ms: number): void {
    this.#lapse(now_ms);
    for (const request of [...this.#requests.values()]) {
      if (request.phase === "holding" && now_ms >= request.expires_ms) this.lose(request, "expired");
    }
  }

  /** Begins to hold what may be acted on now. */
  takeRights(now_ms: number): void {
    if (now_ms >= this.#leaseUntil_ms) return;
    for (const request of this.#requests.values()) {
      const { right, id, name } = request;
      if (request.phase !== "waiting" || right === undefined || now_ms < right.from_ms) continue;
      request.phase = "holding";
      request.expires_ms = now_ms + request.ttl_ms;
      this.#remember({ type: "granted", id, name, fence: right.fence });
    }
  }

  /** Those who do not want to wait any longer. True: there were some. */
  refuseLate(now_ms: number): boolean {
    const late = [...this.#requests.values()].filter((request) => now_ms >= giveUpBy_ms(request));
    for (const request of late) this.refuse(request, "timeout");
    return late.length > 0;
  }

  /** While its client may act on it. */
  holds(id: number, now_ms: number): boolean {
    const request = this.#requests.get(id);
    return request?.phase === "holding" && now_ms < this.#leaseUntil_ms && now_ms < request.expires_ms;
  }

  /** When `advance` has something to do. */
  get deadline_ms(): number {
    if (this.#events.length > 0) return this.#tellBy_ms;
    let earliest = NEVER_MS;
    for (const request of this.#requests.values()) earliest = Math.min(earliest, this.#deadlineOf(request));
    return earliest;
  }

  #deadlineOf(request: Request): number {
    const isLeased = this.#leaseUntil_ms !== 0;
    switch (request.phase) {
      case "waiting": {
        const right_ms = isLeased ? (request.right?.from_ms ?? NEVER_MS) : NEVER_MS;
        return Math.min(giveUpBy_ms(request), right_ms);
      }
      case "holding":
        return Math.min(request.expires_ms, this.#leaseUntil_ms);
      case "ending":
        return NEVER_MS;
      default:
        return request.phase satisfies never;
    }
  }

  /** Tells the clients what has happened. They may acquire and release meanwhile. A host that fails must not tear a visit apart. */
  tell(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) {
      try {
        this.#onEvent(event);
      } catch {
        this.counters.callback_failed = (this.counters.callback_failed ?? 0) + 1;
      }
    }
    this.#isTelling = false;
  }

  #end(request: Request, event: LockEvent): void {
    this.#requests.delete(request.id);
    this.changed = true;
    this.#remember(event);
  }

  #remember(event: LockEvent): void {
    const cause = "reason" in event ? `${event.type}_${event.reason}` : event.type;
    this.counters[cause] = (this.counters[cause] ?? 0) + 1;
    this.#events.push(event);
  }
}

function giveUpBy_ms(request: Request): number {
  if (request.phase !== "waiting") return NEVER_MS;
  return request.isQueued ? request.giveUp_ms : Math.max(request.giveUp_ms, request.tokenBy_ms);
}
