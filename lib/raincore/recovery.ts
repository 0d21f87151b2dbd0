// The 911 of a member that misses the token (the patent's figure 9, boxes 901 to 908), asked of every other member
// directly instead of round the ring: the same outcome in one round trip. Whoever has the newest copy, and hears from
// nobody that the token is alive, makes it again in a new view. Driven by Raincore.
import type { Beacons } from "./beacons.js";
import type { Core } from "./core.js";
import { Delivery, fixedGap, type Schedule } from "./delivery.js";
import type { AnswerMessage, CallMessage, Verdict } from "./messages.js";
import { encode } from "./messages.js";
import type { Ring } from "./ring.js";
import { roundWithoutRest_ms } from "./timers.js";
import {
  compareGroups,
  compareTokens,
  findMember,
  groupOf,
  nextSeq,
  type Token,
  type TokenId,
  withoutMembers,
} from "./token.js";
import type { Transport } from "./transport/transport.js";
import type { Removed } from "./types.js";

/**
 * Once the token is late, a member looks so often whether it was stopped: its own call may be put off by what it has said or heard, and a hand-over to it fail
 * before that is due. Late is what has not come so long after this node passed it on: a rest, and a round without.
 */
const LISTEN_UNITS = 1;
const LATE_UNITS = 5.5;
/** A call that comes shortly before a hand-over to its sender fails is heard before that. */
const SIGHT_UNITS = 0.25;

/** One round of asking everybody. */
interface Round {
  readonly number: number;
  readonly copy: Token;
  readonly started_ms: number;
  /** Who has not answered since then says nothing: later than the start, where this node was stopped meanwhile. */
  asked_ms: number;
  /** So much time it was given for that. */
  madeUp_ms: number;
  readonly waiting: Set<number>;
  /** When each answered, on its own clock. */
  readonly granted: Map<number, number>;
  /** In no group. */
  readonly absent: Set<number>;
  readonly silent: Set<number>;
  /** Members of another, weaker group. */
  readonly diverged: Set<number>;
}

interface Grant {
  readonly to: number;
  readonly copy: TokenId;
  readonly until_ms: number;
}

export class Recovery {
  readonly #core: Core;
  readonly #ring: Ring;
  readonly #beacons: Beacons;
  readonly #delivery: Delivery;
  readonly #schedule: Schedule;
  /** A node that woke late has no lease to save; those it asks may have been stopped as well. */
  readonly #patientSchedule: Schedule;
  /** Of a call for a suspicion: that came early, so a slow member is given the time that it would have had without. */
  readonly #earlySchedule: Schedule;
  #round: Round | undefined;
  #roundNumber = 0;
  #nextCall_ms = Number.POSITIVE_INFINITY;
  #listen_ms = Number.POSITIVE_INFINITY;
  #grant: Grant | undefined;
  #deniedInDoubt = false;

  constructor(core: Core, transport: Transport, ring: Ring, beacons: Beacons) {
    this.#core = core;
    this.#ring = ring;
    this.#beacons = beacons;
    const gap = fixedGap(core.timers.unit_ms);
    this.#schedule = { gap, fail_ms: core.timers.callFail_ms, everyPath: true };
    this.#earlySchedule = { gap, fail_ms: core.timers.handOverFail_ms, everyPath: true };
    this.#patientSchedule = { gap, fail_ms: core.timers.distrust_ms, everyPath: true };
    this.#delivery = new Delivery(
      {
        transmit: (to, path, bytes) => core.transmit(to, path, bytes),
        probe: (to) => core.probe(to),
        onResend: () => core.count("call_resent"),
      },
      transport,
    );
  }

  /** That member's process may have ended, with the token: it is called for as soon as a round without rest would have brought it. */
  suspect(nodeId: number): void {
    const { now_ms, timers, copy } = this.#core;
    const round_ms = roundWithoutRest_ms(copy?.members.length ?? 0);
    const call_ms = now_ms + timers.unit_ms + round_ms + this.#core.jitter(timers.callSpread_ms);
    this.#nextCall_ms = Math.min(this.#nextCall_ms, call_ms);
    this.#delivery.suspect(now_ms, nodeId);
  }

  refused(to: number, path: number): void {
    this.#delivery.refused(this.#core.now_ms, to, path);
  }

  get #active(): boolean {
    return this.#core.state === "member" && !this.#ring.busy;
  }

  get deadline_ms(): number {
    if (!this.#active) return Number.POSITIVE_INFINITY;
    return this.#round === undefined ? Math.min(this.#nextCall_ms, this.#listen_ms) : this.#delivery.deadline_ms;
  }

  /** The token is not missing (any more). */
  tokenSeen(): void {
    const { timers, now_ms } = this.#core;
    this.#abort(now_ms + timers.callAfter_ms + this.#core.jitter(timers.callSpread_ms));
    this.#listen();
  }

  /** Until a quiet hand-over was answered, nothing was due: a call that would have been is due now. */
  quietOver(): void {
    this.#nextCall_ms = Math.max(this.#nextCall_ms, this.#core.now_ms);
    this.#listen();
  }

  /** The token that went on quietly has not come round: it may be anywhere by now, and others may miss it who had it later. `gone` is not asked. */
  quietFailed(gone: number | undefined): void {
    this.#abort(this.#core.now_ms);
    this.#call(gone);
  }

  /** This node woke late: who has the token is to be found out at once. */
  callNow(): void {
    this.#deniedInDoubt = false;
    this.#abort(this.#core.now_ms);
  }

  /** Membership is lost: answers that are still on their way are about a view that is over. */
  reset(): void {
    this.#abort(Number.POSITIVE_INFINITY);
    this.#grant = undefined;
  }

  tick(): void {
    if (!this.#active) return;
    if (this.#round === undefined) {
      if (this.#core.now_ms >= this.#nextCall_ms) this.#call();
      else if (this.#core.now_ms >= this.#listen_ms) this.#listen();
      return;
    }
    const { now_ms, timers } = this.#core;
    const late_ms = now_ms - this.#delivery.deadline_ms;
    const round = this.#round;
    if (late_ms > timers.unit_ms && round.madeUp_ms <= timers.distrust_ms) {
      // This process was stopped itself: that nothing was heard says nothing, for the answers may lie in the socket. It reads that before the next unit is over.
      this.#core.count("call_again");
      round.asked_ms = now_ms;
      round.madeUp_ms += late_ms + timers.unit_ms;
      this.#delivery.makeUpFor(late_ms + timers.unit_ms, now_ms);
    }
    for (const { to } of this.#delivery.tick(now_ms)) {
      round.waiting.delete(to);
      round.silent.add(to);
    }
    this.#finishIfAnswered();
  }

  onCall(from: number, path: number, call: CallMessage): void {
    const core = this.#core;
    this.#ring.trouble();
    const verdict = this.#verdictOn(from, call);
    core.count(`call_answered_${verdict}`);
    if (verdict === "grant") this.#giveWay(from, call);
    core.reply(from, path, {
      type: "answer",
      round: call.round,
      verdict,
      epoch: core.greatestEpoch,
      answered_ms: core.now_ms,
      group: core.group,
    });
  }

  onAnswer(from: number, path: number, answer: AnswerMessage): void {
    const core = this.#core;
    const round = this.#round;
    if (round === undefined || answer.round !== round.number || !round.waiting.has(from)) {
      core.count("answer_stale");
      return;
    }
    core.see(answer.epoch);
    this.#delivery.settle(core.now_ms, from, path);
    round.waiting.delete(from);
    switch (answer.verdict) {
      case "grant":
        round.granted.set(from, answer.answered_ms);
        break;
      case "absent":
        round.absent.add(from);
        break;
      case "diverged":
      case "removed":
        core.count(`call_${answer.verdict}`);
        core.forked();
        // Whoever woke late has no lease: the other group may have waited that out and answer for our VIPs by now.
        if (core.doubting || compareGroups(groupOf(round.copy), answer.group) <= 0) {
          this.#lose(answer.verdict);
          return;
        }
        round.diverged.add(from);
        this.#beacons.meet(from);
        break;
      case "deny":
        this.#denied();
        return;
      default:
        answer.verdict satisfies never;
    }
    this.#finishIfAnswered();
  }

  /** The token is alive. A node in doubt cannot take it up again where it was: it asks once more, then begins anew. */
  #denied(): void {
    const core = this.#core;
    core.count("call_denied");
    if (!core.doubting) {
      this.#abort(core.now_ms + core.timers.callRetry_ms + core.jitter(core.timers.unit_ms));
      this.#listen();
    } else if (this.#deniedInDoubt) {
      this.#lose("woke_late");
    } else {
      this.#deniedInDoubt = true;
      this.#abort(core.now_ms + core.timers.unit_ms + core.jitter(core.timers.unit_ms));
    }
  }

  #lose(reason: string): void {
    this.#abort(Number.POSITIVE_INFINITY);
    this.#core.onLost(reason);
  }

  #abort(nextCall_ms: number): void {
    this.#round = undefined;
    this.#delivery.clear(this.#core.now_ms);
    this.#nextCall_ms = nextCall_ms;
    this.#listen_ms = Number.POSITIVE_INFINITY;
  }

  #listen(): void {
    const { now_ms, timers } = this.#core;
    const late_ms = this.#ring.passed_ms + LATE_UNITS * timers.unit_ms;
    this.#listen_ms = Math.max(late_ms, now_ms + LISTEN_UNITS * timers.unit_ms);
  }

  #call(gone?: number): void {
    const core = this.#core;
    const copy = core.copy;
    if (copy === undefined) return;
    const others = copy.members.map((member) => member.nodeId).filter((nodeId) => nodeId !== core.self);
    const mayAnswer = (nodeId: number) => core.isPeer(nodeId) && nodeId !== gone;
    const waiting = new Set(others.filter(mayAnswer));
    this.#roundNumber = (this.#roundNumber + 1) >>> 0;
    this.#round = {
      number: this.#roundNumber,
      copy,
      started_ms: core.now_ms,
      asked_ms: core.now_ms,
      madeUp_ms: 0,
      waiting,
      granted: new Map(),
      absent: new Set(),
      silent: new Set(others.filter((nodeId) => !mayAnswer(nodeId))),
      diverged: new Set(),
    };
    this.#ring.trouble();
    core.count("call_started");
    core.log("info", "ring_token_missing", { epoch: copy.epoch, seq: copy.seq });
    const usual = others.some((nodeId) => core.isSuspect(nodeId)) ? this.#earlySchedule : this.#schedule;
    const schedule = core.doubting ? this.#patientSchedule : usual;
    for (const nodeId of waiting) {
      const passed_ms = findMember(copy, nodeId)?.passed_ms;
      const bytes = encode({ type: "call", round: this.#roundNumber, copy: core.newest, passed_ms });
      this.#delivery.start(core.now_ms, nodeId, bytes, schedule, core.isSuspect(nodeId));
    }
    this.#finishIfAnswered();
  }

  #verdictOn(from: number, call: CallMessage): Verdict {
    const verdict = this.#judge(from, call);
    if (verdict !== "diverged" || !this.#ring.isLineDoubtful) return verdict;
    // Our own line may have no token any more: that must not cost the others their group.
    this.#core.onLost("diverged");
    return "absent";
  }

  #judge(from: number, call: CallMessage): Verdict {
    const core = this.#core;
    if (core.state !== "member") return "absent";
    const refusal: Verdict = core.isListed(from) ? "deny" : "removed";
    const order = compareTokens(call.copy, core.newest);
    if (order > 0 && this.#ring.isDivergent(call.passed_ms)) return "diverged";
    // A copy that descends from the token we are handing over: it arrived, and was lost later.
    if (this.#ring.busy) return order > 0 ? "grant" : refusal;
    if (order < 0) return refusal;
    if (order === 0 && this.#round !== undefined && core.self < from) return "deny";
    return this.#isPromisedToBetter(from, call.copy) ? "deny" : "grant";
  }

  #isPromisedToBetter(from: number, copy: TokenId): boolean {
    const grant = this.#grant;
    if (grant === undefined || grant.to === from || this.#core.now_ms >= grant.until_ms) return false;
    const order = compareTokens(grant.copy, copy);
    return order > 0 || (order === 0 && grant.to < from);
  }

  /** Somebody else makes the token again; this node does not. */
  #giveWay(to: number, call: CallMessage): void {
    if (this.#ring.busy) this.#ring.drop();
    this.tokenSeen();
    // The token that the other makes may get lost, and it has a lease by it.
    this.#ring.reckonFromNow();
    // Longer than its call may take, and no longer than this node's own is put off: by then its token has come.
    this.#grant = { to, copy: call.copy, until_ms: this.#core.now_ms + this.#core.timers.callAfter_ms };
  }

  #finishIfAnswered(): void {
    const round = this.#round;
    if (round === undefined || round.waiting.size > 0) return;
    const core = this.#core;
    if (core.overslept && round.silent.size > 0) {
      // Whoever is silent may have made a group of its own while this node was stopped, and answer for our VIPs.
      this.#lose("overslept");
      return;
    }
    const gone = new Set([...round.silent, ...round.absent, ...round.diverged]);
    const mayBeGivenUp = core.lateness.mayBeGivenUp || this.#isOutOfSight(round);
    const removed = this.#removedIn(round);
    for (const { leaseEnd_ms } of removed) core.outlive(leaseEnd_ms, mayBeGivenUp);
    const view = withoutMembers(round.copy, gone, core.newView());
    const members = view.members.map((member) => ({
      ...member,
      passed_ms: member.nodeId === core.self ? this.#evidenceOf(round) : round.granted.get(member.nodeId),
    }));
    core.count("token_regenerated");
    core.log("info", "ring_token_regenerated", { epoch: view.epoch, removed: [...gone] });
    this.#ring.install({ ...view, members, seq: nextSeq(round.copy.seq), rested_ms: 0 }, removed);
    this.#beacons.tell([...gone]);
  }

  /**
   * What this node's own lease is reckoned from. A call gives it one if all have answered. Whoever is silent may have asked the same members by an older copy, been
   * granted it as well, and take this node out with the lease that it has now: it keeps that one, until the token has been round.
   */
  #evidenceOf({ silent, started_ms }: Round): number {
    const { leaseUntil_ms, timers } = this.#core;
    return silent.size > 0 ? leaseUntil_ms - timers.leaseOwn_ms : started_ms;
  }

  /** It asked so long after it had passed the token on that a hand-over to it may have failed before, though it was never late: its call was put off. */
  #isOutOfSight({ started_ms }: Round): boolean {
    const { handOverFail_ms, unit_ms } = this.#core.timers;
    return started_ms - this.#ring.passed_ms >= handOverFail_ms - SIGHT_UNITS * unit_ms;
  }

  /**
   * If one member alone is gone, nothing newer than our copy can have renewed its lease: that is as if it had not taken the token from us. Several that are gone may have passed the token among themselves: full leases from now. If it may have made a token
   * of its own, alone or with those of the other group: from the call that it did not answer.
   */
  #removedIn(round: Round): Removed[] {
    const core = this.#core;
    const lost = [...round.silent, ...round.absent];
    const mayHaveForked = this.#ring.mayHaveForked || round.diverged.size > 0 || this.#isOutOfSight(round);
    const leaseEnd_ms = (nodeId: number) => {
      if (lost.length > 1) return core.now_ms + core.timers.lease_ms;
      return mayHaveForked ? round.asked_ms + core.timers.lease_ms : this.#ring.leaseEndOfDead(round.copy, nodeId);
    };
    return [
      ...lost.map((nodeId) => ({ nodeId, leaseEnd_ms: leaseEnd_ms(nodeId) })),
      ...[...round.diverged].map((nodeId) => ({ nodeId, leaseEnd_ms: core.now_ms + core.timers.lease_ms })),
    ];
  }
}
