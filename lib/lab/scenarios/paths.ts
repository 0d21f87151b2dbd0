// paths: the ring runs over both segments. Each round loses the ring's datagrams on one of them for some seconds, then on the
// other, and nothing else. Promise: nobody notices. Nobody is taken out of the view, no request fails, no VIP is silent for longer than with the
// ring whole, which is measured first in each round; and each daemon's status says which path is gone.

import type { GatewayStatus } from "../../api/controlProtocol.js";
import type { Lab } from "../lab.js";
import { Membership, type MembershipFigures, membershipSum, promiseMembership } from "../membership.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { RING_SEGMENTS, type Segment } from "../plan.js";
import { probeResolution_ms } from "../resolution.js";
import { pathCounts } from "../ringPaths.js";
import { LoadedRounds } from "../rounds.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { rounded, spreadOf } from "../statistics.js";
import { silences } from "../takeover.js";
import { measureFor, now_ms, waitFor } from "../waiting.js";

const HOLD_MS = 3000;
const SHOWN_DEADLINE_MS = 10_000;
/** What a machine that does other things may delay a probe: of the fail-over target, and in any case. A fault of the ring would be seen in the membership, or last longer. */
const SILENCE_PER_TARGET = 0.2;
const SILENCE_LIMIT_MS = 25;
/** A silence of this length with the ring whole is one of the machine's, in which a fault of the ring would not be seen. */
const TOO_BUSY_MS = 100;

export async function paths({ lab, options, say }: ScenarioRun): Promise<Outcome> {
  const promises = new Promises();
  const owners = new OwnershipTotals();
  const rounds = await LoadedRounds.begin(lab);
  const membership = await Membership.since(lab);
  const members: MembershipFigures[] = [];
  const judgeMembership = async (from_ms: number, when: string) => {
    const figures = await membership.take();
    members.push(figures);
    // A stop before this time may show only in it.
    await rounds.stops.take_ms();
    promises.excuse(rounds.stops.excuseFor(from_ms, now_ms()));
    promiseMembership(promises, figures, when);
    promises.excuse(undefined);
  };
  const isShown = (await statuses(lab)).every((status) => pathCounts(status) !== undefined);
  const silence_ms: Record<"whole" | Segment, number[]> = { whole: [], external: [], internal: [] };
  const shown_ms: number[] = [];
  for (let round = 0; round < options.rounds; round++) {
    let whole_ms = 0;
    for (const cut of [undefined, ...RING_SEGMENTS]) {
      lab.resetTesters();
      const from_ms = now_ms();
      if (cut !== undefined) await lab.cutRing(cut);
      if (cut !== undefined && isShown) shown_ms.push(await waitUntilShown(lab, cut, from_ms));
      await measureFor(Math.max(0, from_ms + HOLD_MS - now_ms()));
      const { gaps_ms, late_ms } = await silences(lab);
      const stood_ms = await rounds.stops.take_ms();
      owners.add(await lab.observe());
      await lab.heal();
      if (cut !== undefined && isShown) await waitUntilShown(lab, undefined, now_ms());
      const gap_ms = Math.max(...gaps_ms);
      const what = cut === undefined ? "whole" : `without ${cut}`;
      if (cut === undefined) whole_ms = gap_ms;
      const limit_ms = silenceLimit_ms(cut, whole_ms, Math.max(late_ms, stood_ms), lab.settings.failoverTarget_ms);
      silence_ms[cut ?? "whole"].push(gap_ms);
      if (gap_ms > limit_ms) lab.keep(`paths-${round + 1}-${what.replace(" ", "-")}`, await lab.probe());
      promises.expect(
        gap_ms <= limit_ms,
        `round ${round + 1}, ring ${what}: a VIP was silent for ${gap_ms} ms, over ${rounded(limit_ms)} ms`,
      );
      await judgeMembership(from_ms, `round ${round + 1}, ring ${what}`);
      say(`round ${round + 1}/${options.rounds}: ring ${what}, longest silence ${gap_ms.toFixed(1)} ms`);
    }
  }
  owners.promise(promises);
  const end_ms = now_ms();
  const requests = await rounds.end(promises);
  await judgeMembership(end_ms, "after the last round");
  return {
    broken: promises.broken,
    unjudged: promises.unjudged,
    figures: {
      rounds: options.rounds,
      hold_ms: HOLD_MS,
      ...membershipSum(members),
      silence_ms: {
        ring_whole: spreadOf(silence_ms.whole),
        without_internal: spreadOf(silence_ms.internal),
        without_external: spreadOf(silence_ms.external),
      },
      stood_still_ms_max: rounded(rounds.stops.longest_ms),
      path_shown_ms: isShown ? spreadOf(shown_ms) : "skipped: the daemons' status tells no paths",
      ...owners.figures(),
      requests,
    },
  };
}

/** Twice what the machine does by itself, and never less than what any machine may. */
function silenceLimit_ms(cut: Segment | undefined, whole_ms: number, late_ms: number, target_ms: number): number {
  if (cut === undefined) return TOO_BUSY_MS + probeResolution_ms(late_ms);
  const usual_ms = Math.min(Math.max(SILENCE_LIMIT_MS, SILENCE_PER_TARGET * target_ms), TOO_BUSY_MS);
  return Math.max(2 * Math.min(whole_ms, TOO_BUSY_MS), usual_ms + probeResolution_ms(late_ms));
}

async function statuses(lab: Lab): Promise<readonly GatewayStatus[]> {
  return Promise.all(lab.gateways.map((gateway) => gateway.status(5000)));
}

/**
 * Resolves when every daemon says that paths on this segment are gone, and none on the other; with how long that took. Not all paths: a
 * daemon notices where it sends, which is to the next member in the first place.
 */
async function waitUntilShown(lab: Lab, cut: Segment | undefined, since_ms: number): Promise<number> {
  const what = cut === undefined ? "all paths are shown as up" : `the path over ${cut} is shown as gone`;
  return waitFor(what, { deadline_ms: SHOWN_DEADLINE_MS }, async () => {
    for (const status of await statuses(lab)) {
      const counts = pathCounts(status);
      const isRight = RING_SEGMENTS.every((segment) => {
        const { up = 0, down = 0 } = counts?.[segment] ?? {};
        return segment === cut ? down > 0 : down === 0 && up > 0;
      });
      if (!isRight) return { unmet: `${status.node.name} says ${JSON.stringify(counts)}` };
    }
    return { met: now_ms() - since_ms };
  });
}
