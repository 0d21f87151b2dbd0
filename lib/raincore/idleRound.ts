// Rounds in which nobody has anything to do: the token is taken and handed on as bytes, with the same outcome as a visit that changes
// nothing, for a fraction of its cost. Called by ring.ts, which does in full whatever is declined here.
import type { Acceptance } from "./acceptance.js";
import type { Core } from "./core.js";
import type { HandOver } from "./handOver.js";
import { IdleToken } from "./idleToken.js";
import type { Possession } from "./possession.js";
import { compareTokens, compareViews, nextSeq, type Token, type TokenId } from "./token.js";

export interface IdleHooks {
  /** Nobody asks to come in. */
  readonly isQuiet: () => boolean;
}

export class IdleRound {
  readonly #core: Core;
  readonly #possession: Possession;
  readonly #handOver: HandOver;
  readonly #acceptance: Acceptance;
  readonly #hooks: IdleHooks;
  /** What an idle round of this view looks like; undefined while there is work or a node is missing. */
  #idle: IdleToken | undefined;

  constructor(core: Core, possession: Possession, handOver: HandOver, acceptance: Acceptance, hooks: IdleHooks) {
    this.#core = core;
    this.#possession = possession;
    this.#handOver = handOver;
    this.#acceptance = acceptance;
    this.#hooks = hooks;
  }

  /** This token goes on as these bytes: if they come back the same, the round was idle. */
  learn(sent: Token, bytes: Uint8Array): void {
    const isComplete = this.#core.peersListed(sent) && this.#handOver.isWhole(bytes);
    this.#idle = isComplete ? IdleToken.of(sent, bytes, this.#core.self) : undefined;
  }

  /**
   * Takes the token of an idle round. Undefined: it is something else, or this node has something to do, so it is to be decoded and judged.
   * The same steps as there, less those that would change nothing.
   */
  take(from: number, path: number, bytes: Uint8Array): { readonly isFirst: boolean } | undefined {
    const core = this.#core;
    const idle = this.#idle;
    if (idle === undefined || core.state !== "member" || core.doubting || this.#possession.holding) return undefined;
    if (!idle.matches(bytes)) return undefined;
    const id: TokenId = { ...idle.view, seq: idle.seqOf(bytes) };
    const passed_ms = idle.passedOf(bytes);
    const leaseEnd_ms = passed_ms + core.timers.leaseOwn_ms;
    if (compareViews(core.newest, id) !== 0 || compareTokens(id, core.newest) <= 0) return undefined;
    if (this.#possession.isDivergent(passed_ms) || passed_ms > core.now_ms || leaseEnd_ms <= core.now_ms)
      return undefined;
    if (!this.#hasNothingToDo) return undefined;
    this.#acceptance.accept(from, path, id, idle.isQuiet(bytes));
    core.count("token_idle");
    const taken: TokenId = { ...id, seq: nextSeq(id.seq) };
    this.#possession.takeBytes(idle.taken(bytes, taken.seq), taken);
    core.renewLease(leaseEnd_ms);
    return idle;
  }

  /** Hands on a token that was taken here. False: something has come up since. */
  passOn(): boolean {
    const core = this.#core;
    const idle = this.#idle;
    const held = this.#possession.bytes;
    if (idle === undefined || held === undefined || !this.#hasNothingToDo) return false;
    const id: TokenId = { ...idle.view, seq: nextSeq(core.newest.seq) };
    const rested_ms = this.#possession.restToTell_ms(idle.isFirst);
    // What others may have done meanwhile is known when the token is back: that is not to be waited for.
    const isQuiet = this.#handOver.mayBeQuiet && !this.#possession.mayHaveForked;
    const bytes = idle.stamped(held, { seq: id.seq, passed_ms: core.now_ms, rested_ms, isQuiet });
    this.#possession.changeBytes(bytes, id);
    this.#possession.handOver(idle.successor, id, bytes, isQuiet);
    return true;
  }

  /** Membership is lost. */
  reset(): void {
    this.#idle = undefined;
  }

  get #hasNothingToDo(): boolean {
    const { leaving, config } = this.#core;
    return !leaving && this.#hooks.isQuiet() && config.modules.every((module) => module.isIdle === true);
  }
}
