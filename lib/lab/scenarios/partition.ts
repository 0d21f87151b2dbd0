// partition: each round both switches fall into two at the same moment, for some seconds, and are healed. Promise: all nodes
// are one group again within a bound; and, by the daemons' policy, `majority`: a VIP never has two owners, the smaller part
// falls silent within a lease, the larger one owns every VIP within the bound; `available`: both parts own every VIP, and are rid of
// double owners within a bound after they meet. Clients on the larger part's side notice a takeover and nothing else.

import { deriveTimers } from "../../raincore/timers.js";
import { waitForCluster } from "../cluster.js";
import type { Lab } from "../lab.js";
import { settledOwners_ms } from "../ownerTimes.js";
import { judgeSplit, type SplitLimits, type SplitRound, type SplitVerdict, splitLimits } from "../partitionJudge.js";
import { LoadedRounds, QUIET_MS } from "../rounds.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { daemonKnows, serviceOf } from "../services.js";
import { type Halves, halvesOf } from "../split.js";
import { rounded, spreadOf } from "../statistics.js";
import { CLUSTER_DEADLINE_MS } from "../takeover.js";
import { measureFor, now_ms, waitFor } from "../waiting.js";

type SinglePolicy = "available" | "majority";

const HOLD_MS = 3000;
const TIE_BREAKER = 1;
/** An owner whose latest answer is younger than this has the VIP: each is asked for more often than that. */
const FRESH_MS = 25;

export async function partition(run: ScenarioRun): Promise<Outcome> {
  const { lab, options } = run;
  const promises = new Promises();
  const { policy } = options;
  const figures: Record<string, unknown> = { rounds: options.rounds, hold_ms: HOLD_MS };
  await lab.startFarObserving();
  if (policy !== "majority") figures.available = await roundsOf("available", run, promises);
  if (policy !== "available") {
    const why = daemonKnows("quorum") ? undefined : "skipped: the daemon's configuration has no key quorum";
    figures.majority = why ?? (await withMajority(run, promises));
    promises.expect(why === undefined || policy === "both", `majority was asked for and could not be tested`);
  }
  return { broken: promises.broken, unjudged: promises.unjudged, figures };
}

async function withMajority(run: ScenarioRun, promises: Promises) {
  const { lab, say } = run;
  const service = serviceOf(lab.settings);
  if (service.kind !== "rainfront") return "skipped: plain addresses have no policy";
  await lab.deploy({ ...service, quorum: { policy: "majority", tieBreaker: TIE_BREAKER } }, say);
  return roundsOf("majority", run, promises);
}

async function roundsOf(policy: SinglePolicy, run: ScenarioRun, promises: Promises) {
  const { lab, options, say } = run;
  // The observers see it all, on both sides: probes would only be more work for a machine that carries two of everything.
  const rounds = await LoadedRounds.begin(lab, { isProbing: false });
  const { bound_ms } = await rounds.victim(0).status();
  const ids = lab.gateways.map((gateway) => gateway.plan.id);
  const parts = (round: number) => halvesOf(ids, round, TIE_BREAKER);
  const limits = splitLimits(deriveTimers(lab.settings.failoverTarget_ms), bound_ms, parts(0));
  const verdicts: SplitVerdict[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const { title, verdict, seen } = await oneRound(policy, lab, rounds, parts(round), limits);
    verdicts.push(verdict);
    if (verdict.broken.length > 0) lab.keep(`partition-${policy}-${round + 1}`, seen);
    for (const broken of verdict.broken) promises.expect(false, `${policy}, round ${round + 1}: ${broken}`);
    say(
      `${policy} ${round + 1}/${options.rounds}: ${title} apart, silence ${verdict.majority_gap_ms} ms; one group again after` +
        ` ${verdict.heal_ms.toFixed(0)} ms, two owners until ${verdict.double_owner_after_heal_ms.toFixed(0)} ms after the healing`,
    );
  }
  const requests = await rounds.end(promises);
  const stood = { stood_still_ms_max: rounded(rounds.stops.longest_ms) };
  return { bound_ms, ...figuresOf(policy, verdicts, limits), ...stood, requests };
}

async function oneRound(
  policy: SinglePolicy,
  lab: Lab,
  rounds: LoadedRounds,
  halves: Halves,
  limits: SplitLimits,
): Promise<{ title: string; verdict: SplitVerdict; seen: SplitRound }> {
  const part = (some: readonly number[]) => lab.gateways.filter((gateway) => some.includes(gateway.plan.id));
  const far = part(halves.minority).map((gateway) => gateway.plan.name);
  lab.resetTesters();
  await measureFor(300);
  await rounds.settle();
  const split = await lab.split(far);
  await waitForCluster(part(halves.majority), { deadline_ms: CLUSTER_DEADLINE_MS });
  rounds.note("takeover", split.from_ms, await waitForOwners(lab, split.from_ms));
  if (policy === "available") await waitForCluster(part(halves.minority), { deadline_ms: CLUSTER_DEADLINE_MS });
  await measureFor(Math.max(0, split.to_ms + HOLD_MS - now_ms()));
  await rounds.settle();
  const apart = { near: await lab.observe(), far: await lab.observeFar() };

  const heal = await lab.heal();
  await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS });
  const together_ms = now_ms();
  await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
  rounds.note("rejoin", heal.from_ms);
  await measureFor(QUIET_MS);
  const whole = { near: await lab.observe(), far: await lab.observeFar() };
  const seen = { split, heal, apart, whole, together_ms, stood_ms: await rounds.stops.take_ms() };
  return { title: far.join("+"), verdict: judgeSplit(policy, seen, limits), seen };
}

/** Resolves with the time at which the last of the VIPs came to its owner on the near side. */
async function waitForOwners(lab: Lab, since_ms: number): Promise<number> {
  return waitFor("every VIP is answered", { deadline_ms: CLUSTER_DEADLINE_MS }, async () => {
    const settled_ms = settledOwners_ms(await lab.observe(), since_ms, FRESH_MS);
    return settled_ms === undefined ? { unmet: "one is silent" } : { met: settled_ms };
  });
}

function figuresOf(policy: SinglePolicy, verdicts: readonly SplitVerdict[], limits: SplitLimits) {
  const spread = (figure: Exclude<keyof SplitVerdict, "broken">) =>
    spreadOf(verdicts.map((verdict) => verdict[figure]));
  const shared = {
    heal_ms: spread("heal_ms"),
    heal_limit_ms: rounded(limits.heal_ms),
    double_owner_ms: rounded(verdicts.reduce((sum, verdict) => sum + verdict.double_owner_ms, 0)),
    majority_gap_ms: spread("majority_gap_ms"),
    majority_gap_limit_ms: rounded(limits.majorityBound_ms),
    skew_ms_max: spread("skew_ms").max,
    resolution_ms_max: spread("resolution_ms").max,
  };
  if (policy === "majority") {
    return {
      ...shared,
      minority_last_answer_ms: spread("minority_last_answer_ms"),
      minority_last_answer_limit_ms: rounded(limits.lease_ms),
    };
  }
  return {
    ...shared,
    minority_gap_ms: spread("minority_gap_ms"),
    minority_gap_limit_ms: rounded(limits.minorityBound_ms),
    double_owner_while_split_ms: spread("double_owner_while_split_ms"),
    double_owner_after_heal_ms: spread("double_owner_after_heal_ms"),
    double_owner_after_heal_limit_ms: rounded(limits.doubleAfterHeal_ms),
  };
}
