// Was the promise of a split held in one round? From what the observers on both sides saw, and when the cut and its healing were.
// Pure; called by the partition scenario.

import { boundOfSeveral_ms, type Timers } from "../raincore/timers.js";
import type { CutTime } from "./lab.js";
import type { ObserverReport } from "./observer.js";
import { cutShort, doubleOwnerSpans, lastEnd_ms, ownersNow, ownerTimes, spanSum_ms } from "./ownerTimes.js";
import { observerResolution_ms, standstill_ms } from "./resolution.js";
import type { Halves } from "./split.js";
import { rounded } from "./statistics.js";

/** A VIP that was not answered for so long, at the end of a split, has no owner. */
const FRESH_MS = 100;
/** The promise of one group again, in bounds of the daemons. */
const HEAL_BOUNDS = 4;
/**
 * A cut that may have taken longer was perhaps none at one moment, but one after the other. What is measured ends when nft has ended, which waits
 * for the kernel's grace periods after its rules are in force: tens of milliseconds each on a busy machine.
 */
const SKEW_MAX_MS = 200;

/** Both sides' observers, one report per segment. */
export interface BothSides {
  readonly near: readonly ObserverReport[];
  readonly far: readonly ObserverReport[];
}

export interface SplitRound {
  readonly split: CutTime;
  readonly heal: CutTime;
  /** Just before the healing. */
  readonly apart: BothSides;
  /** From before the split until all was over. */
  readonly whole: BothSides;
  /** When all nodes were seen to be one group. */
  readonly together_ms: number;
  /** For how long a CPU of the lab's machine stood still, at most. */
  readonly stood_ms: number;
}

export interface SplitLimits {
  /** Until the larger part owns all VIPs, and until the smaller one does. */
  readonly majorityBound_ms: number;
  readonly minorityBound_ms: number;
  /** Until a node that is cut off answers for nothing. */
  readonly lease_ms: number;
  /** Until groups that meet again are rid of double owners. */
  readonly doubleAfterHeal_ms: number;
  /** Until all are one group. */
  readonly heal_ms: number;
}

export interface SplitVerdict {
  readonly broken: readonly string[];
  readonly heal_ms: number;
  /** Where nothing excuses it. */
  readonly double_owner_ms: number;
  /** While the sides could not hear each other; `available` allows it. */
  readonly double_owner_while_split_ms: number;
  /** From the healing to the end of the last double ownership. */
  readonly double_owner_after_heal_ms: number;
  readonly majority_gap_ms: number;
  /** `available`: the longest silence on the minority's side. */
  readonly minority_gap_ms: number;
  /** How long after the split anybody still answered on the minority's side. */
  readonly minority_last_answer_ms: number;
  /** How far apart the two segments may have been cut. */
  readonly skew_ms: number;
  readonly resolution_ms: number;
}

/** After a healing, one beacon interval and one lease are what it takes; a beacon leaves with the token, which may just rest. */
export function splitLimits(timers: Timers, bound_ms: number, halves: Halves): SplitLimits {
  const { lease_ms, beaconInterval_ms, rotation_ms } = timers;
  return {
    majorityBound_ms: boundOfSeveral_ms(timers, halves.minority.length),
    minorityBound_ms: boundOfSeveral_ms(timers, halves.majority.length),
    lease_ms,
    doubleAfterHeal_ms: lease_ms + beaconInterval_ms + rotation_ms,
    heal_ms: HEAL_BOUNDS * bound_ms,
  };
}

export function judgeSplit(policy: "available" | "majority", round: SplitRound, limits: SplitLimits): SplitVerdict {
  const { split, heal, apart, whole } = round;
  const every = [...apart.near, ...apart.far, ...whole.near, ...whole.far];
  const late_ms = Math.max(round.stood_ms, ...every.map((report) => report.late_ms_max));
  const vips = Math.max(...every.map((report) => report.vips.length));
  const resolution_ms = rounded(observerResolution_ms(late_ms, vips));
  const skew_ms = Math.max(split.to_ms - split.from_ms, heal.to_ms - heal.from_ms);
  const slack_ms = resolution_ms + skew_ms;

  const spans = doubleOwnerSpans(ownerTimes([...whole.near, ...whole.far]));
  // Each side by itself: there, nobody could fail to hear the other.
  const within_ms = [whole.near, whole.far]
    .map((side) => spanSum_ms(doubleOwnerSpans(ownerTimes(side)), 0, heal.from_ms))
    .reduce((a, b) => a + b);
  const total_ms = spanSum_ms(spans, 0, Number.MAX_SAFE_INTEGER);
  const figures = {
    heal_ms: rounded(round.together_ms - heal.to_ms),
    double_owner_ms: rounded(policy === "majority" ? total_ms : within_ms + spanSum_ms(spans, 0, split.from_ms)),
    double_owner_while_split_ms: rounded(spanSum_ms(spans, split.from_ms, heal.to_ms)),
    double_owner_after_heal_ms: rounded(lastEnd_ms(spans, heal.to_ms)),
    majority_gap_ms: longestSilence_ms(apart.near),
    minority_gap_ms: longestSilence_ms(apart.far),
    minority_last_answer_ms: rounded(lastEnd_ms(ownerTimes(apart.far), split.to_ms)),
    skew_ms: rounded(skew_ms),
    resolution_ms,
  };

  const broken: string[] = [];
  const expect = (held: boolean, otherwise: string) => {
    if (!held) broken.push(otherwise);
  };
  const within = (what: string, value_ms: number, limit_ms: number, more_ms = slack_ms) =>
    expect(
      value_ms <= limit_ms + more_ms,
      `${what} ${value_ms} ms, over ${rounded(limit_ms)} + ${rounded(more_ms)} ms`,
    );
  const silentWithin = (whose: string, gap_ms: number, limit_ms: number) =>
    within(
      `a VIP was silent on the ${whose}'s side for`,
      gap_ms,
      limit_ms,
      slack_ms + standstill_ms(limit_ms, late_ms),
    );
  for (const problem of evidenceProblems(round)) expect(false, problem);
  expect(skew_ms <= SKEW_MAX_MS, `the switches took ${rounded(skew_ms)} ms to obey: too long to judge the times by`);
  expect(figures.double_owner_ms === 0, `VIPs had two owners for ${figures.double_owner_ms} ms that nothing excuses`);
  within("one group again after", figures.heal_ms, limits.heal_ms);
  silentWithin("majority", figures.majority_gap_ms, limits.majorityBound_ms);
  for (const problem of ownerProblems(apart.near)) expect(false, `majority's side: ${problem}`);
  if (policy === "available") {
    silentWithin("minority", figures.minority_gap_ms, limits.minorityBound_ms);
    for (const problem of ownerProblems(apart.far)) expect(false, `minority's side: ${problem}`);
    within("two owners after the healing until", figures.double_owner_after_heal_ms, limits.doubleAfterHeal_ms);
  } else {
    within("the minority still answered after", figures.minority_last_answer_ms, limits.lease_ms);
  }
  return { broken, ...figures };
}

/** What would make a silent observer look like a promise that was held. */
function evidenceProblems({ apart, whole }: SplitRound): string[] {
  const problems: string[] = [];
  const every = [...apart.near, ...apart.far, ...whole.near, ...whole.far];
  if (apart.near.length === 0 || apart.far.length === 0) problems.push("a side was not observed");
  const blind = new Set(
    every.flatMap((report) => report.vips.filter((vip) => vip.answered === 0).map(({ vip }) => vip)),
  );
  if (blind.size > 0) problems.push(`an observer never had an answer for ${[...blind].join(", ")}`);
  const left = cutShort(every);
  if (left.length > 0) problems.push(`${left[0]} changed hands more often than an observer reports`);
  const leaks = [...whole.near, ...whole.far].reduce((sum, report) => sum + report.leaks, 0);
  if (leaks > 0) problems.push(`${leaks} packets showed a VIP that should not have`);
  const common = apart.near.flatMap((near) => {
    const seen = ownersNow(near, FRESH_MS).owners;
    const across = apart.far.flatMap((far) => [...ownersNow(far, FRESH_MS).owners]);
    return across.filter(([vip, mac]) => seen.get(vip) === mac);
  });
  if (common.length > 0) problems.push(`${common[0]?.[0]} was seen from both sides: the cut was none`);
  return problems;
}

function ownerProblems(side: readonly ObserverReport[]): string[] {
  // An observer that was kept from working has not asked for that long either.
  return side.flatMap((report) => ownersNow(report, FRESH_MS + report.late_ms_max).problem ?? []);
}

function longestSilence_ms(side: readonly ObserverReport[]): number {
  return rounded(Math.max(0, ...side.flatMap((report) => report.vips.map((vip) => vip.longest_silence_ms))));
}
