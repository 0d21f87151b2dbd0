// Discovery between groups: members tell configured nodes outside their view that the group exists. Whoever hears so
// joins, learns that it was removed, or, of two groups that meet, the weaker one gives way. Driven by Raincore.
import type { Core } from "./core.js";
import type { BeaconMessage } from "./messages.js";
import { compareGroups, compareViews, findMember, groupOf, type Token } from "./token.js";

export class Beacons {
  readonly #core: Core;
  #next_ms = 0;
  readonly #repliedUntil_ms = new Map<number, number>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** The token is here: time to be heard by those who are not. */
  visited(token: Token): void {
    const core = this.#core;
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

  onBeacon(from: number, beacon: BeaconMessage): void {
    const core = this.#core;
    core.see(beacon.group.epoch);
    const copy = core.copy;
    if (core.state !== "member" || copy === undefined) return;
    if (findMember(copy, from) !== undefined) {
      // A member of our view with a newer one, in which we are not: we were removed.
      if (compareViews(beacon.group, copy) > 0) core.onLost("removed");
      return;
    }
    if (compareGroups(groupOf(copy), beacon.group) < 0) {
      core.onLost("merged");
      return;
    }
    this.#answer(from);
  }

  /** The other group is the weaker one: the sooner it knows, the better. At most one answer per unit. */
  #answer(to: number): void {
    const core = this.#core;
    if (core.now_ms < (this.#repliedUntil_ms.get(to) ?? 0)) return;
    this.#repliedUntil_ms.set(to, core.now_ms + core.timers.unit_ms);
    this.#send(to);
  }

  #send(to: number): void {
    const core = this.#core;
    const copy = core.copy;
    if (copy === undefined) return;
    core.sendOnEveryPath(to, {
      type: "beacon",
      group: groupOf(copy),
    });
  }
}
