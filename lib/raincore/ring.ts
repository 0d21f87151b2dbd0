// Holding the token and handing it on (the patent's figure 9, boxes 909 to 920): what happens when a token, an answer to a hand-over or work
// comes, and where the token goes next. The steps themselves are in acceptance.ts, visits.ts, idleRound.ts, possession.ts, leases.ts and
// handOver.ts. Driven by Raincore; recovery.ts asks it whether the token is here.
import { Acceptance } from "./acceptance.js";
import type { Core } from "./core.js";
import { HandOver } from "./handOver.js";
import { type IdleHooks, IdleRound } from "./idleRound.js";
import { leaseEndOfDead, leaseEndOfLiving, renewLease } from "./leases.js";
import type { NackMessage } from "./messages.js";
import { encode } from "./messages.js";
import { Possession } from "./possession.js";
import type { MemberRecord, Token, TokenId, ViewId } from "./token.js";
import { compareViews, findMember, nextSeq, successorOf, withMember, withoutMembers } from "./token.js";
import { TokenCall } from "./tokenCall.js";
import type { Transport } from "./transport/transport.js";
import type { Removed } from "./types.js";
import { type VisitHooks, Visits } from "./visits.js";

/** What the ring asks of its neighbours in the core. */
export interface RingHooks extends IdleHooks, VisitHooks {
  /** The token was seen or sent: it is not missing. */
  readonly tokenSeen: () => void;
  /** These nodes are out of the view; they may be alive. */
  readonly tellRemoved: (nodeIds: readonly number[]) => void;
  readonly closed: () => void;
  /** A quiet hand-over was answered after all. */
  readonly quietOver: () => void;
  /** A quiet one is not answered: it may have gone on from its receiver, whose process has ended if it is `gone`. */
  readonly quietFailed: (gone: number | undefined) => void;
  /** A node was put in, and did not take the token. */
  readonly joinerFailed: (member: MemberRecord) => void;
}

/** Of a member that was taken out: it is in no group, in another one, its process has ended, it does not answer, or it is none of the configured nodes. */
type WhyRemoved = "absent" | "diverged" | "ended" | "silent" | "unknown";

export class Ring {
  readonly #core: Core;
  readonly #hooks: RingHooks;
  readonly #handOver: HandOver;
  readonly #possession: Possession;
  readonly #acceptance: Acceptance;
  readonly #idleRound: IdleRound;
  readonly #visits: Visits;
  readonly #call: TokenCall;
  #holdUntil_ms = Number.POSITIVE_INFINITY;
  /** The last view of this node alone, and since when. */
  #aloneIn: ViewId | undefined;
  #aloneFrom_ms = Number.NEGATIVE_INFINITY;

  constructor(core: Core, transport: Transport, hooks: RingHooks) {
    this.#core = core;
    this.#hooks = hooks;
    this.#handOver = new HandOver(core, transport);
    this.#possession = new Possession(core, this.#handOver, () => hooks.tokenSeen());
    this.#acceptance = new Acceptance(core, this.#possession, this.#handOver);
    this.#idleRound = new IdleRound(core, this.#possession, this.#handOver, this.#acceptance, hooks);
    this.#visits = new Visits(core, this.#possession, hooks);
    this.#call = new TokenCall(core);
  }

  /** Has the token and may change it. */
  get holding(): boolean {
    return this.#possession.holding;
  }

  /** Has the token, or is handing it over and does not know yet that it arrived. */
  get busy(): boolean {
    return this.#possession.busy;
  }

  /** When this node last got the token. */
  get received_ms(): number {
    return this.#possession.received_ms;
  }

  /** When this node last sent the token on. */
  get passed_ms(): number {
    return this.#possession.passed_ms;
  }

  /** Others may have had a token of their own lately. */
  get mayHaveForked(): boolean {
    return this.#possession.mayHaveForked;
  }

  /** When the lease of a member of `token`, this node's newest, has ended for certain, if it alone is gone. */
  leaseEndOfDead(token: Token, nodeId: number): number {
    return leaseEndOfDead(this.#core, this.#possession, token, nodeId);
  }

  /** Whether a token that says when we last sent it comes from a group that went on without us. */
  isDivergent(passed_ms: number | undefined): boolean {
    return this.#possession.isDivergent(passed_ms);
  }

  /** Whether what this node remembers of its group may be true of nobody else. */
  get isLineDoubtful(): boolean {
    return this.#possession.isLineDoubtful;
  }

  get deadline_ms(): number {
    const { holding } = this;
    const own_ms = holding ? this.#holdUntil_ms : this.#mayCall ? this.#call.deadline_ms : Number.POSITIVE_INFINITY;
    return Math.min(own_ms, this.#handOver.deadline_ms);
  }

  onToken(from: number, path: number, token: Token, isQuiet = false): void {
    if (!this.#acceptance.accepts(from, path, token, isQuiet)) return;
    // Its return says that those who are in it have not given this node up, and nothing of those who are not.
    this.#outliveMissing(token);
    this.#returned();
    this.install(token, []);
  }

  /** Another member has taken some out, or has put them in again since they began anew: those may be who has given this node up. */
  #outliveMissing(token: Token): void {
    const { copy, now_ms, timers } = this.#core;
    const isSomebodyOut = copy?.members.some(({ nodeId, incarnation, session }) => {
      const after = findMember(token, nodeId);
      return after?.incarnation !== incarnation || after.session !== session;
    });
    if (isSomebodyOut) this.#core.outlive(now_ms + timers.lease_ms);
  }

  /** Takes the token of an idle round. False: it is something else, or this node has something to do; it is to be decoded and given to `onToken`. */
  takeIdle(from: number, path: number, bytes: Uint8Array): boolean {
    const taken = this.#idleRound.take(from, path, bytes);
    if (taken === undefined) return false;
    this.#returned();
    this.#call.came();
    if (taken.isFirst && this.#call.takeHeard(this.#core.newest)) this.#hurry();
    else this.#hold(taken.isFirst ? this.#restEnd_ms : this.#core.now_ms);
    return true;
  }

  /** A token came from another member. */
  #returned(): void {
    this.#core.lateness.returned(this.#possession.passed_ms);
  }

  /** Takes a token as its holder: received, made at formation, or regenerated after a 911. */
  install(token: Token, removed: readonly Removed[]): void {
    this.#possession.take(token);
    renewLease(this.#core, this.#possession);
    this.#visit(removed);
  }

  refused(to: number, path: number): void {
    this.#handOver.refused(to, path);
  }

  onAck(from: number, path: number, id: TokenId): void {
    if (!this.#handOver.isTo(from, id)) {
      this.#handOver.onStaleAck(from, path, id);
      return;
    }
    this.#handOver.settle(from, path);
    this.#letGo();
  }

  onNack(from: number, path: number, nack: NackMessage): void {
    const core = this.#core;
    if (!this.#handOver.isTo(from, nack.id)) {
      core.count("nack_stale");
      return;
    }
    this.#handOver.trouble();
    const consequence = this.#acceptance.consequenceOf(nack);
    switch (consequence) {
      case "remove_absent":
        this.#handOver.settle(from, path);
        this.#remove([from], "absent");
        break;
      case "remove_living":
        this.#handOver.settle(from, path);
        core.forked();
        this.#possession.reckonFromNow();
        this.#remove([from], "diverged", leaseEndOfLiving(core));
        break;
      case "give_in":
        this.#possession.giveIn();
        break;
      case "lose":
        this.#handOver.settle(from, path);
        this.drop();
        core.onLost("diverged");
        break;
      case "insist":
        core.forked();
        this.#possession.reckonFromNow();
        break;
      case "none":
        break;
      default:
        consequence satisfies never;
    }
  }

  tick(): void {
    for (const { to: failed, isRefused } of this.#handOver.tick()) {
      const { isQuiet } = this.#handOver;
      this.#core.count(isQuiet ? "hand_over_missed" : "hand_over_failed");
      if (isQuiet) {
        this.drop();
        this.#hooks.quietFailed(isRefused ? failed : undefined);
        continue;
      }
      const { token } = this.#possession;
      const joiner = token.members.find(({ nodeId, passed_ms }) => nodeId === failed && passed_ms === undefined);
      if (joiner !== undefined) this.#hooks.joinerFailed(joiner);
      // Others that came in with it may fail as well, one after the other, longer than leases last: they ask again soon.
      const strangers = joiner === undefined ? [] : token.members.filter(({ passed_ms }) => passed_ms === undefined);
      this.#remove(
        strangers.length > 0 ? strangers.map(({ nodeId }) => nodeId) : [failed],
        isRefused ? "ended" : "silent",
      );
    }
    if (this.holding && this.#core.now_ms >= this.#holdUntil_ms) this.#holdIsOver();
    if (!this.holding) this.#call.tick(this.#mayCall);
  }

  /** The token was missed: hand-overs are answered again for a while. */
  trouble(): void {
    this.#handOver.trouble();
  }

  /** A hand-over in parts is through, or is not. */
  partsSettled(to: number, parts: number, delivered: boolean): void {
    this.#handOver.partsSettled(to, parts, delivered);
  }

  /** There is work for the holder: a joiner, a module's, or this node wants to leave. If the token rests elsewhere, it is called for. */
  wake(): void {
    if (this.holding) this.#visit([]);
    else this.#call.want(this.#mayCall);
  }

  /** A member without the token has work: the token goes round without rest. */
  onWake(view: ViewId): void {
    const core = this.#core;
    if (this.holding && compareViews(view, this.#possession.token) === 0) {
      core.count("wake_heard");
      this.#hurry();
    } else {
      core.count(!this.holding && this.#call.heard(view) ? "wake_on_round" : "wake_late");
    }
  }

  /** That member's process may have ended: the token, if it is here, goes to find out. */
  suspect(nodeId: number): void {
    this.#handOver.suspect(nodeId);
    if (this.holding && this.#possession.token.members.length > 1) this.#hurry();
  }

  /** Forgets a held token; another one is, or will be, in force. */
  drop(): void {
    this.#possession.drop();
  }

  /** This node woke late. */
  doubt(): void {
    this.#possession.doubt();
  }

  /** This node woke late, though not so late that it must doubt itself: others may have gone on without it. */
  reckonFromNow(): void {
    this.#possession.reckonFromNow();
  }

  /** Membership is lost. */
  reset(): void {
    this.#possession.reset();
    this.#idleRound.reset();
    this.#acceptance.reset();
    this.#visits.reset();
    this.#call.reset();
  }

  /** Everything that happens with the token in hand, ending with its way on. */
  #visit(removed: readonly Removed[]): void {
    this.#call.came();
    if (this.#core.leaving) {
      this.#visits.depart(removed);
      this.#passOn();
      return;
    }
    this.#visits.stay(removed);
    const isCalledFor = this.#call.takeHeard(this.#possession.token);
    if (isCalledFor) this.#hurry();
    else this.#hold(this.#holdEnd_ms());
  }

  #hold(until_ms: number): void {
    this.#holdUntil_ms = until_ms;
    if (this.#core.now_ms >= until_ms) this.#holdIsOver();
  }

  /**
   * An idle token takes one rotation for its round. It rests at the first member and passes the others without a stop, so that those wake
   * up once a round, and the death of any but the first is noticed by the next round at the latest. Of a node alone it rests always.
   */
  #holdEnd_ms(): number {
    const { now_ms, self } = this.#core;
    const { members, hurry } = this.#possession.token;
    if (members.length === 1) return this.#restEndAlone_ms;
    return hurry > 0 || members[0]?.nodeId !== self ? now_ms : this.#restEnd_ms;
  }

  /** Work that comes while it rests must not put off the next round, which renews the lease; one that ends sooner is renewed in time. */
  get #restEndAlone_ms(): number {
    const { now_ms, timers, leaseValid, leaseUntil_ms, leaseFrom_ms } = this.#core;
    const { token, passed_ms } = this.#possession;
    if (this.#aloneIn === undefined || compareViews(this.#aloneIn, token) !== 0) {
      this.#aloneIn = { epoch: token.epoch, origin: token.origin };
      this.#aloneFrom_ms = now_ms;
    }
    const restEnd_ms = Math.max(passed_ms, this.#aloneFrom_ms) + timers.rotation_ms;
    if (now_ms < leaseFrom_ms) return Math.min(restEnd_ms, leaseFrom_ms);
    return Math.max(now_ms, leaseValid ? Math.min(restEnd_ms, leaseUntil_ms - timers.unit_ms) : restEnd_ms);
  }

  get #restEnd_ms(): number {
    return Math.max(this.#core.now_ms, this.#possession.passed_ms + this.#core.timers.rotation_ms);
  }

  #holdIsOver(): void {
    if (this.#possession.bytes !== undefined) {
      // Something may have come up while the token of an idle round rested here.
      if (!this.#idleRound.passOn()) this.#visit([]);
    } else if (this.#possession.token.members.length === 1 && this.#core.isListed(this.#core.self)) this.#passToSelf();
    else this.#passOn();
  }

  /** Alone in the group: the token comes back at the next tick. */
  #passToSelf(): void {
    const core = this.#core;
    this.#possession.comeBack();
    renewLease(core, this.#possession);
    // Whoever may have given it up has had no lease since.
    if (core.now_ms >= core.leaseFrom_ms) core.lateness.reset();
    const { token } = this.#possession;
    const stamped = withMember(token, core.self, { passed_ms: core.now_ms });
    this.#possession.passToSelf({ ...stamped, seq: nextSeq(token.seq), hurry: 0 });
    this.#visit([]);
  }

  /** The token goes round without rest. */
  #hurry(): void {
    const { token } = this.#possession;
    this.#possession.change({ ...token, hurry: token.members.length });
    this.#holdIsOver();
  }

  #passOn(): void {
    const core = this.#core;
    const { token } = this.#possession;
    const next = successorOf(token, core.self);
    if (next === undefined) {
      this.#letGo(false);
      return;
    }
    if (!core.isPeer(next.nodeId)) {
      core.log("warn", "ring_unknown_member", { node: next.nodeId });
      this.#remove([next.nodeId], "unknown");
      return;
    }
    this.#sendTo(next.nodeId);
  }

  #sendTo(to: number): void {
    const core = this.#core;
    const { token } = this.#possession;
    const stamped = withMember(token, core.self, { passed_ms: core.now_ms });
    const isFirst = token.members[0]?.nodeId === core.self;
    const rested_ms = this.#possession.restToTell_ms(isFirst) ?? token.rested_ms;
    const sent: Token = { ...stamped, seq: nextSeq(token.seq), hurry: Math.max(0, token.hurry - 1), rested_ms };
    this.#possession.change(sent);
    const bytes = encode({ type: "token", token: sent });
    this.#idleRound.learn(sent, bytes);
    this.#possession.handOver(to, { epoch: sent.epoch, origin: sent.origin, seq: sent.seq }, bytes, false);
  }

  /** The hand-over is over: somebody else has the token; or nobody, where the last one leaves. */
  #letGo(isInOtherHands = true): void {
    const wasQuiet = this.#handOver.isQuiet;
    this.drop();
    // An answer to a quiet one means that it is late already: it may be missing further on.
    if (wasQuiet) this.#hooks.quietOver();
    else this.#hooks.tokenSeen();
    // Whoever wants to leave since this hand-over began is in the view still.
    if (!this.#core.leaving || this.#core.isListed(this.#core.self)) {
      this.#call.tick(true);
      return;
    }
    if (isInOtherHands) this.#acceptance.depart();
    this.#hooks.closed();
  }

  /** It has gone: one that waits for an answer knows where the token is. */
  get #mayCall(): boolean {
    return !this.busy || this.#handOver.isQuiet;
  }

  /** From the view, and goes on. `leaseEnd_ms`: if it is not what the token says of members that do not answer. */
  #remove(nodeIds: readonly number[], why: WhyRemoved, leaseEnd_ms?: number): void {
    const core = this.#core;
    this.#handOver.clear();
    this.#handOver.trouble();
    const removed = nodeIds.map((nodeId) => {
      return {
        nodeId,
        leaseEnd_ms: leaseEnd_ms ?? leaseEndOfDead(core, this.#possession, this.#possession.token, nodeId),
      };
    });
    for (const { leaseEnd_ms } of removed) core.outlive(leaseEnd_ms);
    this.#possession.change(withoutMembers(this.#possession.token, new Set(nodeIds), core.newView()));
    for (const node of nodeIds) core.log("info", "ring_removed", { node, why, epoch: core.newest.epoch });
    this.#hooks.tellRemoved(nodeIds);
    this.#visit(removed);
  }
}
