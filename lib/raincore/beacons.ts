// Discovery between groups: members tell configured nodes outside their view that the group exists. Whoever hears so
// joins, learns that it was removed, or, of two groups that meet, the weaker one gives way. Driven by Raincore.
import type { Core } from "./core.js";
import type { BeaconMessage } from "./messages.js";
import { compareGroups, compareViews, findMember, groupOf, type Token } from "./token.js";

export class Beacons {
  readonly #core: Core;
  #next_ms = 0;
  /** By node, when it may be told again: because its group is weaker, or because it has to say that its stronger group is there. */
  readonly #answeredUntil_ms = new Map<number, number>();
  readonly #askedUntil_ms = new Map<number, number>();
  /** By node: what its last beacon says of when it was sent. */
  readonly #heard_ms = new Map<number, number>();
  /** Listed still, and known to be in a group of their own. */
  readonly #apart = new Set<number>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** The token is here: time to be heard by those who are not. */
  visited(token: Token): void {
    const core = this.#core;
    this.#apart.clear();
    if (core.now_ms < this.#next_ms) return;
    this.#next_ms = core.now_ms + core.timers.beaconInterval_ms;
    for (const peer of core.peerIds) {
      if (findMember(token, peer) === undefined) this.#send(peer);
    }
  }

  /** To nodes that were removed (they may be alive) or that ask to come in. */
  tell(nodeIds: readonly number[]): void {
    for (const nodeId of nodeIds) {
      if (this.#core.isPeer(nodeId)) this.#send(nodeId);
    }
  }

  /**
   * That member of our view lives in a weaker group of its own. It hears so at once, and not when the call is over: it may be about to answer for our
   * VIPs, and be stopped by then.
   */
  meet(nodeId: number): void {
    this.#apart.add(nodeId);
    this.#send(nodeId);
  }

  onBeacon(from: number, beacon: BeaconMessage): void {
    const core = this.#core;
    core.see(beacon.group.epoch);
    this.#heard_ms.set(from, beacon.sent_ms);
    const copy = core.copy;
    if (core.state !== "member" || copy === undefined) return;
    if (findMember(copy, from) !== undefined) {
      // A member of our view with a newer one, in which we are not: we were removed.
      if (compareViews(beacon.group, copy) > 0) {
        core.onLost("removed");
        return;
      }
      core.forked();
      // Of any other one this may be from before it had the token of our view.
      if (this.#apart.has(from)) this.#tellAtMost(this.#answeredUntil_ms, from, core.timers.unit_ms);
      return;
    }
    if (compareGroups(groupOf(copy), beacon.group) >= 0) {
      // The sooner it knows, the better.
      this.#tellAtMost(this.#answeredUntil_ms, from, core.timers.unit_ms);
    } else if (this.#isAnswer(beacon)) {
      core.onLost("merged");
    } else if (this.#tellAtMost(this.#askedUntil_ms, from, core.timers.beaconInterval_ms)) {
      core.count("beacon_asked_back");
    }
  }

  /**
   * A place is not given up for a datagram that may have been on its way for long: a beacon of a group that is no more would cost a group
   * that is. Who sends it is asked, and says so again if it is true.
   */
  #isAnswer({ echo_ms }: BeaconMessage): boolean {
    const { now_ms, timers } = this.#core;
    const age_ms = now_ms - echo_ms;
    // As long as a hand-over may take: nodes that could share a ring can merge.
    return age_ms >= 0 && age_ms <= timers.handOverFail_ms;
  }

  #tellAtMost(until_ms: Map<number, number>, to: number, every_ms: number): boolean {
    const { now_ms } = this.#core;
    if (now_ms < (until_ms.get(to) ?? 0)) return false;
    until_ms.set(to, now_ms + every_ms);
    this.#send(to);
    return true;
  }

  #send(to: number): void {
    const core = this.#core;
    const copy = core.copy;
    if (copy === undefined) return;
    core.sendOnEveryPath(to, {
      type: "beacon",
      sent_ms: core.now_ms,
      echo_ms: this.#heard_ms.get(to) ?? 0,
      group: groupOf(copy),
    });
  }
}
