// Holding the token and handing it on (the patent's figure 9, boxes 909 to 920): acceptance, the lease, the modules'
// visit, removal of a member that cannot be handed the token, joiners, leaving. Driven by Raincore.
import type { Core } from "./core.js";
import { HandOver } from "./handOver.js";
import { IdleToken } from "./idleToken.js";
import type { NackMessage, NackReason } from "./messages.js";
import { encode } from "./messages.js";
import type { MemberRecord, Token, TokenId, ViewId } from "./token.js";
import {
  compareGroups,
  compareTokens,
  compareViews,
  findMember,
  nextSeq,
  successorOf,
  withJoiners,
  withMember,
  withoutMembers,
} from "./token.js";
import { visitModules } from "./train.js";
import type { Transport } from "./transport/transport.js";
import type { Removed } from "./types.js";

/** What the ring asks of its neighbours in the core. */
export interface RingHooks {
  /** Nobody asks to come in. */
  readonly isQuiet: () => boolean;
  /** Joiners that may come in now. */
  readonly takeJoiners: (token: Token) => readonly MemberRecord[];
  /** The token was seen or sent: it is not missing. */
  readonly tokenSeen: () => void;
  /** The token is here and its view is current. */
  readonly visited: (view: Token) => void;
  /** These nodes are out of the view; they may be alive. */
  readonly tellRemoved: (nodeIds: readonly number[]) => void;
  readonly closed: () => void;
}

export class Ring {
  readonly #core: Core;
  readonly #hooks: RingHooks;
  readonly #packetBytes_max: number;
  readonly #handOver: HandOver;
  #held: Token | undefined;
  /** The same, while nobody has looked into it: of an idle round. */
  #heldBytes: Uint8Array | undefined;
  /** What an idle round of this view looks like; undefined while there is work or a node is missing. */
  #idle: IdleToken | undefined;
  #received_ms = 0;
  #passed_ms = Number.NEGATIVE_INFINITY;
  /** When this node last took a token; unlike `received_ms`, only that. */
  #visited_ms = Number.NEGATIVE_INFINITY;
  #holdUntil_ms = Number.POSITIVE_INFINITY;
  #lastAccepted: TokenId | undefined;
  #publishedView = "";
  #nextWake_ms = Number.NEGATIVE_INFINITY;

  constructor(core: Core, transport: Transport, hooks: RingHooks) {
    this.#core = core;
    this.#hooks = hooks;
    this.#packetBytes_max = transport.packetBytes_max;
    this.#handOver = new HandOver(core, transport);
  }

  /** Has the token and may change it. */
  get holding(): boolean {
    return this.busy && !this.#handOver.isPending;
  }

  /** Has the token, or is handing it over and does not know yet that it arrived. */
  get busy(): boolean {
    return this.#held !== undefined || this.#heldBytes !== undefined;
  }

  /** When this node last got the token. */
  get received_ms(): number {
    return this.#received_ms;
  }

  /**
   * Whether a token that says when we last sent it does not descend from what we have, last had or last sent: it went round
   * in a group without us, whose decisions cannot be mixed with those of ours.
   */
  isDivergent(passed_ms: number | undefined): boolean {
    return this.holding || (passed_ms ?? Number.NEGATIVE_INFINITY) < Math.max(this.#passed_ms, this.#visited_ms);
  }

  get deadline_ms(): number {
    return Math.min(this.holding ? this.#holdUntil_ms : Number.POSITIVE_INFINITY, this.#handOver.deadline_ms);
  }

  onToken(from: number, path: number, token: Token, isQuiet = false): void {
    const core = this.#core;
    if (core.doubting && core.leaseEndBy(token) <= core.now_ms) {
      // It may have lain in the socket while this process was stopped, and the others may have gone on since.
      core.count("token_ignored_in_doubt");
      return;
    }
    if (this.#lastAccepted !== undefined && compareTokens(token, this.#lastAccepted) === 0) {
      core.count("token_duplicate");
      core.reply(from, path, { type: "ack", id: token });
      return;
    }
    const refusal = this.#refusalOf(token);
    if (refusal !== undefined) {
      this.#refuse(from, path, token, refusal);
      return;
    }
    core.count("token_received");
    if (!isQuiet) core.reply(from, path, { type: "ack", id: token });
    // It descends from our own hand-over, so that has arrived.
    if (this.#handOver.isPending && !this.#handOver.isQuiet) core.count("hand_over_implied");
    this.#lastAccepted = { epoch: token.epoch, origin: token.origin, seq: token.seq };
    this.install(token, []);
  }

  /**
   * Takes the token of an idle round. False: it is something else, or this node has something to do, so it is to be decoded and taken by
   * `onToken`. The same steps as there, less those that would change nothing.
   */
  takeIdle(from: number, path: number, bytes: Uint8Array): boolean {
    const core = this.#core;
    const idle = this.#idle;
    if (idle === undefined || core.state !== "member" || core.doubting || this.holding || !idle.matches(bytes))
      return false;
    const id: TokenId = { ...idle.view, seq: idle.seqOf(bytes) };
    const passed_ms = idle.passedOf(bytes);
    const leaseEnd_ms = passed_ms + core.timers.leaseOwn_ms;
    if (compareViews(core.newest, id) !== 0 || compareTokens(id, core.newest) <= 0) return false;
    if (this.isDivergent(passed_ms) || passed_ms > core.now_ms || leaseEnd_ms <= core.now_ms || !this.#hasNothingToDo)
      return false;
    core.count("token_received");
    core.count("token_idle");
    if (!idle.isQuiet(bytes)) core.reply(from, path, { type: "ack", id });
    this.#lastAccepted = id;
    this.drop();
    const taken: TokenId = { ...idle.view, seq: nextSeq(id.seq) };
    this.#heldBytes = idle.taken(bytes, taken.seq);
    this.#received_ms = core.now_ms;
    this.#visited_ms = core.now_ms;
    core.rememberBytes(this.#heldBytes, taken);
    this.#hooks.tokenSeen();
    core.renewLease(leaseEnd_ms);
    this.#holdUntil_ms = idle.isFirst ? Math.max(core.now_ms, this.#passed_ms + core.timers.rotation_ms) : core.now_ms;
    if (core.now_ms >= this.#holdUntil_ms) this.#holdIsOver();
    return true;
  }

  /** Takes a token as its holder: received, made at formation, or regenerated after a 911. */
  install(token: Token, removed: readonly Removed[]): void {
    this.drop();
    // What this visit changes makes a newer token: should this node drop it, a 911 must not prefer the predecessor's copy.
    const held = { ...token, seq: nextSeq(token.seq) };
    this.#held = held;
    this.#received_ms = this.#core.now_ms;
    this.#visited_ms = this.#core.now_ms;
    this.#core.remember(held);
    this.#core.setState("member");
    this.#hooks.tokenSeen();
    this.#renewLease();
    this.#visit(removed);
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
    if (!this.#handOver.isTo(from, nack.id)) {
      this.#core.count("nack_stale");
      return;
    }
    const core = this.#core;
    this.#handOver.trouble();
    switch (nack.reason) {
      case "absent":
        this.#handOver.settle(from, path);
        core.count("hand_over_absent");
        this.#removeSuccessor(from, this.#leaseEndOfDead(from));
        break;
      case "older":
        if (compareTokens(nack.newest, core.newest) <= 0) core.count("nack_bogus");
        else this.#giveIn(from, path, nack);
        break;
      case "diverged":
        this.#meet(from, path, nack);
        break;
      default:
        nack.reason satisfies never;
    }
  }

  tick(): void {
    for (const failed of this.#handOver.tick()) {
      this.#core.count("hand_over_failed");
      this.#removeSuccessor(failed, this.#leaseEndOfDead(failed));
    }
    if (this.holding && this.#core.now_ms >= this.#holdUntil_ms) this.#holdIsOver();
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
    const { copy, now_ms, timers, self } = this.#core;
    if (this.holding) {
      this.#visit([]);
      return;
    }
    const first = copy?.members[0]?.nodeId;
    // A token in a hurry comes round by itself, and one call in a unit is enough.
    if (copy === undefined || first === undefined || first === self || copy.hurry > 0) return;
    if (this.busy && !this.#handOver.isQuiet) return;
    if (now_ms < this.#nextWake_ms) return;
    this.#nextWake_ms = now_ms + timers.unit_ms;
    this.#core.sendOnEveryPath(first, { type: "wake", view: { epoch: copy.epoch, origin: copy.origin } });
  }

  /** A member without the token has work: the token goes round without rest. */
  onWake(view: ViewId): void {
    const core = this.#core;
    if (!this.holding || compareViews(view, this.#token()) !== 0) {
      core.count("wake_late");
      return;
    }
    core.count("wake_heard");
    this.#change({ ...this.#token(), hurry: this.#token().members.length });
    this.#holdIsOver();
  }

  /** Forgets a held token; another one is, or will be, in force. */
  drop(): void {
    this.#held = undefined;
    this.#heldBytes = undefined;
    this.#handOver.clear();
  }

  /** This node woke late: a token in its hands is worth nothing, and whatever it waits for is counted from now on. */
  doubt(): void {
    this.drop();
    this.#received_ms = this.#core.now_ms;
  }

  /** Membership is lost: what was accepted in it must not be acknowledged again. */
  reset(): void {
    this.drop();
    this.#idle = undefined;
    this.#lastAccepted = undefined;
    this.#passed_ms = Number.NEGATIVE_INFINITY;
    this.#visited_ms = Number.NEGATIVE_INFINITY;
    this.#publishedView = "";
  }

  /** A newer token is in force. If we are in its view, it will come round to us. */
  #giveIn(from: number, path: number, nack: NackMessage): void {
    const core = this.#core;
    core.count("token_fenced");
    core.see(nack.newest.epoch);
    if (!nack.listed || core.leaving) {
      this.#meet(from, path, nack);
      return;
    }
    this.drop();
    this.#hooks.tokenSeen();
  }

  /** The successor lives in another group: one of the two has to give way. */
  #meet(from: number, path: number, nack: NackMessage): void {
    const core = this.#core;
    core.count("hand_over_diverged");
    core.see(nack.newest.epoch);
    this.#handOver.settle(from, path);
    if (compareGroups(core.group, nack.group) > 0) {
      // It is alive and may renew its lease until it hears of us.
      this.#removeSuccessor(from, core.now_ms + core.timers.lease_ms);
      return;
    }
    this.drop();
    core.onLost("diverged");
  }

  /**
   * L from when a member that does not answer, or has lost its place, can last have passed the token on. That was before this node got it; and if both come after the
   * first member in the ring, it was before the token rested there. Transit only makes that earlier. Also for a member that says itself that it has no
   * lease any more: where the token has forked, both lines hear that, and would both give its VIPs away at once.
   */
  #leaseEndOfDead(nodeId: number): number {
    const { members, rested_ms } = this.#token();
    const own = members.findIndex((member) => member.nodeId === this.#core.self);
    const dead = members.findIndex((member) => member.nodeId === nodeId);
    const rested = own > 0 && dead > own ? rested_ms : 0;
    return this.#received_ms - rested + this.#core.timers.lease_ms;
  }

  #refusalOf(token: Token): NackReason | undefined {
    const core = this.#core;
    const isNewer = compareTokens(token, core.newest) > 0;
    const own = findMember(token, core.self);
    const isForUs = own?.incarnation === core.config.incarnation && own.session === core.session;
    if (core.state === "member" && !isNewer) return "older";
    if (!isForUs || core.state === "closed") return "absent";
    if (!isNewer) return "older";
    return core.state === "member" && this.isDivergent(own.passed_ms) ? "diverged" : undefined;
  }

  #refuse(from: number, path: number, token: Token, reason: NackReason): void {
    const core = this.#core;
    core.count(`token_refused_${reason}`);
    core.reply(from, path, {
      type: "nack",
      id: token,
      reason,
      newest: core.newest,
      listed: core.isListed(from),
      group: core.group,
    });
  }

  /** Everything that happens with the token in hand, ending with its way on. */
  #visit(removed: readonly Removed[]): void {
    const core = this.#core;
    const relisted = core.leaving ? [] : this.#insertJoiners();
    if (core.leaving) {
      this.#depart(removed);
      return;
    }
    this.#runModules([...removed, ...relisted]);
    this.#hooks.visited(this.#token());
    this.#holdUntil_ms = this.#nextPass_ms();
    if (core.now_ms >= this.#holdUntil_ms) this.#holdIsOver();
  }

  #token(): Token {
    if (this.#heldBytes !== undefined) {
      this.#held = this.#core.copy;
      this.#heldBytes = undefined;
    }
    if (this.#held === undefined) throw new Error("the ring acts on a token that it does not hold");
    return this.#held;
  }

  #change(token: Token): void {
    this.#held = token;
    this.#heldBytes = undefined;
    this.#core.remember(token);
  }

  /**
   * Only a token that came back renews (or one that this node sent to itself): whoever removes this node got the token
   * after `passed_ms`, and waits L from then.
   */
  #renewLease(): void {
    const core = this.#core;
    const end_ms = core.leaseEndBy(this.#token());
    core.renewLease(end_ms);
    if (end_ms <= core.now_ms) return;
    core.doubting = false;
    core.overslept = false;
    if (findMember(this.#token(), core.self)?.ready === false) {
      this.#change(withMember(this.#token(), core.self, { ready: true }));
    }
  }

  #insertJoiners(): Removed[] {
    const core = this.#core;
    const token = this.#token();
    const joiners = this.#hooks.takeJoiners(token);
    if (joiners.length === 0) return [];
    const relisted: Removed[] = [];
    for (const joiner of joiners) {
      if (findMember(token, joiner.nodeId) === undefined) continue;
      relisted.push({ nodeId: joiner.nodeId, leaseEnd_ms: this.#leaseEndOfDead(joiner.nodeId) });
    }
    this.#change(withJoiners(token, core.self, joiners, core.newView()));
    core.log("info", "ring_joined", { nodes: joiners.map((joiner) => joiner.nodeId), epoch: core.newest.epoch });
    return relisted;
  }

  #runModules(removed: readonly Removed[]): void {
    const core = this.#core;
    const token = this.#token();
    this.#change(visitModules(core, token, { removed, tokenReceived_ms: this.#received_ms }));
    const readiness = token.members.map((member) => `${member.nodeId}:${member.ready ? 1 : 0}`);
    const signature = `${token.epoch}/${token.origin}/${readiness.join(",")}`;
    if (signature === this.#publishedView || core.leaving) return;
    this.#publishedView = signature;
    core.emit({ type: "view", view: core.viewOf(token) });
  }

  /**
   * An idle token takes one rotation for its round. It rests at the first member and passes the others without a stop, so that those wake
   * up once a round, and the death of any but the first is noticed by the next round at the latest.
   */
  #nextPass_ms(): number {
    const { now_ms, timers } = this.#core;
    const token = this.#token();
    if (token.members.length === 1) return now_ms + timers.rotation_ms;
    if (token.hurry > 0 || token.members[0]?.nodeId !== this.#core.self) return now_ms;
    return Math.max(now_ms, this.#passed_ms + timers.rotation_ms);
  }

  get #hasNothingToDo(): boolean {
    return (
      !this.#core.leaving &&
      this.#hooks.isQuiet() &&
      this.#core.config.modules.every((module) => module.isIdle === true)
    );
  }

  #holdIsOver(): void {
    if (this.#heldBytes !== undefined) {
      if (this.#idle !== undefined && this.#hasNothingToDo) this.#passOnIdle(this.#idle, this.#heldBytes);
      else this.#visitHeld();
    } else if (this.#token().members.length === 1 && this.#core.isListed(this.#core.self)) this.#passToSelf();
    else this.#passOn();
  }

  /** Something has come up while the token of an idle round rested here. */
  #visitHeld(): void {
    this.#token();
    this.#visit([]);
  }

  #passOnIdle(idle: IdleToken, held: Uint8Array): void {
    const core = this.#core;
    const id: TokenId = { ...idle.view, seq: nextSeq(core.newest.seq) };
    const rested_ms = idle.isFirst ? core.now_ms - this.#received_ms : undefined;
    const isQuiet = this.#handOver.mayBeQuiet;
    const bytes = idle.stamped(held, { seq: id.seq, passed_ms: core.now_ms, rested_ms, isQuiet });
    core.rememberBytes(bytes, id);
    this.#heldBytes = bytes;
    this.#handOverTo(idle.successor, id, bytes, isQuiet);
  }

  /** Alone in the group: the token comes back at the next tick. */
  #passToSelf(): void {
    const core = this.#core;
    this.#received_ms = core.now_ms;
    this.#renewLease();
    const token = this.#token();
    this.#change({ ...withMember(token, core.self, { passed_ms: core.now_ms }), seq: nextSeq(token.seq), hurry: 0 });
    this.#passed_ms = core.now_ms;
    this.#hooks.tokenSeen();
    this.#visit([]);
  }

  #passOn(): void {
    const core = this.#core;
    const token = this.#token();
    const next = successorOf(token, core.self);
    if (next === undefined) {
      this.#letGo();
      return;
    }
    if (!core.isPeer(next.nodeId)) {
      core.log("warn", "ring_unknown_member", { node: next.nodeId });
      this.#removeSuccessor(next.nodeId, this.#leaseEndOfDead(next.nodeId));
      return;
    }
    const stamped = withMember(token, core.self, { passed_ms: core.now_ms });
    const isFirst = token.members[0]?.nodeId === core.self;
    const rested_ms = isFirst ? core.now_ms - this.#received_ms : token.rested_ms;
    const sent: Token = { ...stamped, seq: nextSeq(token.seq), hurry: Math.max(0, token.hurry - 1), rested_ms };
    this.#change(sent);
    const bytes = encode({ type: "token", token: sent });
    const isWhole = core.peersListed(sent) && bytes.length <= this.#packetBytes_max;
    this.#idle = isWhole ? IdleToken.of(sent, bytes, core.self) : undefined;
    this.#handOverTo(next.nodeId, { epoch: sent.epoch, origin: sent.origin, seq: sent.seq }, bytes, false);
  }

  #handOverTo(to: number, id: TokenId, bytes: Uint8Array, isQuiet: boolean): void {
    const core = this.#core;
    this.#passed_ms = core.now_ms;
    core.count("token_sent");
    this.#hooks.tokenSeen();
    this.#handOver.start(to, id, bytes, isQuiet);
  }

  /** Out of the view, everything given away, and the token sent on to whoever remains. */
  #depart(removed: readonly Removed[]): void {
    const core = this.#core;
    const token = this.#token();
    if (findMember(token, core.self) !== undefined) {
      this.#change(withoutMembers(token, new Set([core.self]), core.newView()));
    }
    this.#runModules(removed);
    core.voidLease();
    this.#passOn();
  }

  /** The hand-over is over: somebody else has the token. */
  #letGo(): void {
    const wasQuiet = this.#handOver.isQuiet;
    this.drop();
    // An answer to a quiet one means that it is late already: it may be missing further on.
    if (!wasQuiet) this.#hooks.tokenSeen();
    if (this.#core.leaving) this.#hooks.closed();
  }

  #removeSuccessor(nodeId: number, leaseEnd_ms: number): void {
    const core = this.#core;
    this.#handOver.clear();
    this.#handOver.trouble();
    this.#change(withoutMembers(this.#token(), new Set([nodeId]), core.newView()));
    core.log("info", "ring_removed", { node: nodeId, epoch: core.newest.epoch });
    this.#hooks.tellRemoved([nodeId]);
    this.#visit([{ nodeId, leaseEnd_ms }]);
  }
}
