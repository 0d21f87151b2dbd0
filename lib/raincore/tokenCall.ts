// Calling for the token: an idle one rests at the first member, so a member that has work asks that one to send it round. Owned by ring.ts,
// which knows when there is work and when the token is here.
import type { Core } from "./core.js";
import { compareViews, NO_TOKEN, type ViewId } from "./token.js";

export class TokenCall {
  readonly #core: Core;
  /** Work waits here for the token. */
  #isWanted = false;
  /** A call that has brought nothing in a unit may have been lost, and is repeated. */
  #next_ms = Number.NEGATIVE_INFINITY;
  /** A member called in this view, when the token was on its round: it may have passed that member by then. */
  #heardIn: ViewId = NO_TOKEN;

  constructor(core: Core) {
    this.#core = core;
  }

  get deadline_ms(): number {
    return this.#isWanted && this.#rests !== undefined ? this.#next_ms : Number.POSITIVE_INFINITY;
  }

  /** There is work, and the token is not here. */
  want(mayCall: boolean): void {
    this.#isWanted = true;
    this.tick(mayCall);
  }

  /** `mayCall`: it is not known to be at the next member, or on its way there. */
  tick(mayCall: boolean): void {
    const { copy, now_ms, timers } = this.#core;
    const rests = this.#rests;
    if (!this.#isWanted || !mayCall || copy === undefined || rests === undefined || now_ms < this.#next_ms) return;
    this.#next_ms = now_ms + timers.unit_ms;
    // In a hurry as far as the first member and beyond, it comes round by itself.
    if (copy.hurry >= rests.distance) return;
    this.#core.sendOnEveryPath(rests.nodeId, { type: "wake", view: { epoch: copy.epoch, origin: copy.origin } });
  }

  /** The token is here, and what waited for it is done. */
  came(): void {
    this.#isWanted = false;
    this.#next_ms = Number.NEGATIVE_INFINITY;
  }

  /** A member without the token has work, and the token is not here either. */
  heard(view: ViewId): boolean {
    if (compareViews(view, this.#core.newest) !== 0) return false;
    this.#heardIn = { epoch: view.epoch, origin: view.origin };
    return true;
  }

  /** Whether the token, which is here now, was called for on its round. Says so once. */
  takeHeard(view: ViewId): boolean {
    const isHeard = compareViews(this.#heardIn, view) === 0;
    this.#heardIn = NO_TOKEN;
    return isHeard;
  }

  /** Membership is lost. */
  reset(): void {
    this.came();
    this.#heardIn = NO_TOKEN;
  }

  /** Where an idle token rests, if that is not here, and after how many hand-overs from here it gets there. */
  get #rests(): { readonly nodeId: number; readonly distance: number } | undefined {
    const { copy, self } = this.#core;
    const first = copy?.members[0]?.nodeId;
    if (copy === undefined || first === undefined || first === self) return undefined;
    const place = copy.members.findIndex(({ nodeId }) => nodeId === self);
    return place < 0 ? undefined : { nodeId: first, distance: copy.members.length - place };
  }
}
