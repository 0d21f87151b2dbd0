// Was a node that lives taken out of the group, or did it fall out of it? Exactly, over a whole time: every daemon logs whom it takes out
// and when it loses its place, and its counters say whether the log can be complete. Used by the scenarios in which nobody dies.

import type { GatewayStatus } from "../api/controlProtocol.js";
import type { Lab } from "./lab.js";
import type { Promises } from "./scenario.js";

const STATUS_TIMEOUT_MS = 5000;

export interface MembershipFigures {
  /** Times that a daemon took a member out of the view. */
  readonly members_removed: number;
  /** Times that a daemon lost its place in the group, or gave it up. */
  readonly places_lost: number;
  /** No fault by itself: a token that was lost, or that all dropped because the machine stood still, is made again under a new epoch. */
  readonly epochs_new: number;
  readonly tokens_regenerated: number;
}

/** Of several times together. */
export function membershipSum(all: readonly MembershipFigures[]): MembershipFigures {
  const sum = (figure: keyof MembershipFigures) => all.reduce((total, each) => total + each[figure], 0);
  return {
    members_removed: sum("members_removed"),
    places_lost: sum("places_lost"),
    epochs_new: sum("epochs_new"),
    tokens_regenerated: sum("tokens_regenerated"),
  };
}

/** What the log of a daemon's present life tells; pure. */
export interface LoggedEvents {
  readonly removed: number;
  readonly lost: number;
  readonly regenerated: number;
}

export function loggedEvents(log: string): LoggedEvents {
  let events = { removed: 0, lost: 0, regenerated: 0 };
  for (const line of log.split("\n")) {
    const { msg, removed } = entryOf(line);
    if (msg === "up") events = { removed: 0, lost: 0, regenerated: 0 };
    if (msg === "ring_lost") events.lost++;
    if (msg === "ring_removed") events.removed++;
    if (msg === "ring_token_regenerated") {
      events.regenerated++;
      events.removed += Array.isArray(removed) ? removed.length : 0;
    }
  }
  return events;
}

/** A program's own warnings stand between the entries. */
function entryOf(line: string): { readonly msg?: unknown; readonly removed?: unknown } {
  if (!line.startsWith("{")) return {};
  try {
    return JSON.parse(line) ?? {};
  } catch {
    return {};
  }
}

/**
 * Each of these counters grows with an entry in the log. A log that tells of fewer than counters that were read before it is not one to
 * go by. Pure.
 */
export function isComplete(events: LoggedEvents, ring: Readonly<Record<string, number>>): boolean {
  const { hand_over_failed = 0, hand_over_absent = 0, token_regenerated = 0 } = ring;
  const lost = Object.entries(ring).reduce((sum, [name, count]) => sum + (name.startsWith("lost_") ? count : 0), 0);
  return (
    events.removed >= hand_over_failed + hand_over_absent &&
    events.regenerated >= token_regenerated &&
    events.lost >= lost
  );
}

interface Snapshot {
  readonly epoch: number;
  readonly events: readonly LoggedEvents[];
  readonly incomplete: readonly string[];
}

/** What happened since this was asked the last time, or since it began; no daemon may be started anew in between. */
export class Membership {
  readonly #lab: Lab;
  #before: Snapshot;

  private constructor(lab: Lab, before: Snapshot) {
    this.#lab = lab;
    this.#before = before;
  }

  static async since(lab: Lab): Promise<Membership> {
    return new Membership(lab, await snapshotOf(lab));
  }

  async take(): Promise<MembershipFigures> {
    const before = this.#before;
    const after = await snapshotOf(this.#lab);
    if (after.incomplete.length > 0) {
      throw new Error(`the logs of ${after.incomplete.join(", ")} tell of fewer events than their counters`);
    }
    this.#before = after;
    const grown = (event: keyof LoggedEvents) =>
      after.events.reduce((sum, events, index) => sum + events[event] - (before.events[index]?.[event] ?? 0), 0);
    return {
      members_removed: grown("removed"),
      places_lost: grown("lost"),
      epochs_new: after.epoch - before.epoch,
      tokens_regenerated: grown("regenerated"),
    };
  }
}

/** Nobody has died: then nobody is taken out. */
export function promiseMembership(promises: Promises, figures: MembershipFigures, when: string): void {
  const { members_removed, places_lost } = figures;
  promises.expect(members_removed === 0, `${when}: living members were taken out of the view ${members_removed} times`);
  promises.expect(places_lost === 0, `${when}: living nodes lost their places ${places_lost} times`);
}

async function snapshotOf(lab: Lab): Promise<Snapshot> {
  const gateways = lab.gateways.filter((gateway) => gateway.service.kind === "rainfront");
  const statuses: readonly GatewayStatus[] = await Promise.all(gateways.map((each) => each.status(STATUS_TIMEOUT_MS)));
  // After the statuses, so that whatever they count is in the logs.
  const events = gateways.map((gateway) => loggedEvents(gateway.readLog()));
  const isWanting = (index: number) => !isComplete(events[index] as LoggedEvents, statuses[index]?.ring ?? {});
  return {
    epoch: Math.max(0, ...statuses.map((status) => status.epoch)),
    events,
    incomplete: gateways.filter((_, index) => isWanting(index)).map((gateway) => gateway.plan.name),
  };
}
