// pause: each round stops a gateway's daemon (all its threads) for three seconds and lets it go on.
// Promise: the others take its VIPs over, it does no harm on waking, and it comes back by itself.

import { waitForCluster } from "../cluster.js";
import type { Gateway } from "../gateway.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { spreadOf } from "../statistics.js";
import { CLUSTER_DEADLINE_MS, silences, waitForTakeover } from "../takeover.js";
import { judgeRequests, type Transition } from "../transitions.js";
import { measureFor, now_ms } from "../waiting.js";
import { REQUESTS_PER_S } from "./failover.js";

const PAUSE_MS = 3000;

export async function pause({ lab, options, say }: ScenarioRun): Promise<Outcome> {
  const promises = new Promises();
  promises.expect(lab.gateways.length > 1, "a single gateway has nobody to take over from it");
  if (promises.broken.length > 0) return { broken: promises.broken, figures: { rounds: 0 } };

  const owners = new OwnershipTotals();
  const transitions: Transition[] = [];
  const longest_ms: number[] = [];
  const rejoin_ms: number[] = [];
  let lostVips = 0;
  await lab.startProbing();
  lab.load.rate(REQUESTS_PER_S);
  for (let round = 0; round < options.rounds; round++) {
    const gateway = lab.gateways[round % lab.gateways.length] as Gateway;
    lab.resetTesters();
    const paused_ms = now_ms();
    gateway.pause();
    // Resolves only when the others own every VIP: then the stopped one has lost its own.
    const taken_ms = await waitForTakeover(lab, paused_ms);
    lostVips++;
    transitions.push({ kind: "takeover", from_ms: paused_ms, to_ms: taken_ms });
    await measureFor(Math.max(0, paused_ms + PAUSE_MS - now_ms()));
    const { gaps_ms } = await silences(lab);
    longest_ms.push(Math.max(...gaps_ms));

    const resumed_ms = now_ms();
    gateway.resume();
    await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
    rejoin_ms.push(now_ms() - resumed_ms);
    transitions.push({ kind: "rejoin", from_ms: resumed_ms, to_ms: now_ms() });
    const seen = await lab.observe();
    owners.add(seen);
    const double_ms = seen.reduce((sum, report) => sum + report.double_owner_ms, 0);
    say(
      `round ${round + 1}/${options.rounds}: ${gateway.plan.name} stopped, longest silence ${Math.max(...gaps_ms).toFixed(1)} ms,` +
        ` rejoined after ${(now_ms() - resumed_ms).toFixed(0)} ms, two owners ${double_ms} ms`,
    );
  }
  await lab.load.stop();

  const requests = judgeRequests(lab.load.takeResults(), transitions);
  owners.promise(promises);
  promises.expect(requests.ok > 0, "no request succeeded");
  promises.expect(
    requests.failed_after_takeover === 0,
    `${requests.failed_after_takeover} requests failed in quiet times`,
  );
  return {
    broken: promises.broken,
    figures: {
      rounds: options.rounds,
      pause_ms: PAUSE_MS,
      lost_vips: lostVips,
      rejoined: rejoin_ms.length,
      rejoin_ms: spreadOf(rejoin_ms),
      gap_ms: spreadOf(longest_ms),
      ...owners.figures(),
      requests,
    },
  };
}
