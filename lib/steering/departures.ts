// Who has left the view a moment ago. A member that was taken out steers by the view it knows until its lease ends, and rightly: what it relays here
// belongs to connections that were there before. Told by the daemon, which hands the list to the data plane.

/** Of which the data plane keeps track; beyond that, of those whose leases end last. */
export const DEPARTURES_MAX = 64;

export interface Departure {
  readonly node: number;
  /** Its lease has ended for certain then, by the clock of this node. */
  readonly until_ms: number;
}

export class Departures {
  readonly #lease_ms: number;
  #members: readonly number[] = [];
  #departed: readonly Departure[] = [];

  /** `lease_ms`: how long a lease lasts at most. */
  constructor(lease_ms: number) {
    this.#lease_ms = lease_ms;
  }

  /**
   * The view has these members from `now_ms` on. Returns who is not among them any more and may still have a lease. When exactly it ends, only the member
   * knows that took them out, which did so before this node heard of it: so none lasts longer than a whole lease from now.
   */
  become(members: readonly number[], now_ms: number): readonly Departure[] {
    const until_ms = now_ms + this.#lease_ms;
    const gone = this.#members.filter((node) => !members.includes(node)).map((node) => ({ node, until_ms }));
    const earlier = this.#departed.filter(({ node, until_ms }) => until_ms > now_ms && !members.includes(node));
    this.#members = members;
    // The later they left, the later their leases end.
    this.#departed = [...gone, ...earlier].slice(0, DEPARTURES_MAX);
    return this.#departed;
  }
}
