// Locks of the whole group, with fencing numbers (carriage "locks"): this node's part in them. The host gives it to the
// engine as a module, acquires and releases for its clients, and wakes the engine after each. policy.ts says why two
// holders never meet; this file keeps the half of it that is the holder's own: it acts on a lock only
//
// - after a visit at which the table named it, under a valid lease, and every wait was over, and
// - until the lease ends, or a visit at which the table names it no more or the view is not quorate, whichever comes first.
//
// A lease that has lapsed takes every right with it, even if it is renewed a moment later: the table may have changed, so
// the node must see its name there again. A client whose process was stopped for longer than a lease cannot be told in
// time; for it there is the fencing number.
import { RainfrontError } from "../../errors.js";
import type { TokenContext, TokenModule } from "../types.js";
import { areEqual } from "../wire.js";
import {
  claimBytes,
  decodeLocks,
  encodeLocks,
  isLockName,
  LOCK_CARRIAGE_BYTES_MAX,
  LOCK_FORMAT,
  LOCK_NAME_BYTES_MAX,
  LOCKS_MAX,
  QUEUE_MAX,
  tableBytes,
} from "./codec.js";
import {
  type Claim,
  enqueue,
  fenceBase,
  followView,
  grant,
  hasUngranted,
  keepCalm,
  type LockRecord,
  type LockTable,
  NO_TABLE,
  type Situation,
  withdraw,
} from "./policy.js";
import { type LockEvent, type LockOptions, type Request, Requests } from "./requests.js";

export type { LockEvent, LockOptions, LostReason, RefusedReason } from "./requests.js";

/** Who this is, whom to tell, and the limits of this node. */
export interface LocksConfig {
  readonly self: number;
  /** Called when this node's part is settled, before the token goes on. May call acquire and release. */
  readonly onEvent: (event: LockEvent) => void;
  /** A request waits at least so long for the token to come by, however short its own wait; default 1000. */
  readonly tokenWait_ms?: number;
  /** Requests of this node at a time; default 256. */
  readonly requestsMax?: number;
}

/** One lock, as last seen on the token. */
export interface LockInfo {
  readonly name: string;
  /** nodeId; 0 while the view is not quorate, or not confirmed yet, and nobody may have it. */
  readonly holder: number;
  readonly fence: bigint;
  /** nodeIds, the next one first. */
  readonly waiters: readonly number[];
  /** The holder, if it is a client of this node. */
  readonly client: string | undefined;
}

/** A visit that changed nothing and left nothing to do. */
interface Settled {
  readonly bytes: Uint8Array;
  readonly lacking: number;
  readonly epoch: number;
  readonly origin: number;
  readonly quorate: boolean;
}

/** The lock service as a module of the engine. `Raincore` has one. */
export class Locks implements TokenModule {
  readonly carriage = "locks";
  readonly format = LOCK_FORMAT;
  readonly bytesMax = LOCK_CARRIAGE_BYTES_MAX;
  readonly #self: number;
  readonly #requests: Requests;
  #table: LockTable = NO_TABLE;
  /** Of this process, from the last view. */
  #incarnation = 0n;
  /** The greatest number seen in this life: what is given out is greater. */
  #top = 0n;
  /** The greatest number seen in this membership: a table with a smaller one is from before something that was seen. */
  #topHere = 0n;
  /** The own reckoning of the table's wait, while that is the same wait. */
  #calm = { stamp: 0n, until_ms: 0 };
  #settled: Settled | undefined;
  /** The carriage is of a newer format: this node has no part in it. */
  #isOutdated = false;
  #malformed = 0;

  constructor(config: LocksConfig) {
    this.#self = config.self;
    this.#requests = new Requests(config.onEvent, {
      tokenWait_ms: config.tokenWait_ms ?? 1000,
      max: config.requestsMax ?? 256,
    });
  }

  /** Events by cause, and carriages that were no lock table. */
  get counters(): Readonly<Record<string, number>> {
    return { ...this.#requests.counters, malformed_carriage: this.#malformed };
  }

  get isIdle(): boolean {
    return (this.#settled !== undefined || this.#isOutdated) && !this.#requests.changed;
  }

  get deadline_ms(): number {
    return this.#requests.deadline_ms;
  }

  /** The request's number; events come later. Wake the engine afterwards. Throws RF_LOCK_NAME, RF_ARGUMENT. */
  acquire(now_ms: number, name: string, options: LockOptions): number {
    if (!isLockName(name)) throw noLockName(name);
    checkDuration("wait_ms", options.wait_ms);
    checkDuration("ttl_ms", options.ttl_ms);
    return this.#requests.add(now_ms, name, options);
  }

  /** Gives a lock back, or stops waiting for it. Unknown numbers are over already. Wake the engine afterwards. */
  release(id: number): void {
    this.#requests.release(id);
    this.#requests.tell();
  }

  /** Whether the client of this request may act on its lock now. */
  holds(id: number, now_ms: number): boolean {
    return this.#requests.holds(id, now_ms);
  }

  /** As last seen on the token. */
  list(): LockInfo[] {
    return this.#table.locks.map(({ name, holder, fence, queue }) => ({
      name,
      holder: holder?.node ?? 0,
      fence,
      waiters: queue.map(({ node }) => node),
      client: holder !== undefined && this.#isOwn(holder) ? this.#requests.get(holder.request)?.client : undefined,
    }));
  }

  onToken(ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array | undefined {
    this.#isOutdated = false;
    this.#requests.expire(ctx.now_ms);
    if (!ctx.view.quorate || ctx.leaving) this.#requests.loseHeld("view");
    if (ctx.leaving) for (const request of [...this.#requests.all()]) this.#leave(request);
    const after = bytes !== undefined && this.#isSettledOn(bytes, ctx) ? bytes : this.#visit(ctx, bytes);
    this.#requests.tell();
    return after;
  }

  /** Nobody else gives away what the table says is held here; but others may have changed the table, so a right lasts only while it is there. */
  onPassedBy(ctx: TokenContext, bytes: Uint8Array | undefined): void {
    this.#settled = undefined;
    this.#requests.expire(ctx.now_ms);
    const table = bytes === undefined ? NO_TABLE : decodeLocks(bytes);
    if (!ctx.view.quorate || ctx.leaving) this.#requests.loseHeld("view");
    else if (table !== undefined) this.#dropRights(this.#heldIn(table));
    this.#requests.tell();
  }

  /** Until this node is upgraded, it can be given no lock. */
  onOutdated(): void {
    this.#isOutdated = true;
    for (const request of [...this.#requests.all()]) this.#leave(request);
    this.#requests.changed = false;
    this.#requests.tell();
  }

  onTick(now_ms: number): void {
    this.#requests.advance(now_ms);
    this.#requests.tell();
  }

  onLease(until_ms: number, now_ms: number): void {
    this.#requests.setLease(until_ms, now_ms);
    this.#requests.tell();
  }

  onLost(now_ms: number): void {
    this.#requests.expire(now_ms);
    this.#requests.loseHeld("view");
    for (const request of [...this.#requests.all()]) {
      request.isQueued = false;
      if (request.phase === "ending") this.#requests.released(request);
    }
    this.#table = NO_TABLE;
    this.#topHere = 0n;
    this.#calm = { stamp: 0n, until_ms: 0 };
    this.#settled = undefined;
    this.#isOutdated = false;
    this.#requests.tell();
  }

  #leave(request: Request): void {
    if (request.phase === "waiting") this.#requests.refuse(request, "leaving");
  }

  #isSettledOn(bytes: Uint8Array, { view, removed, missedQuorum, lacking, leaving }: TokenContext): boolean {
    const settled = this.#settled;
    if (settled === undefined || this.#requests.changed || removed.length > 0 || leaving) return false;
    if (missedQuorum || lacking.size !== settled.lacking) return false;
    const { epoch, origin, quorate } = settled;
    const isSameView = view.epoch === epoch && view.origin === origin && view.quorate === quorate;
    return isSameView && areEqual(bytes, settled.bytes);
  }

  #visit(ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array | undefined {
    this.#settled = undefined;
    const carried = bytes === undefined ? NO_TABLE : decodeLocks(bytes);
    if (carried === undefined) {
      // Nobody may change what it cannot read: every holder stays what it is until the carriage is mended.
      this.#malformed += 1;
      return bytes;
    }
    this.#incarnation = ctx.view.members.find(({ nodeId }) => nodeId === this.#self)?.incarnation ?? this.#incarnation;
    this.#requests.changed = false;
    const table = this.#decide(this.#countDown(carried, ctx.now_ms), ctx);
    // Whoever has been given a lock waits for nothing so much as for the token.
    const isGranted = table.locks.some((record) => record.fence > carried.top && record.holder?.node !== this.#self);
    if (isGranted || (ctx.view.quorate && hasUngranted(table))) ctx.hasten();
    this.#table = table;
    const encoded = encodeLocks(table);
    const same = bytes !== undefined && areEqual(encoded, bytes) ? bytes : undefined;
    if (same !== undefined && table.calm.wait_ms === 0 && !this.#isWaitedFor(ctx)) {
      const { epoch, origin, quorate } = ctx.view;
      this.#settled = { bytes: same, lacking: ctx.lacking.size, epoch, origin, quorate };
    }
    return same ?? encoded;
  }

  #decide(carried: LockTable, ctx: TokenContext): LockTable {
    const at = this.#situation(ctx);
    // Some node may act on what this table has forgotten; by the end of a lease it has seen this table, or has stopped.
    const known = carried.top < this.#topHere ? keepCalm(carried, ctx.lease_ms, at) : carried;
    const told = ctx.missedQuorum ? followView(known, { ...at, quorate: false }) : known;
    const followed = followView(this.#withdrawOwn(told, at), at);
    const wanted = ctx.leaving ? followed : this.#enqueueOwn(followed, at);
    let table = grant(wanted, at);
    this.#see(table, ctx);
    // Among them those that take the lock only if it is free: they have had their chance now.
    if (this.#requests.refuseLate(ctx.now_ms)) {
      table = grant(this.#withdrawOwn(table, at), at);
      this.#see(table, ctx);
    }
    return table;
  }

  #situation(ctx: TokenContext): Situation {
    const { view } = ctx;
    return {
      members: new Map(view.members.map(({ nodeId, incarnation }) => [nodeId, incarnation])),
      removed: new Map(ctx.removed.map(({ nodeId, leaseEnd_ms }) => [nodeId, Math.max(0, leaseEnd_ms - ctx.now_ms)])),
      lacking: ctx.lacking,
      quorate: view.quorate,
      confirmed: ctx.confirmed,
      lease_ms: ctx.lease_ms,
      base: fenceBase(view),
      seen: this.#top,
    };
  }

  /** Both the wait that travels and the own reckoning since the first sight of it are long enough. */
  #countDown(table: LockTable, now_ms: number): LockTable {
    const { stamp, wait_ms } = table.calm;
    if (wait_ms === 0) return table;
    const until_ms = this.#calm.stamp === stamp ? this.#calm.until_ms : Number.POSITIVE_INFINITY;
    return { ...table, calm: { stamp, wait_ms: Math.max(0, Math.min(wait_ms, until_ms - now_ms)) } };
  }

  /** Takes out what no client of ours wants (any more). What one has just given back needs no wait. */
  #withdrawOwn(table: LockTable, at: Situation): LockTable {
    const after = withdraw(
      table,
      (claim, record) => this.#isOwn(claim) && !this.#isWanted(claim, record.name),
      ({ holder, fence }) =>
        at.quorate && holder !== undefined && this.#requests.get(holder.request)?.right?.fence === fence,
    );
    for (const request of [...this.#requests.all()]) {
      if (request.phase === "ending") this.#requests.released(request);
    }
    return after;
  }

  #isOwn(claim: Claim): boolean {
    return claim.node === this.#self && claim.incarnation === this.#incarnation;
  }

  #isWanted(claim: Claim, name: string): boolean {
    const request = this.#requests.get(claim.request);
    return request !== undefined && request.name === name && request.phase !== "ending";
  }

  #enqueueOwn(before: LockTable, at: Situation): LockTable {
    const present = new Set(ownRequests(before, (claim) => this.#isOwn(claim)));
    let table = before;
    let bytes = tableBytes(table);
    for (const request of [...this.#requests.all()]) {
      if (request.phase !== "waiting") continue;
      // In a view that is not confirmed yet it could not have been given even a free lock.
      request.isQueued ||= at.confirmed || !at.quorate;
      if (present.has(request.id)) continue;
      const record = table.locks.find(({ name }) => name === request.name);
      const added = claimBytes(request.name, record === undefined);
      const hasRoom = record === undefined ? table.locks.length < LOCKS_MAX : record.queue.length + 1 < QUEUE_MAX;
      if (!hasRoom || bytes + added > LOCK_CARRIAGE_BYTES_MAX) {
        this.#requests.refuse(request, "limit");
        continue;
      }
      bytes += added;
      table = enqueue(table, request.name, { node: this.#self, incarnation: this.#incarnation, request: request.id });
    }
    return table;
  }

  /** What the table as it will go on says of our requests, and since when. */
  #see(table: LockTable, ctx: TokenContext): void {
    const { calm, top } = table;
    if (this.#calm.stamp !== calm.stamp) this.#calm = { stamp: calm.stamp, until_ms: ctx.now_ms + calm.wait_ms };
    this.#top = top > this.#top ? top : this.#top;
    this.#topHere = top > this.#topHere ? top : this.#topHere;
    const held = this.#heldIn(table);
    this.#dropRights(held);
    for (const request of this.#requests.all()) {
      const record = held.get(request.id);
      if (request.phase === "holding") continue;
      if (record === undefined || !ctx.leaseValid) request.right = undefined;
      else if (request.right?.fence !== record.fence) {
        const wait_ms = record.handedOver ? 0 : calm.wait_ms;
        request.right = { fence: record.fence, from_ms: ctx.now_ms + wait_ms };
      }
    }
    this.#requests.takeRights(ctx.now_ms);
  }

  #heldIn({ locks }: LockTable): ReadonlyMap<number, LockRecord> {
    const own = locks.flatMap((record) => {
      const { holder } = record;
      return holder !== undefined && this.#isOwn(holder) ? [[holder.request, record] as const] : [];
    });
    return new Map(own);
  }

  /** Those that the table does not give to this node any more. */
  #dropRights(held: ReadonlyMap<number, LockRecord>): void {
    for (const request of [...this.#requests.all()]) {
      if (held.get(request.id)?.fence === request.right?.fence) continue;
      if (request.phase === "holding") this.#requests.lose(request, "view");
      else request.right = undefined;
    }
  }

  /** A lock of ours that we do not act on yet, for lack of a lease or of time; or one that cannot be given before the view is confirmed. */
  #isWaitedFor(ctx: TokenContext): boolean {
    const isUntaken = this.#table.locks.some(
      ({ holder }) =>
        holder !== undefined && this.#isOwn(holder) && this.#requests.get(holder.request)?.phase === "waiting",
    );
    return isUntaken || (ctx.view.quorate && hasUngranted(this.#table));
  }
}

function ownRequests(table: LockTable, isOwn: (claim: Claim) => boolean): number[] {
  return table.locks.flatMap(({ holder, queue }) =>
    (holder === undefined ? queue : [holder, ...queue]).filter(isOwn).map(({ request }) => request),
  );
}

function checkDuration(field: string, value_ms: number | undefined): void {
  if (value_ms === undefined || (Number.isFinite(value_ms) && value_ms >= 0)) return;
  throw new RainfrontError("RF_ARGUMENT", `${field} ${value_ms} is not a time in milliseconds`, {
    fix: `leave ${field} out, or give a number from 0 on`,
  });
}

function noLockName(name: string): RainfrontError {
  return new RainfrontError(
    "RF_LOCK_NAME",
    `name ${JSON.stringify(name.slice(0, LOCK_NAME_BYTES_MAX))} is no name of a lock`,
    {
      fix: `give 1 to ${LOCK_NAME_BYTES_MAX} printable ASCII characters without blanks`,
    },
  );
}
