// Coming into the group: as a node that asks (the patent's figure 8) and, when nobody answers, forms one alone; and as a
// member that remembers who asked until it holds the token. Driven by Raincore.
import type { Core } from "./core.js";
import type { Asker, JoinMessage } from "./messages.js";
import { findMember, MEMBERS_MAX, type MemberRecord, type Token } from "./token.js";

const STARTUP_WAIT_MS = 1500;
/** A joiner looks so often whether it was stopped: what came meanwhile may be lost, or lie in its socket. */
const LISTEN_UNITS = 1.5;
/** Longer between two looks, it was. */
const MISSED_UNITS = 3;
/**
 * One that asks is heard again after so many intervals, for one wish may be lost; longer silent, it asks no more. It may have formed a group before it would have
 * asked again.
 */
const ASKING_INTERVALS = 2;
/**
 * A living joiner repeats its wish each interval. One whose process ended after it asked must not be put in by one member after the other, each
 * of which had heard it: this is less than its first hand-over takes to fail.
 */
const FULFILL_INTERVALS = 1.25;
/**
 * A node that can be heard but not be given the token must not keep the others from a view that is confirmed. After it has failed to take it, it is
 * put in no more for two leases, twice as long after each further time, up to eight, or as long as leaves the ring a rest if all members try it in turn.
 */
const RETRY_LEASES = 2;
const RETRY_LEASES_MAX = 8;
const RETRY_HAND_OVERS_MAX = 4;
/** A joiner with a lower nodeId that never forms a group is waited for this many startup waits at most, once this node's own wait is over. */
const PATIENCE = 2;

interface Wish {
  readonly message: JoinMessage;
  readonly heard_ms: number;
  /** It was heard before this node could not hear, or of what lay in the socket then: it may have asked no more since. */
  isDated: boolean;
  /** It may have had no group until then. */
  doubtedFrom_ms: number;
}

/** A joiner that did not take the token. */
interface Failure {
  readonly life: Life;
  readonly wait_ms: number;
  readonly until_ms: number;
}

export class Joining {
  readonly #core: Core;
  readonly #onForm: (token: Token) => void;
  readonly #startupWait_ms: number;
  readonly #asking_ms: number;
  /** Silent for so long, an asker can have no lease. */
  readonly #gone_ms: number;
  readonly #fulfill_ms: number;
  readonly #wishes = new Map<number, Wish>();
  readonly #failures = new Map<number, Failure>();
  #patienceEnd_ms = 0;
  #nextJoin_ms = Number.POSITIVE_INFINITY;
  #listened_ms = 0;
  /** When this node could hear again, since it began to ask: what was said to it before does not name this attempt. */
  #heardAgain_ms = Number.NEGATIVE_INFINITY;
  #formAt_ms = Number.POSITIVE_INFINITY;
  /** Since this node asked last. */
  #isGroupHeard = false;
  /** Since it began to ask: some that asked may have a group by now, and what they said before may still be on its way. */
  #wasGroupHeard = false;

  constructor(core: Core, onForm: (token: Token) => void) {
    this.#core = core;
    this.#onForm = onForm;
    // Whoever had a lease when we asked must have lost it, or have been heard, before we form a group.
    this.#startupWait_ms = Math.max(core.config.startupWait_ms ?? STARTUP_WAIT_MS, core.timers.startupWaitMin_ms);
    const { joinInterval_ms, unit_ms, lease_ms } = core.timers;
    this.#asking_ms = ASKING_INTERVALS * joinInterval_ms + unit_ms;
    this.#gone_ms = this.#asking_ms + lease_ms;
    this.#fulfill_ms = FULFILL_INTERVALS * core.timers.joinInterval_ms;
  }

  get deadline_ms(): number {
    if (this.#core.state !== "joining") return Number.POSITIVE_INFINITY;
    const listen_ms = this.#listened_ms + LISTEN_UNITS * this.#core.timers.unit_ms;
    return Math.min(this.#nextJoin_ms, this.#formAt_ms, listen_ms);
  }

  /** Begins (again) to ask for a place. */
  start(): void {
    const core = this.#core;
    core.session += 1;
    this.#wishes.clear();
    this.#formAt_ms = 0;
    this.#listened_ms = core.now_ms;
    this.#heardAgain_ms = Number.NEGATIVE_INFINITY;
    this.#waitUntil(core.now_ms + this.#startupWait_ms);
    this.#isGroupHeard = false;
    this.#wasGroupHeard = false;
    this.#ask();
  }

  /**
   * Called much later than asked for: what was heard before that says nothing, nor what lay in the sockets meanwhile. Others may have formed a
   * group, so its leases are waited for; no longer than that, or nodes that are stopped again and again would never form one.
   */
  distrust(): void {
    const { now_ms, timers } = this.#core;
    this.#core.session += 1;
    this.#wishes.clear();
    this.#listened_ms = now_ms;
    this.#heardAgain_ms = Number.NEGATIVE_INFINITY;
    this.#ask();
    this.#waitUntil(now_ms + timers.startupWaitMin_ms);
  }

  tick(): void {
    const { state, now_ms } = this.#core;
    if (state !== "joining") return;
    this.#listen();
    if (now_ms >= this.#nextJoin_ms) this.#ask();
    if (now_ms >= this.#formAt_ms) this.#formUnlessOthersDo();
  }

  /** A member of some group was heard: there is one, so none is to be formed. */
  groupHeard(): void {
    if (this.#core.state !== "joining") return;
    this.#listen();
    this.#isGroupHeard = true;
    this.#wasGroupHeard = true;
    this.#waitOn();
  }

  /** Nobody has asked to come in. */
  get isQuiet(): boolean {
    return this.#wishes.size === 0;
  }

  /** True: it is a new wish that the holder of the token can fulfil. */
  onJoin(from: number, message: JoinMessage): boolean {
    const core = this.#core;
    core.see(message.epoch);
    if (core.copy !== undefined && isAnswered(core.copy, from, message)) {
      core.count("join_stale");
      return false;
    }
    if (core.state === "joining") this.#listen();
    const known = this.#wishes.get(from)?.message;
    if (known !== undefined && isLate(message, known)) return false;
    core.count("join_heard");
    const heard_ms = core.now_ms;
    // What lay in its socket is read before the next unit is over.
    const isDated = core.state === "joining" && heard_ms <= this.#heardAgain_ms + core.timers.unit_ms;
    this.#wishes.set(from, { message, heard_ms, isDated, doubtedFrom_ms: heard_ms });
    if (core.state === "joining") this.#onOtherAsks(from, known === undefined || isNews(message, known));
    return true;
  }

  /** This node put it in, and it did not take the token. */
  failed({ nodeId, incarnation, session }: MemberRecord): void {
    const { now_ms, timers, copy } = this.#core;
    const waitMax_ms = Math.max(
      RETRY_LEASES_MAX * timers.lease_ms,
      RETRY_HAND_OVERS_MAX * (copy?.members.length ?? 0) * timers.handOverFail_ms,
    );
    const before_ms = this.#failures.get(nodeId)?.wait_ms ?? 0;
    const wait_ms = Math.min(waitMax_ms, Math.max(2 * before_ms, RETRY_LEASES * timers.lease_ms));
    this.#failures.set(nodeId, { life: { incarnation, session }, wait_ms, until_ms: now_ms + wait_ms });
  }

  /** The members to put in now; each is given out once. */
  takeJoiners(token: Token): MemberRecord[] {
    const core = this.#core;
    const joiners: MemberRecord[] = [];
    for (const { nodeId, passed_ms } of token.members) if (passed_ms !== undefined) this.#failures.delete(nodeId);
    for (const [nodeId, { message, heard_ms }] of this.#wishes) {
      const isFresh = heard_ms + this.#fulfill_ms >= core.now_ms;
      if (!isFresh || isAnswered(token, nodeId, message) || this.#hasFailed(nodeId, message)) continue;
      const { incarnation, session } = message;
      if (token.members.length + joiners.length >= MEMBERS_MAX) break;
      joiners.push({ nodeId, incarnation, session, ready: false, passed_ms: undefined });
    }
    this.#wishes.clear();
    return joiners;
  }

  #hasFailed(nodeId: number, wish: JoinMessage): boolean {
    const failure = this.#failures.get(nodeId);
    return failure !== undefined && this.#core.now_ms < failure.until_ms && !isNews(wish, failure.life);
  }

  #waitOn(): void {
    this.#waitUntil(this.#core.now_ms + this.#startupWait_ms);
  }

  /** One with a lower nodeId began its own wait before this one is over: then its group is formed, or another wait later it never will be. */
  #waitUntil(until_ms: number): void {
    this.#formAt_ms = Math.max(this.#formAt_ms, until_ms);
    this.#patienceEnd_ms = this.#formAt_ms + PATIENCE * this.#startupWait_ms;
  }

  /** Time in which nothing was heard does not count as time without a group. */
  #listen(): void {
    const { now_ms, timers } = this.#core;
    const gap_ms = now_ms - this.#listened_ms;
    const since_ms = this.#listened_ms;
    this.#listened_ms = now_ms;
    if (gap_ms <= MISSED_UNITS * timers.unit_ms) return;
    const until_ms = Math.min(this.#formAt_ms + gap_ms, now_ms + timers.startupWaitMin_ms);
    this.#formAt_ms = Math.max(this.#formAt_ms, until_ms);
    this.#patienceEnd_ms += gap_ms;
    this.#heardAgain_ms = now_ms;
    for (const wish of this.#wishes.values()) {
      wish.isDated = true;
      // No longer than that, or one that has died would be waited for as long as this node is stopped again and again.
      if (wish.heard_ms + this.#gone_ms >= since_ms) wish.doubtedFrom_ms = now_ms;
    }
  }

  #ask(): void {
    const core = this.#core;
    // Its leases may be renewed until it leaves a question unanswered: this is the first that it may.
    if (this.#isGroupHeard) this.#waitOn();
    this.#isGroupHeard = false;
    for (const peer of core.peerIds) this.#askOne(peer);
    this.#nextJoin_ms = core.now_ms + core.timers.joinInterval_ms;
  }

  /** Each is told only whether it was heard itself: in a large cluster that starts, all of them ask all. */
  #askOne(peer: number): void {
    const core = this.#core;
    const { incarnation } = core.config;
    const { session, greatestEpoch: epoch } = core;
    core.sendOnEveryPath(peer, { type: "join", incarnation, session, epoch, heard: this.#heardOf(peer) });
  }

  /** Of all that ask, the one with the lowest nodeId forms the group; one that asks no more may have formed one. */
  #formUnlessOthersDo(): void {
    const { self, now_ms, timers } = this.#core;
    const isLowerWaitedFor = now_ms < this.#patienceEnd_ms;
    for (const [nodeId, wish] of this.#wishes) {
      const isWaitedFor = this.#asks(wish)
        ? nodeId < self && isLowerWaitedFor
        : now_ms < wish.doubtedFrom_ms + this.#gone_ms;
      if (!isWaitedFor) continue;
      this.#formAt_ms = now_ms + timers.joinInterval_ms;
      return;
    }
    this.#form();
  }

  #asks({ heard_ms, isDated }: Wish): boolean {
    return !isDated && this.#core.now_ms <= heard_ms + this.#asking_ms;
  }

  #onOtherAsks(from: number, isNews: boolean): void {
    if (this.#isEverybodyHere()) this.#form();
    else if (isNews) this.#askOne(from); // so that it knows that we know
  }

  /**
   * All configured nodes ask, so none of them has a lease and no group is left to be found: the lowest need not wait. Only an asker that has
   * heard of our own attempt counts: a message that lay in the socket while this process was stopped says nothing of now.
   */
  #isEverybodyHere(): boolean {
    const core = this.#core;
    if (this.#wasGroupHeard) return false;
    let count = 0;
    for (const nodeId of core.peerIds) {
      if (nodeId < core.self || !this.#hasHeardUs(nodeId)) return false;
      count += 1;
    }
    return count > 0;
  }

  #hasHeardUs(nodeId: number): boolean {
    const { self, session, config } = this.#core;
    const wish = this.#wishes.get(nodeId);
    if (wish === undefined || !this.#asks(wish)) return false;
    return wish.message.heard.some(
      (asker) => asker.nodeId === self && asker.session === session && asker.incarnation === config.incarnation,
    );
  }

  #heardOf(nodeId: number): Asker[] {
    const wish = this.#wishes.get(nodeId);
    if (wish === undefined || wish.heard_ms + this.#gone_ms < this.#core.now_ms) return [];
    const { incarnation, session } = wish.message;
    return [{ nodeId, incarnation, session }];
  }

  #form(): void {
    const core = this.#core;
    core.log("info", "ring_formed", { node: core.self });
    const { incarnation } = core.config;
    const own: MemberRecord = {
      nodeId: core.self,
      incarnation,
      session: core.session,
      ready: false,
      passed_ms: core.now_ms,
    };
    this.#onForm({ ...core.newView(), seq: core.randomSeq(), members: [own], carriages: [], hurry: 0, rested_ms: 0 });
  }
}

/**
 * The member list already has this wish's node, from this wish or a later one. The list comes from others, so of two lives the greater is taken
 * for the later one. Where a clock was set back that is wrong: the wish waits until the former life has refused the token and is out.
 */
function isAnswered(token: Token, nodeId: number, wish: JoinMessage): boolean {
  const record = findMember(token, nodeId);
  if (record === undefined) return false;
  return wish.incarnation === record.incarnation
    ? wish.session <= record.session
    : wish.incarnation < record.incarnation;
}

interface Life {
  readonly incarnation: bigint;
  readonly session: number;
}

/** What was heard just now was said before that. Of another life it never was: the secure channel hears one life at a time, each after the other. */
function isLate(heard: Life, known: Life): boolean {
  return heard.incarnation === known.incarnation && heard.session < known.session;
}

function isNews(heard: Life, known: Life): boolean {
  return heard.incarnation !== known.incarnation || heard.session > known.session;
}
