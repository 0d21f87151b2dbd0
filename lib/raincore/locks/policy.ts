// Who holds which lock, and who is next: pure functions over the lock table that travels on the token. Called by Locks
// only while its node holds the token.
//
// Why holders are disjoint in true time. Nothing here needs synchronised clocks; two guarantees of the ring carry it:
//
// - `removed` names every member that was taken out and when its lease has ended for certain (docs/architecture.md, "The
//   lease"), and a node acts on a lock only while its lease is valid (locks.ts).
// - A token that is made again comes from the newest copy of all members that stay in. So what it has forgotten was done by
//   removed members, or was never acted on.
//
// A lock goes from one holder to the next in one of three ways.
// 1. The holder gives it up itself, at its own visit. It has stopped acting before the token goes on.
// 2. The holder is removed. It acts until its lease has ended.
// 3. The table does not know the holder: it took a free lock and died with the only token that said so; or it lives in
//    another group that had a majority until a moment ago.
// For 2 and 3 the whole table keeps *calm*: whoever is given a lock waits until then. After a removal that is until the last lease
// of the removed has ended. When the table's view becomes quorate, it is one whole lease: any earlier view with a majority
// shares a member with this one, every renewal of a lease there went through that member before it came here, so all those
// leases end within L of now. The same holds for a table that begins anew, and for one that is older than one already seen.
// In a view that is not quorate all locks are taken back, so that such a table brings no holder into a later majority.
// The wait travels as a remaining time; transit only makes it longer. Only a lock of way 1 needs none (`handedOver`):
// nobody but its last holder can have had it.
//
// Why fencing numbers grow. A number is taken from the view's epoch only once the view is *confirmed*: the token has made a
// whole round in it. Two confirmed views with a majority share a member, which has seen both, and takes a view of a smaller epoch
// than its own for old: so the later of them has the greater epoch. Nothing is given in a view that is not confirmed, such as one that
// somebody makes while it is being cut off, however great its epoch.

/** One client's wish for one lock. Requests are numbered by their node; the incarnation tells one life of it from the next. */
export interface Claim {
  readonly node: number;
  readonly incarnation: bigint;
  readonly request: number;
}

export interface LockRecord {
  readonly name: string;
  /** Undefined only while nobody may be given the lock: the view is not quorate, or not confirmed yet. */
  readonly holder: Claim | undefined;
  /** The holder's fencing number. */
  readonly fence: bigint;
  /** The last holder gave the lock to this one while it held it: no wait, whatever the table waits for. */
  readonly handedOver: boolean;
  /** First come, first served. */
  readonly queue: readonly Claim[];
}

/** A new holder waits so long, from its first sight of its lock, before it acts. */
export interface Calm {
  /** Tells one wait from every other, of whatever view, so that a longer one is not taken for an older one that is nearly over. */
  readonly stamp: bigint;
  readonly wait_ms: number;
}

export interface LockTable {
  /** The greatest number given out so far. */
  readonly top: bigint;
  /** Whether the view was quorate at the last visit. */
  readonly quorate: boolean;
  readonly calm: Calm;
  readonly locks: readonly LockRecord[];
}

/** What the holder of the token knows when it decides. */
export interface Situation {
  /** Members and their incarnations. */
  readonly members: ReadonlyMap<number, bigint>;
  /** Members that failed or lost their state, and how long their leases may still run. Some may be members again. */
  readonly removed: ReadonlyMap<number, number>;
  /** Members that take no part (their node has no locks, or knows an older format): they have given up what they held before they said so. */
  readonly lacking: ReadonlySet<number>;
  readonly quorate: boolean;
  /** The token has made a whole round in this view. */
  readonly confirmed: boolean;
  /** L */
  readonly lease_ms: number;
  /** The smallest number of this view. */
  readonly base: bigint;
  /** The greatest number this node has seen. */
  readonly seen: bigint;
}

export const NO_TABLE: LockTable = { top: 0n, quorate: false, calm: { stamp: 0n, wait_ms: 0 }, locks: [] };

const NODE_BITS = 16n;
const EPOCH_BITS = 32n;

/**
 * The smallest fencing number of a confirmed view. A view's numbers end where the next epoch's begin, unless it gives out more than
 * 2^32 of them; even then they grow on, from `top`.
 */
export function fenceBase(view: { readonly epoch: number; readonly origin: number }): bigint {
  return (BigInt(view.epoch) << EPOCH_BITS) | (BigInt(view.origin) << NODE_BITS);
}

/** Greater than all this node knows of; in a confirmed view also than all that were given out in any older one. */
export function nextFence(table: LockTable, at: Situation): bigint {
  const next = greater(table.top, at.seen) + 1n;
  return at.confirmed ? greater(next, at.base) : next;
}

function greater(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** At least so long from now nobody acts on a lock that it is given. */
export function keepCalm(table: LockTable, wait_ms: number, at: Situation): LockTable {
  if (wait_ms <= table.calm.wait_ms) return table;
  const stamp = greater(table.calm.stamp + 1n, at.base);
  return { ...table, top: nextFence(table, at), calm: { stamp, wait_ms } };
}

/** Takes in what the view says: who is gone, and whether locks may be given at all. */
export function followView(table: LockTable, at: Situation): LockTable {
  const gone_ms = Math.max(0, ...at.removed.values());
  const unexplained = table.locks.some(({ holder }) => holder !== undefined && isUnexplained(holder, at));
  const regained = at.quorate && !table.quorate;
  const calmed = keepCalm(table, unexplained || regained ? Math.max(gone_ms, at.lease_ms) : gone_ms, at);
  const present = withdraw(calmed, (claim) => isGone(claim, at));
  if (present.quorate === at.quorate) return present;
  return { ...present, quorate: at.quorate, locks: at.quorate ? present.locks : present.locks.map(takeBack) };
}

/**
 * Another group may have the majority now and give the lock to somebody. Whoever held it finds itself without it at its
 * next visit, even if that is in a view with a majority again; whoever waits keeps its place.
 */
function takeBack(record: LockRecord): LockRecord {
  const { name, holder, queue } = record;
  if (holder === undefined) return record;
  return { name, holder: undefined, fence: 0n, handedOver: false, queue: [holder, ...queue] };
}

/** Neither a member nor said to be removed: nothing is known of its lease. */
function isUnexplained(claim: Claim, at: Situation): boolean {
  return !at.removed.has(claim.node) && at.members.get(claim.node) !== claim.incarnation;
}

/** A removed node that is a member again has begun anew: none of the claims that are here are of its present life. */
function isGone(claim: Claim, at: Situation): boolean {
  return at.removed.has(claim.node) || at.lacking.has(claim.node) || at.members.get(claim.node) !== claim.incarnation;
}

/** Takes claims out. `handsOver`: the holder gives up what it acted on until now. */
export function withdraw(
  table: LockTable,
  isOver: (claim: Claim, record: LockRecord) => boolean,
  handsOver: (record: LockRecord) => boolean = () => false,
): LockTable {
  let changed = false;
  const locks = table.locks.map((record) => {
    const after = withdrawFrom(record, isOver, handsOver);
    changed ||= after !== record;
    return after;
  });
  return changed ? { ...table, locks: locks.filter(isNeeded) } : table;
}

function withdrawFrom(
  record: LockRecord,
  isOver: (claim: Claim, record: LockRecord) => boolean,
  handsOver: (record: LockRecord) => boolean,
): LockRecord {
  const { holder, queue } = record;
  const left = queue.some((claim) => isOver(claim, record)) ? queue.filter((claim) => !isOver(claim, record)) : queue;
  if (holder !== undefined && isOver(holder, record)) {
    return { ...record, holder: undefined, handedOver: handsOver(record), queue: left };
  }
  return left === queue ? record : { ...record, queue: left };
}

function isNeeded(record: LockRecord): boolean {
  return record.holder !== undefined || record.queue.length > 0;
}

/** At the end of the lock's queue. A lock that nobody has or wants is not in the table. */
export function enqueue(table: LockTable, name: string, claim: Claim): LockTable {
  const known = table.locks.some((record) => record.name === name);
  if (!known) {
    const record: LockRecord = { name, holder: undefined, fence: 0n, handedOver: false, queue: [claim] };
    return { ...table, locks: [...table.locks, record] };
  }
  const append = (record: LockRecord) => ({ ...record, queue: [...record.queue, claim] });
  return { ...table, locks: table.locks.map((record) => (record.name === name ? append(record) : record)) };
}

/** Every lock without a holder goes to the first in its queue. */
export function grant(table: LockTable, at: Situation): LockTable {
  if (!at.quorate || !at.confirmed || !hasUngranted(table)) return table;
  let { top } = table;
  const locks = table.locks.map((record) => {
    const [next, ...queue] = record.queue;
    if (record.holder !== undefined || next === undefined) return record;
    top = nextFence({ ...table, top }, at);
    return { ...record, holder: next, fence: top, queue };
  });
  return { ...table, top, locks };
}

/** Somebody waits for a lock that nobody holds. */
export function hasUngranted(table: LockTable): boolean {
  return table.locks.some(({ holder }) => holder === undefined);
}

export function isSameClaim(a: Claim, b: Claim): boolean {
  return a.node === b.node && a.request === b.request && a.incarnation === b.incarnation;
}
