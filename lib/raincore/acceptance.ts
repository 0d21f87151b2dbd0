// Whether a token that is offered is taken or refused, and what a refusal by somebody else means for the token it refuses: the two ends of
// the same rules, which keep two lines of tokens from mixing. Called by ring.ts and, for the tokens of idle rounds, idleRound.ts.
import type { Core } from "./core.js";
import type { HandOver } from "./handOver.js";
import type { NackMessage, NackReason } from "./messages.js";
import type { Possession } from "./possession.js";
import {
  compareGroups,
  compareTokens,
  compareViews,
  findMember,
  type Token,
  type TokenId,
  type ViewId,
} from "./token.js";

/**
 * What a nack leads to: the successor is taken out of the view, as one that has no lease or as one that may renew it; this node gives its
 * token up, as a member of the view that goes on or as one that has lost its place; it asks again, for the successor is about to give way; or nothing, for the
 * nack says nothing.
 */
type Consequence = "remove_absent" | "remove_living" | "give_in" | "lose" | "insist" | "none";

export class Acceptance {
  readonly #core: Core;
  readonly #possession: Possession;
  readonly #handOver: HandOver;
  #last: TokenId | undefined;
  /** The other line that this node has told to give way. */
  #refused: ViewId | undefined;
  #hasDeparted = false;

  constructor(core: Core, possession: Possession, handOver: HandOver) {
    this.#core = core;
    this.#possession = possession;
    this.#handOver = handOver;
  }

  /** Answers the offer of a token. True: it is to be taken. */
  accepts(from: number, path: number, token: Token, isQuiet: boolean): boolean {
    const core = this.#core;
    if (core.doubting && core.leaseEndBy(token) <= core.now_ms) {
      // It may have lain in the socket while this process was stopped, and the others may have gone on since.
      core.count("token_ignored_in_doubt");
      return false;
    }
    if (this.#last !== undefined && compareTokens(token, this.#last) === 0) {
      core.count("token_duplicate");
      core.reply(from, path, { type: "ack", id: token });
      return false;
    }
    const refusal = this.#refusalOf(token);
    if (refusal === "diverged" && this.#possession.isLineDoubtful) {
      // Our own line may have no token any more: rather than cost this one its place, we come in anew.
      core.onLost("diverged");
      this.#refuse(from, path, token, "absent");
      return false;
    }
    if (refusal !== undefined) {
      if (refusal === "diverged") this.#refused = { epoch: token.epoch, origin: token.origin };
      this.#refuse(from, path, token, refusal);
      return false;
    }
    this.accept(from, path, { epoch: token.epoch, origin: token.origin, seq: token.seq }, isQuiet);
    return true;
  }

  /** Answers for a token that is taken; sent again, it will be acknowledged again, and not taken. */
  accept(from: number, path: number, id: TokenId, isQuiet: boolean): void {
    this.#core.count("token_received");
    // It descends from our own hand-over, so that has arrived.
    if (this.#handOver.isPending && !this.#handOver.isQuiet) this.#core.count("hand_over_implied");
    if (!isQuiet) this.#core.reply(from, path, { type: "ack", id });
    this.#last = id;
  }

  /** Of a nack to the hand-over that is under way. */
  consequenceOf(nack: NackMessage): Consequence {
    const core = this.#core;
    switch (nack.reason) {
      case "absent":
        core.count("hand_over_absent");
        return "remove_absent";
      case "older":
        if (compareTokens(nack.newest, core.newest) <= 0) {
          core.count("nack_bogus");
          return "none";
        }
        core.see(nack.newest.epoch);
        if (this.#hasRefused(nack.newest)) {
          // Its token and ours have crossed, and its line has to give way. If both gave in, there would be no group.
          core.count("hand_over_crossed");
          return "insist";
        }
        core.count("token_fenced");
        // A newer token is in force. If we are in its view, it will come round to us.
        return nack.listed && !core.leaving ? "give_in" : this.#meet(nack);
      case "diverged":
        return this.#meet(nack);
      default:
        return nack.reason satisfies never;
    }
  }

  /** This node has left, and its last token is in other hands: whoever handed it here, and has not seen it come round yet, may still ask for it. */
  depart(): void {
    this.#hasDeparted = true;
  }

  /** Membership is over: what was accepted in it must not be acknowledged again, unless it has arrived further on. */
  reset(): void {
    if (!this.#hasDeparted) this.#last = undefined;
    this.#hasDeparted = false;
    this.#refused = undefined;
  }

  #hasRefused(view: ViewId): boolean {
    return this.#refused !== undefined && compareViews(view, this.#refused) === 0;
  }

  /** The successor lives in another group: one of the two has to give way. */
  #meet(nack: NackMessage): Consequence {
    const core = this.#core;
    core.count("hand_over_diverged");
    core.see(nack.newest.epoch);
    return compareGroups(core.group, nack.group) > 0 ? "remove_living" : "lose";
  }

  #refusalOf(token: Token): NackReason | undefined {
    const core = this.#core;
    const isNewer = compareTokens(token, core.newest) > 0;
    const own = findMember(token, core.self);
    const isForUs = own?.incarnation === core.config.incarnation && own.session === core.session;
    if (core.state === "member" && !isNewer) return "older";
    if (!isForUs || core.state === "closed") return "absent";
    if (!isNewer) return "older";
    return core.state === "member" && this.#possession.isDivergent(own.passed_ms) ? "diverged" : undefined;
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
}
