// failover: each round kills a whole gateway under probes and requests, waits for the survivors, lets them work, and revives it.
// Promise: neither after the loss nor at the return is anything silent for longer than the daemons themselves say, a VIP never has two owners,
// and a request that is begun once the takeover is complete does not fail. Then keepalived goes through the same, for comparison.

import { waitForCluster } from "../cluster.js";
import { besideEachOther } from "../comparison.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { peerRounds } from "../peer.js";
import { judgedSilence_ms, probeResolution_ms } from "../resolution.js";
import { LoadedRounds, QUIET_MS } from "../rounds.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { rounded, spreadOf } from "../statistics.js";
import { CLUSTER_DEADLINE_MS, silences, waitForAnswers, waitForTakeover } from "../takeover.js";
import { measureFor, now_ms } from "../waiting.js";

/** What the testers saw of one half of a round. */
interface Stretch {
  readonly gaps_ms: readonly number[];
  readonly gap_ms: number;
  readonly late_ms: number;
  readonly unowned_ms: number;
  readonly double_ms: number;
}

export async function failover(run: ScenarioRun): Promise<Outcome> {
  const { lab, options, say } = run;
  const promises = new Promises();
  const owners = new OwnershipTotals();
  const longest_ms: number[] = [];
  const streams_ms: number[] = [];
  const rejoins_ms: number[] = [];
  /** How far apart the links of a gateway went that died. */
  const skews_ms: number[] = [];
  /** Without an answer to a question for a VIP, over the whole round. */
  const unowned_ms: number[] = [];
  let prober_late_ms = 0;
  const rounds = await LoadedRounds.begin(lab);
  const { bound_ms } = await rounds.victim(0).status();
  /** Whatever is not asked for silence is asked for owners all the same: nothing of a round goes unseen. */
  const takeOwners = async (round: number, what: string): Promise<Pick<Stretch, "unowned_ms" | "double_ms">> => {
    const seen = await lab.observe();
    lab.resetTesters();
    owners.add(seen);
    const double_ms = seen.reduce((sum, report) => sum + report.double_owner_ms, 0);
    if (double_ms > 0)
      lab.keep(`owners-${round}-${what.replaceAll(" ", "-")}`, { now_ms: now_ms(), day_ms: Date.now(), seen });
    return {
      double_ms,
      unowned_ms: Math.max(...seen.flatMap(({ vips }) => vips.map((vip) => vip.longest_silence_ms))),
    };
  };
  const takeStretch = async (round: number, what: string, skew_ms: number): Promise<Stretch> => {
    const { gaps_ms, late_ms } = await silences(lab);
    const stood_ms = await rounds.stops.take_ms();
    const gap_ms = Math.max(...gaps_ms);
    const limit_ms = judgedSilence_ms(bound_ms, Math.max(late_ms, stood_ms)) + skew_ms;
    promises.expect(
      gap_ms <= limit_ms,
      `round ${round}: ${rounded(gap_ms)} ms of silence ${what}, the daemons promise ${bound_ms} ms (with what the machine added ${rounded(limit_ms)} ms)`,
    );
    prober_late_ms = Math.max(prober_late_ms, late_ms);
    return { gaps_ms, gap_ms, late_ms, ...(await takeOwners(round, what)) };
  };
  for (let round = 1; round <= options.rounds; round++) {
    const gateway = rounds.victim(round - 1);
    lab.resetTesters();
    await measureFor(200);
    await rounds.settle();
    await rounds.stops.take_ms();
    const killed_ms = now_ms();
    const skew_ms = await gateway.kill();
    skews_ms.push(skew_ms);
    rounds.note("takeover", killed_ms, await waitForTakeover(lab, killed_ms));
    await measureFor(QUIET_MS);
    const takeover = await takeStretch(round, "after the loss", skew_ms);
    longest_ms.push(takeover.gap_ms);
    streams_ms.push(...takeover.gaps_ms);

    gateway.bury();
    // So that each VIP was asked for meanwhile.
    await measureFor(200);
    await rounds.settle();
    const between = await takeOwners(round, "before the return");
    await rounds.stops.take_ms();
    const revived_ms = now_ms();
    await gateway.revive();
    await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
    await waitForAnswers(lab, revived_ms);
    rounds.note("rejoin", revived_ms);
    const rejoin = await takeStretch(round, "at the return", 0);
    rejoins_ms.push(rejoin.gap_ms);
    unowned_ms.push(Math.max(takeover.unowned_ms, between.unowned_ms, rejoin.unowned_ms));
    say(
      `round ${round}/${options.rounds}: ${gateway.plan.name} killed, longest silence ${takeover.gap_ms.toFixed(1)} ms` +
        ` (prober late ${takeover.late_ms.toFixed(1)} ms), back after ${((now_ms() - revived_ms) / 1000).toFixed(2)} s` +
        ` (longest silence ${rejoin.gap_ms.toFixed(1)} ms), two owners ${takeover.double_ms + between.double_ms + rejoin.double_ms} ms`,
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
      gap_at_return_ms: spreadOf(rejoins_ms),
      unowned_ms: spreadOf(unowned_ms),
      skew_ms_max: rounded(Math.max(...skews_ms)),
      prober_late_ms_max: rounded(prober_late_ms),
      stood_still_ms_max: rounded(rounds.stops.longest_ms),
      resolution_ms: rounded(probeResolution_ms(prober_late_ms)),
      ...owners.figures(),
      requests,
      keepalived,
    },
  };
}
