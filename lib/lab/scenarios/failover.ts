// failover: each round kills a whole gateway under probes and requests, waits for the survivors, lets them work, and revives it.
// Promise: nothing is silent for longer than the target allows, a VIP never has two owners, and a request that is begun
// once the takeover is complete does not fail.

import { waitForCluster } from "../cluster.js";
import type { Gateway } from "../gateway.js";
import { REQUEST_TIMEOUT_MS } from "../loadProtocol.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { rounded, spreadOf } from "../statistics.js";
import { CLUSTER_DEADLINE_MS, silences, waitForTakeover } from "../takeover.js";
import { judgeRequests, type Transition } from "../transitions.js";
import { measureFor, now_ms } from "../waiting.js";

export const REQUESTS_PER_S = 200;
/** What a busy machine may add to the bound that the daemons are configured for. */
const ALLOWANCE_MS = 50;
/** Long enough that a request begun right after the takeover has succeeded or failed before the next event. */
const QUIET_MS = REQUEST_TIMEOUT_MS + 200;

export async function failover({ lab, options, say }: ScenarioRun): Promise<Outcome> {
  const promises = new Promises();
  promises.expect(lab.gateways.length > 1, "a single gateway has nobody to take over from it");
  if (promises.broken.length > 0) return { broken: promises.broken, figures: { rounds: 0 } };

  const owners = new OwnershipTotals();
  const transitions: Transition[] = [];
  const longest_ms: number[] = [];
  const streams_ms: number[] = [];
  let prober_late_ms = 0;
  await lab.startProbing();
  lab.load.rate(REQUESTS_PER_S);
  for (let round = 0; round < options.rounds; round++) {
    const gateway = lab.gateways[round % lab.gateways.length] as Gateway;
    lab.resetTesters();
    await measureFor(200);
    const killed_ms = now_ms();
    await gateway.kill();
    const taken_ms = await waitForTakeover(lab, killed_ms);
    transitions.push({ kind: "takeover", from_ms: killed_ms, to_ms: taken_ms });
    await measureFor(QUIET_MS);
    const { gaps_ms, late_ms } = await silences(lab);
    longest_ms.push(Math.max(...gaps_ms));
    streams_ms.push(...gaps_ms);
    prober_late_ms = Math.max(prober_late_ms, late_ms);

    const revived_ms = now_ms();
    await gateway.revive();
    await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
    transitions.push({ kind: "rejoin", from_ms: revived_ms, to_ms: now_ms() });
    const seen = await lab.observe();
    owners.add(seen);
    const double_ms = seen.reduce((sum, report) => sum + report.double_owner_ms, 0);
    say(
      `round ${round + 1}/${options.rounds}: ${gateway.plan.name} killed, longest silence ${Math.max(...gaps_ms).toFixed(1)} ms` +
        ` (prober late ${late_ms.toFixed(1)} ms), back after ${((now_ms() - revived_ms) / 1000).toFixed(2)} s, two owners ${double_ms} ms`,
    );
  }
  await lab.load.stop();

  const gap_ms = spreadOf(longest_ms);
  const requests = judgeRequests(lab.load.takeResults(), transitions);
  const limit_ms = lab.settings.failoverTarget_ms + ALLOWANCE_MS;
  promises.expect(gap_ms.p95 <= limit_ms, `gap p95 ${gap_ms.p95} ms is over ${limit_ms} ms`);
  owners.promise(promises);
  promises.expect(
    requests.failed_after_takeover === 0,
    `${requests.failed_after_takeover} requests failed in quiet times`,
  );
  promises.expect(requests.ok > 0, "no request succeeded");
  return {
    broken: promises.broken,
    figures: {
      rounds: options.rounds,
      gap_ms,
      gap_per_stream_ms: spreadOf(streams_ms),
      prober_late_ms_max: rounded(prober_late_ms),
      ...owners.figures(),
      requests,
    },
  };
}
