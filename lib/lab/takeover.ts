// Waiting for the survivors of a lost gateway to have taken over, and measuring how long anything was silent. Used by the
// scenarios that kill or pause.

import { waitForCluster } from "./cluster.js";
import type { Lab } from "./lab.js";
import type { ProbedTarget, ProbeReport } from "./probes.js";
import { waitFor } from "./waiting.js";

/** A stream whose latest answer is younger than this is alive: probes go out every millisecond. */
const ALIVE_MS = 25;
/** Shorter silences are the machine's noise and do not tell when a takeover was complete. */
const NOISE_MS = 10;

export const CLUSTER_DEADLINE_MS = 15_000;

/** Resolves with the time at which every VIP answered again, and the gateways that live are a group by themselves. */
export async function waitForTakeover(lab: Lab, since_ms: number): Promise<number> {
  await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS });
  return waitForAnswers(lab, since_ms);
}

/** Resolves with the time at which every VIP answered again to the probers. */
export async function waitForAnswers(lab: Lab, since_ms: number): Promise<number> {
  return waitFor("every VIP answers", { deadline_ms: CLUSTER_DEADLINE_MS }, async () => {
    const reports = await lab.probe();
    const silent = reports.flatMap((report) => silentTargets(report));
    if (silent.length > 0) return { unmet: `${silent.map((target) => target.target).join(", ")} silent` };
    return { met: takeoverEnd(reports, since_ms) };
  });
}

function silentTargets(report: ProbeReport): ProbedTarget[] {
  return report.targets.filter((target) => report.now_ms - target.last_answer_ms > ALIVE_MS);
}

/** The end of the last silence that followed the loss. */
export function takeoverEnd(reports: readonly ProbeReport[], since_ms: number): number {
  const ends = reports.flatMap((report) =>
    report.targets
      .filter((target) => target.gap_ms >= NOISE_MS && target.gap_to_ms !== null && target.gap_to_ms >= since_ms)
      .map((target) => target.gap_to_ms ?? since_ms),
  );
  return Math.max(since_ms, ...ends);
}

/** The longest silence of each probe stream in the current window, and how long the probers themselves were kept waiting. */
export async function silences(lab: Lab): Promise<{ readonly gaps_ms: readonly number[]; readonly late_ms: number }> {
  const reports = await lab.probe();
  const gaps_ms = reports.flatMap((report) => report.targets.map((target) => target.gap_ms));
  if (gaps_ms.length === 0) throw new Error("the probers had nothing to probe");
  return {
    gaps_ms,
    late_ms: Math.max(...reports.map((report) => report.late_ms_max)),
  };
}
