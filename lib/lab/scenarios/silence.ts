// pause and crash: each round stops a gateway's daemon (all its threads) for three seconds and lets it go on, or kills it and starts it again; the
// gateway's kernel goes on all the while, with whatever the daemon has installed. Promise: it falls silent within its lease, by itself, the others take its
// VIPs over, it does no harm when it is back, and it comes back.

import { deriveTimers } from "../../raincore/timers.js";
import { frontMac } from "../../steering/frontMac.js";
import { waitForCluster } from "../cluster.js";
import { CLUSTER } from "../daemonConfig.js";
import type { Gateway } from "../gateway.js";
import type { ObserverReport } from "../observer.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { lastEnd_ms, ownerTimes, settledOwners_ms } from "../ownerTimes.js";
import { SEGMENTS } from "../plan.js";
import { observerResolution_ms } from "../resolution.js";
import { LoadedRounds } from "../rounds.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { rounded, spreadOf } from "../statistics.js";
import { CLUSTER_DEADLINE_MS, silences, waitForTakeover } from "../takeover.js";
import { measureFor, now_ms } from "../waiting.js";

const SILENT_MS = 3000;
/** An owner whose latest answer is younger than this has the VIP: each is asked for more often than that. */
const FRESH_MS = 25;

/** What is done to a daemon, and what ends it. */
interface Fault {
  readonly past: string;
  /** When it was done. */
  readonly begin: (gateway: Gateway) => Promise<number> | number;
  readonly end: (gateway: Gateway) => Promise<void> | void;
}

const PAUSE: Fault = { past: "stopped", begin: (gateway) => gateway.pause(), end: (gateway) => gateway.resume() };
const CRASH: Fault = { past: "killed", begin: (gateway) => gateway.crash(), end: (gateway) => gateway.startAgain() };

export const pause = (run: ScenarioRun): Promise<Outcome> => fallSilent(run, PAUSE);
export const crash = (run: ScenarioRun): Promise<Outcome> => fallSilent(run, CRASH);

async function fallSilent({ lab, options, say }: ScenarioRun, fault: Fault): Promise<Outcome> {
  const promises = new Promises();
  const owners = new OwnershipTotals();
  const { leaseOwn_ms } = deriveTimers(lab.settings.failoverTarget_ms);
  const longest_ms: number[] = [];
  const lastAnswer_ms: number[] = [];
  const rejoin_ms: number[] = [];
  const rounds = await LoadedRounds.begin(lab);
  for (let round = 0; round < options.rounds; round++) {
    const gateway = rounds.victim(round);
    const { name } = gateway.plan;
    lab.resetTesters();
    await rounds.settle();
    const began_ms = await fault.begin(gateway);
    // Resolves only when the others own every VIP: then this one has lost its own.
    const answered_ms = await waitForTakeover(lab, began_ms);
    // What goes on without its daemon answers for a while: nothing is silent, and the VIPs and flows move all the same.
    rounds.note(
      "takeover",
      began_ms,
      Math.max(answered_ms, settledOwners_ms(await lab.observe(), began_ms, FRESH_MS) ?? now_ms()),
    );
    await measureFor(Math.max(0, began_ms + SILENT_MS - now_ms()));
    const { gaps_ms } = await silences(lab);
    longest_ms.push(Math.max(...gaps_ms));
    const apart = await lab.observe();
    lastAnswer_ms.push(lastAnswerOf(gateway, apart, began_ms));
    const resolution_ms = observerResolution_ms(
      Math.max(...apart.map((report) => report.late_ms_max)),
      Math.max(...apart.map((report) => report.vips.length)),
    );
    await rounds.stops.take_ms();
    promises.excuse(rounds.stops.excuseFor(began_ms, began_ms + SILENT_MS));
    promises.expect(
      (lastAnswer_ms.at(-1) as number) <= leaseOwn_ms + resolution_ms,
      `round ${round + 1}: ${name} still answered ${rounded(lastAnswer_ms.at(-1) as number)} ms after it was ${fault.past}, over its lease` +
        ` of ${rounded(leaseOwn_ms)} + ${rounded(resolution_ms)} ms`,
    );
    promises.excuse(undefined);

    await rounds.settle();
    const ended_ms = now_ms();
    await fault.end(gateway);
    await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
    rejoin_ms.push(now_ms() - ended_ms);
    rounds.note("rejoin", ended_ms);
    await rounds.stops.take_ms();
    const seen = await lab.observe();
    owners.add(seen);
    const double_ms = seen.reduce((sum, report) => sum + report.double_owner_ms, 0);
    say(
      `round ${round + 1}/${options.rounds}: ${name} ${fault.past}, last answer after ${lastAnswer_ms.at(-1)?.toFixed(1)} ms, longest silence` +
        ` ${Math.max(...gaps_ms).toFixed(1)} ms, back after ${rejoin_ms.at(-1)?.toFixed(0)} ms, two owners ${double_ms} ms`,
    );
  }
  owners.promise(promises);
  const requests = await rounds.end(promises);
  return {
    broken: promises.broken,
    unjudged: promises.unjudged,
    figures: {
      rounds: options.rounds,
      silent_ms: SILENT_MS,
      rejoined: rejoin_ms.length,
      rejoin_ms: spreadOf(rejoin_ms),
      gap_ms: spreadOf(longest_ms),
      last_answer_ms: spreadOf(lastAnswer_ms),
      last_answer_limit_ms: rounded(leaseOwn_ms),
      stood_still_ms_max: rounded(rounds.stops.longest_ms),
      ...owners.figures(),
      requests,
    },
  };
}

/** How long after that the observers last heard it answer for a VIP; 0: not at all. */
function lastAnswerOf({ plan }: Gateway, reports: readonly ObserverReport[], since_ms: number): number {
  const macs = new Set(SEGMENTS.map((segment) => frontMac(CLUSTER, segment, plan.id)));
  return lastEnd_ms(
    ownerTimes(reports).filter(({ mac }) => macs.has(mac)),
    since_ms,
  );
}
