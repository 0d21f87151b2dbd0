// failover: each round kills a whole gateway under probes and requests, waits for the survivors, lets them work, and revives it.
// Promise: nothing is silent for longer than the daemons themselves say, a VIP never has two owners, and a request that is
// begun once the takeover is complete does not fail. Then keepalived goes through the same, for comparison.

import { waitForCluster } from "../cluster.js";
import { besideEachOther } from "../comparison.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { peerRounds } from "../peer.js";
import { judgedSilence_ms, probeResolution_ms } from "../resolution.js";
import { LoadedRounds, QUIET_MS } from "../rounds.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { rounded, spreadOf } from "../statistics.js";
import { CLUSTER_DEADLINE_MS, silences, waitForTakeover } from "../takeover.js";
import { measureFor, now_ms } from "../waiting.js";

export async function failover(run: ScenarioRun): Promise<Outcome> {
  const { lab, options, say } = run;
  const promises = new Promises();
  const owners = new OwnershipTotals();
  const longest_ms: number[] = [];
  const streams_ms: number[] = [];
  /** Without an answer to a question for a VIP, over the whole round: also when the gateway comes back, where nothing is promised about silence. */
  const unowned_ms: number[] = [];
  let prober_late_ms = 0;
  const rounds = await LoadedRounds.begin(lab);
  const { bound_ms } = await rounds.victim(0).status();
  for (let round = 0; round < options.rounds; round++) {
    const gateway = rounds.victim(round);
    lab.resetTesters();
    await measureFor(200);
    await rounds.settle();
    await rounds.stops.take_ms();
    const killed_ms = now_ms();
    await gateway.kill();
    rounds.note("takeover", killed_ms, await waitForTakeover(lab, killed_ms));
    await measureFor(QUIET_MS);
    const { gaps_ms, late_ms } = await silences(lab);
    const stood_ms = await rounds.stops.take_ms();
    const gap_ms = Math.max(...gaps_ms);
    longest_ms.push(gap_ms);
    streams_ms.push(...gaps_ms);
    prober_late_ms = Math.max(prober_late_ms, late_ms);
    const limit_ms = judgedSilence_ms(bound_ms, Math.max(late_ms, stood_ms));
    promises.expect(
      gap_ms <= limit_ms,
      `round ${round + 1}: ${rounded(gap_ms)} ms of silence, the daemons promise ${bound_ms} ms (with what the machine added ${rounded(limit_ms)} ms)`,
    );

    await rounds.settle();
    const revived_ms = now_ms();
    await gateway.revive();
    await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
    rounds.note("rejoin", revived_ms);
    await rounds.stops.take_ms();
    const seen = await lab.observe();
    owners.add(seen);
    unowned_ms.push(Math.max(...seen.flatMap(({ vips }) => vips.map((vip) => vip.longest_silence_ms))));
    const double_ms = seen.reduce((sum, report) => sum + report.double_owner_ms, 0);
    if (double_ms > 0) lab.keep(`owners-${round + 1}`, { now_ms: now_ms(), day_ms: Date.now(), seen });
    say(
      `round ${round + 1}/${options.rounds}: ${gateway.plan.name} killed, longest silence ${gap_ms.toFixed(1)} ms` +
        ` (prober late ${late_ms.toFixed(1)} ms), back after ${((now_ms() - revived_ms) / 1000).toFixed(2)} s, two owners ${double_ms} ms`,
    );
  }
  owners.promise(promises);
  const requests = await rounds.end(promises);

  const gap_ms = spreadOf(longest_ms);
  const keepalived = await peerRounds(run);
  const peerGap = typeof keepalived === "string" ? { note: keepalived } : { ...keepalived.gap_ms };
  for (const line of besideEachOther([
    ["longest silence in ms", { ...gap_ms }],
    ["keepalived", peerGap],
  ]))
    say(line);
  return {
    broken: promises.broken,
    unjudged: promises.unjudged,
    figures: {
      rounds: options.rounds,
      bound_ms,
      gap_ms,
      gap_per_stream_ms: spreadOf(streams_ms),
      unowned_ms: spreadOf(unowned_ms),
      prober_late_ms_max: rounded(prober_late_ms),
      stood_still_ms_max: rounded(rounds.stops.longest_ms),
      resolution_ms: rounded(probeResolution_ms(prober_late_ms)),
      ...owners.figures(),
      requests,
      keepalived,
    },
  };
}
