// What a member does with the token in its hands: joiners come in, the modules see and change their carriages, a new view is made known,
// a member that leaves takes itself out. Called by ring.ts, which sees to the token's way on.
import type { Core } from "./core.js";
import { leaseEndOfDead } from "./leases.js";
import type { Possession } from "./possession.js";
import {
  compareViews,
  findMember,
  type MemberRecord,
  NO_TOKEN,
  type Token,
  type ViewId,
  withJoiners,
  withoutMembers,
} from "./token.js";
import { Train } from "./train.js";
import type { Removed } from "./types.js";

export interface VisitHooks {
  /** Nobody asks to come in. */
  readonly isQuiet: () => boolean;
  /** Joiners that may come in now. */
  readonly takeJoiners: (token: Token) => readonly MemberRecord[];
  /** The token is here and its view is current. */
  readonly visited: (view: Token) => void;
}

export class Visits {
  readonly #core: Core;
  readonly #possession: Possession;
  readonly #hooks: VisitHooks;
  readonly #train: Train;
  #publishedView = "";
  #visitedIn: ViewId = NO_TOKEN;
  /** When the token last came in a new view, and so late that a hand-over can have failed. */
  #late_ms = Number.NEGATIVE_INFINITY;

  constructor(core: Core, possession: Possession, hooks: VisitHooks) {
    this.#core = core;
    this.#possession = possession;
    this.#hooks = hooks;
    this.#train = new Train(core);
  }

  /**
   * Of a member that stays. `removed`: who went with the view in which the token came here. The modules are told at their first visit
   * without them: whatever one gives away there, a node that went may have taken unseen.
   */
  stay(removed: readonly Removed[]): void {
    // What waits for a confirmed view gets it before the next one begins; a node that is left alone is in one at once.
    const isVisitedBefore = !this.#hooks.isQuiet() && this.#possession.isConfirmed;
    if (isVisitedBefore) this.#runModules(removed);
    const relisted = this.#insertJoiners();
    this.#runModules(isVisitedBefore ? relisted : [...removed, ...relisted]);
    this.#hooks.visited(this.#possession.token);
  }

  /** Out of the view, and everything given away. */
  depart(removed: readonly Removed[]): void {
    const core = this.#core;
    const { token } = this.#possession;
    if (findMember(token, core.self) !== undefined) {
      this.#possession.change(withoutMembers(token, new Set([core.self]), core.newView()));
    }
    this.#runModules(removed);
    core.voidLease();
  }

  /** Membership is lost: the next view is news. */
  reset(): void {
    this.#publishedView = "";
    this.#late_ms = Number.NEGATIVE_INFINITY;
    this.#visitedIn = NO_TOKEN;
    this.#train.reset();
  }

  /** Members that were listed from an earlier life are removed, as such. */
  #insertJoiners(): Removed[] {
    const core = this.#core;
    const { token } = this.#possession;
    if (!this.#leasesAllowJoiners()) return [];
    const joiners = this.#hooks.takeJoiners(token);
    if (joiners.length === 0) return [];
    // Who makes a token again without this one will not have asked them.
    core.forked();
    const relisted: Removed[] = [];
    for (const { nodeId } of joiners) {
      if (findMember(token, nodeId) === undefined) continue;
      const leaseEnd_ms = leaseEndOfDead(core, this.#possession, token, nodeId);
      core.outlive(leaseEnd_ms);
      relisted.push({ nodeId, leaseEnd_ms });
    }
    this.#possession.change(withJoiners(token, core.self, joiners, core.newView()));
    core.log("info", "ring_joined", { nodes: joiners.map((joiner) => joiner.nodeId), epoch: core.newest.epoch });
    return relisted;
  }

  /**
   * A joiner that does not take the token makes a round late, by a failed hand-over, and a new view. The next member may have another one to put
   * in, or the same, and a lease outlasts a late round and one in time, not two late ones. A ring that is only slow makes no new view.
   */
  #leasesAllowJoiners(): boolean {
    const { now_ms, timers } = this.#core;
    const { token, passed_ms } = this.#possession;
    const isNewView = compareViews(token, this.#visitedIn) !== 0;
    this.#visitedIn = { epoch: token.epoch, origin: token.origin };
    const isLate = passed_ms > Number.NEGATIVE_INFINITY && now_ms - passed_ms >= timers.handOverFail_ms;
    if (isNewView && isLate) this.#late_ms = now_ms;
    return token.members.length === 1 || now_ms - this.#late_ms > 2 * timers.rotation_ms;
  }

  #runModules(removed: readonly Removed[]): void {
    const { token, isConfirmed: confirmed, received_ms: tokenReceived_ms } = this.#possession;
    this.#possession.change(this.#train.visit(token, { removed, tokenReceived_ms, confirmed }));
    this.#publish(token);
  }

  /** The modules come first: what they say of the new view is ready when it is heard of. */
  #publish(token: Token): void {
    const core = this.#core;
    const readiness = token.members.map((member) => `${member.nodeId}:${member.ready ? 1 : 0}`);
    const signature = `${token.epoch}/${token.origin}/${readiness.join(",")}`;
    if (signature === this.#publishedView || core.leaving) return;
    this.#publishedView = signature;
    core.emit({ type: "view", view: core.viewOf(token) });
  }
}
