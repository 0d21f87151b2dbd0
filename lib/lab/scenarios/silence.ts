// pause: each round stops a gateway's daemon (all its threads) for three seconds and lets it go on.
// Promise: the others take its VIPs over, it does no harm on waking, and it comes back by itself.

import { waitForCluster } from "../cluster.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { LoadedRounds } from "../rounds.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { rounded, spreadOf } from "../statistics.js";
import { CLUSTER_DEADLINE_MS, silences, waitForTakeover } from "../takeover.js";
import { measureFor, now_ms } from "../waiting.js";

const PAUSE_MS = 3000;

export async function pause({ lab, options, say }: ScenarioRun): Promise<Outcome> {
  const promises = new Promises();
  const owners = new OwnershipTotals();
  const longest_ms: number[] = [];
  const rejoin_ms: number[] = [];
  let lostVips = 0;
  const rounds = await LoadedRounds.begin(lab);
  for (let round = 0; round < options.rounds; round++) {
    const gateway = rounds.victim(round);
    lab.resetTesters();
    await rounds.settle();
    const paused_ms = now_ms();
    gateway.pause();
    // Resolves only when the others own every VIP: then the stopped one has lost its own.
    rounds.note("takeover", paused_ms, await waitForTakeover(lab, paused_ms));
    lostVips++;
    await measureFor(Math.max(0, paused_ms + PAUSE_MS - now_ms()));
    const { gaps_ms } = await silences(lab);
    longest_ms.push(Math.max(...gaps_ms));

    await rounds.settle();
    const resumed_ms = now_ms();
    gateway.resume();
    await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
    rejoin_ms.push(now_ms() - resumed_ms);
    rounds.note("rejoin", resumed_ms);
    await rounds.stops.take_ms();
    const seen = await lab.observe();
    owners.add(seen);
    const double_ms = seen.reduce((sum, report) => sum + report.double_owner_ms, 0);
    say(
      `round ${round + 1}/${options.rounds}: ${gateway.plan.name} stopped, longest silence ${Math.max(...gaps_ms).toFixed(1)} ms,` +
        ` rejoined after ${(now_ms() - resumed_ms).toFixed(0)} ms, two owners ${double_ms} ms`,
    );
  }
  owners.promise(promises);
  const requests = await rounds.end(promises);
  return {
    broken: promises.broken,
    unjudged: promises.unjudged,
    figures: {
      rounds: options.rounds,
      pause_ms: PAUSE_MS,
      lost_vips: lostVips,
      rejoined: rejoin_ms.length,
      rejoin_ms: spreadOf(rejoin_ms),
      gap_ms: spreadOf(longest_ms),
      stood_still_ms_max: rounded(rounds.stops.longest_ms),
      ...owners.figures(),
      requests,
    },
  };
}
