// Who shall own which VIP, and why: pure functions over VIP records (the patent's Table 1). Called by VipModule only
// while its node holds the token.

/** 0 free; 1 sticks to its current host, and to the one it fails over to; 3 sticks to its preferred host and returns to it. */
export type Persistence = 0 | 1 | 3;

/** A virtual address, and what is wished for it. */
export interface VipConfig<Segment extends string = string> {
  /** IPv4, or IPv6 in the spelling of RFC 5952: two spellings would be two VIPs. */
  readonly address: string;
  readonly segment: Segment;
  /** A nodeId, or 0 for none. */
  readonly preferredHost: number;
  readonly persistence: Persistence;
}

/** A VIP as it travels on the token. */
export interface VipRecord extends VipConfig {
  /** A nodeId, or 0 while it has no owner. */
  readonly currentHost: number;
  /** Grows at every change of owner. */
  readonly version: number;
  /** How long a new owner waits, from its first sight of this version, before it answers. */
  readonly wait_ms: number;
}

/** What the holder of the token knows when it decides. */
export interface Situation {
  readonly self: number;
  readonly members: ReadonlySet<number>;
  /** Those that may own VIPs. */
  readonly ready: ReadonlySet<number>;
  /** Members that failed or lost their state, and how long their leases may still run. */
  readonly removed: ReadonlyMap<number, number>;
  /** Nodes that will be back, whose data plane answers and steers meanwhile, and for how long it may. */
  readonly absent: ReadonlyMap<number, number>;
  /** Of these, whose next process is a ready member already: it answers in this group or not at all. */
  readonly returning: ReadonlySet<number>;
  readonly leaving: boolean;
  /** Whether this group may serve at all. */
  readonly quorate: boolean;
  /** L: for an owner of whom nothing is known. */
  readonly lease_ms: number;
  /** How long this node itself still has to wait before it answers for a VIP of its own. */
  readonly ownWait_ms: (record: VipRecord) => number;
}

/** A live owner that stops answering before it passes the token on needs no more than this. */
export const MOVE_GUARD_MS = 5;

/** All rules in their order. */
export function decide(records: readonly VipRecord[], at: Situation): VipRecord[] {
  if (!at.quorate) return records.map((record) => renounce(record, at));
  const orphaned = records.map((record) => release(record, at));
  const assigned = assignOrphans(orphaned, at);
  // What is an absent node's stays so: its data plane goes on by what it had.
  if (at.leaving || at.absent.has(at.self)) return assigned;
  const returned = assigned.map((record) => followPreference(record, at));
  return spread(returned, at);
}

/** Takes VIPs from hosts that are gone (or from ourselves, if we leave), and forgets wishes for hosts that failed. */
export function release(record: VipRecord, at: Situation): VipRecord {
  const settled = forgetFailedWish(record, at);
  const { currentHost } = settled;
  if (currentHost === 0 || at.absent.has(currentHost)) return settled;
  const lease_ms = at.removed.get(currentHost);
  if (lease_ms !== undefined) return orphan(settled, lease_ms);
  if (at.leaving && currentHost === at.self) return orphan(settled, moveWait_ms(settled, at));
  return at.members.has(currentHost) ? settled : orphan(settled, at.lease_ms);
}

/**
 * A group without quorum owns nothing. Should it become quorate, another group may have been so until a moment ago, with owners whose leases
 * still run: for no longer than L, since a member of it, through whom each renewal went, is now here. So every VIP waits for that. An absent node
 * goes on by what all had agreed on, in any group.
 */
function renounce(record: VipRecord, at: Situation): VipRecord {
  const settled = forgetFailedWish(record, at);
  const { currentHost } = settled;
  return at.absent.has(currentHost) && !at.returning.has(currentHost) ? settled : orphan(settled, at.lease_ms);
}

function orphan(record: VipRecord, wait_ms: number): VipRecord {
  return { ...record, currentHost: 0, wait_ms: Math.max(record.wait_ms, wait_ms, 0) };
}

function forgetFailedWish(record: VipRecord, at: Situation): VipRecord {
  const { persistence, preferredHost, currentHost } = record;
  if (persistence === 3 || !at.removed.has(preferredHost)) return record;
  // A flag 1 VIP sticks to the host it has; if that is the one that failed, fail-over sets the new one.
  return { ...record, preferredHost: persistence === 0 || currentHost === preferredHost ? 0 : currentHost };
}

/** Every VIP without an owner goes to its preferred host, or else to the ready member with the fewest of its segment. */
export function assignOrphans(records: readonly VipRecord[], at: Situation): VipRecord[] {
  const result = [...records];
  for (const [index, record] of result.entries()) {
    if (record.currentHost !== 0) continue;
    const host = mayTake(record.preferredHost, at) ? record.preferredHost : leastLoaded(result, record.segment, at);
    if (host !== undefined) result[index] = settle(record, host);
  }
  return result;
}

/** Gives an orphan a host, and makes the preference follow where the flag says so. */
function settle(record: VipRecord, host: number): VipRecord {
  const isFailOver = record.version > 0;
  return {
    ...record,
    currentHost: host,
    version: nextVersion(record),
    preferredHost: preferenceAt(record, host, isFailOver),
  };
}

function preferenceAt(record: VipRecord, host: number, isFailOver: boolean): number {
  switch (record.persistence) {
    case 0:
      return record.preferredHost === host ? 0 : record.preferredHost;
    case 1:
      return isFailOver || record.preferredHost === 0 ? host : record.preferredHost;
    case 3:
      return record.preferredHost === 0 ? host : record.preferredHost;
    default:
      return record.persistence satisfies never;
  }
}

/** The owner hands a VIP to the host it prefers, as soon as that one is ready. For flag 0 the wish is then fulfilled. */
export function followPreference(record: VipRecord, at: Situation): VipRecord {
  const { currentHost, preferredHost, persistence } = record;
  if (currentHost !== at.self) return record;
  if (preferredHost === at.self) return persistence === 0 ? { ...record, preferredHost: 0 } : record;
  if (preferredHost === 0) return persistence === 0 ? record : { ...record, preferredHost: at.self };
  return mayTake(preferredHost, at) ? give(record, preferredHost, at) : record;
}

/** An owner with two more VIPs of a segment than somebody else gives that one a free VIP, one per visit and segment. */
export function spread(records: readonly VipRecord[], at: Situation): VipRecord[] {
  const result = [...records];
  for (const segment of new Set(records.map((record) => record.segment))) {
    const host = leastLoaded(result, segment, at);
    if (host === undefined || load(result, segment, at.self) < load(result, segment, host) + 2) continue;
    const index = result.reduce((last, record, i) => (isFree(record, segment, at.self) ? i : last), -1);
    const record = result[index];
    if (record !== undefined) result[index] = give(record, host, at);
  }
  return result;
}

function isFree(record: VipRecord, segment: string, owner: number): boolean {
  const { persistence, preferredHost, currentHost } = record;
  return record.segment === segment && currentHost === owner && persistence === 0 && preferredHost === 0;
}

/** An absent node's data plane would not hear of it. */
function mayTake(nodeId: number, at: Situation): boolean {
  return at.ready.has(nodeId) && !at.absent.has(nodeId);
}

/** A live owner hands over: it stops answering at once, so the new one waits only for what it had to wait for itself. */
function give(record: VipRecord, host: number, at: Situation): VipRecord {
  const preferredHost = record.persistence === 0 ? 0 : record.preferredHost;
  return {
    ...record,
    currentHost: host,
    preferredHost,
    version: nextVersion(record),
    wait_ms: moveWait_ms(record, at),
  };
}

function moveWait_ms(record: VipRecord, at: Situation): number {
  return Math.max(MOVE_GUARD_MS, at.ownWait_ms(record));
}

function nextVersion(record: VipRecord): number {
  return (record.version + 1) >>> 0;
}

function load(records: readonly VipRecord[], segment: string, nodeId: number): number {
  return records.filter((record) => record.segment === segment && record.currentHost === nodeId).length;
}

/** The ready member with the fewest VIPs of the segment; of several, the one with the fewest in all, then the lowest. */
function leastLoaded(records: readonly VipRecord[], segment: string, at: Situation): number | undefined {
  const takers = [...at.ready].filter((nodeId) => mayTake(nodeId, at));
  const candidates = takers.map((nodeId) => ({
    nodeId,
    inSegment: load(records, segment, nodeId),
    inAll: records.filter((record) => record.currentHost === nodeId).length,
  }));
  candidates.sort((a, b) => a.inSegment - b.inSegment || a.inAll - b.inAll || a.nodeId - b.nodeId);
  return candidates[0]?.nodeId;
}
