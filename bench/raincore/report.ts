// The figures of `bench raincore` as a table, ratios, goals and broken promises.

import { type BenchResult, type Figure, type Goal, NOT_MEASURED } from "../result.js";
import type { Failure, Measurement, PayloadFigures } from "./measure.js";

const OURS = "rainfront";
const OURS_FAST = "rainfront fast";
const PEER = "corosync";

/** `lasting`: it went on for long enough, and on a quiet machine, that a view change without a cause is a fault. */
export function resultOf(results: readonly (Measurement | Failure)[], lasting: boolean): BenchResult {
  const measurements = results.filter((one): one is Measurement => !("why" in one));
  const failures = results.filter((one): one is Failure => "why" in one);
  const broken = [
    ...failures.map(({ contender, nodes, why }) => `${contender}, ${nodes} nodes: ${why}`),
    ...measurements.flatMap((one) => [...faultsOf(one), ...(lasting ? viewFaultsOf(one) : [])]),
  ];
  return {
    bench: "raincore",
    ok: broken.length === 0,
    rows: [
      ...measurements.flatMap((measurement) => measurement.payloads.map((figures) => payloadRow(measurement, figures))),
      ...measurements.map(groupRow),
    ],
    figures: Object.fromEntries(ratios(measurements).map(([name, ratio]) => [name, round(ratio)])),
    goals: goalsOf(measurements, lasting),
    broken,
  };
}

function subjectOf({ contender, setting, nodes }: Measurement): Record<string, Figure> {
  return { system: contender, setting, nodes };
}

function payloadRow(measurement: Measurement, { bytes, flood, light }: PayloadFigures): Record<string, Figure> {
  return {
    ...subjectOf(measurement),
    bytes,
    messages_per_s: Math.round(flood.messages_per_s),
    cpu_us_per_message: round(flood.cpu_us_per_message),
    flood_p50_ms: round(flood.latency_p50_ms),
    flood_p99_ms: round(flood.latency_p99_ms),
    light_p50_ms: round(light.latency_p50_ms),
    light_p99_ms: round(light.latency_p99_ms),
  };
}

function groupRow(measurement: Measurement): Record<string, Figure> {
  return {
    ...subjectOf(measurement),
    rest_cpu_percent: round(measurement.rest.cpu_percent),
    rest_wakeups_per_s: round(measurement.rest.wakeups_per_s),
    kills: measurement.view_ms.length,
    view_p50_ms: round(median(measurement.view_ms)),
    view_max_ms: round(Math.max(...measurement.view_ms)),
    unexpected_views: measurement.unexpectedViews,
    unstable_settings: measurement.unstable.join("; "),
  };
}

/** Ours in its default setting to the best of corosync's encrypted ones, figure by figure. */
function ratios(measurements: readonly Measurement[]): [name: string, ratio: number][] {
  const figures: [string, number][] = [];
  const peers = measurements.filter((one) => one.contender.startsWith(PEER) && !one.contender.includes("unencrypted"));
  for (const ours of measurements.filter((one) => one.contender === OURS)) {
    const same = peers.filter((one) => one.nodes === ours.nodes);
    if (same.length === 0) continue;
    for (const { bytes, flood, light } of ours.payloads) {
      const theirs = same.flatMap((one) => one.payloads.filter((figures) => figures.bytes === bytes));
      if (theirs.length === 0) continue;
      const name = `${ours.nodes}_nodes_${bytes}_bytes`;
      const rate = Math.max(...theirs.map((one) => one.flood.messages_per_s));
      const latency = Math.min(...theirs.map((one) => one.light.latency_p50_ms));
      figures.push([`messages_ratio_${name}`, flood.messages_per_s / rate]);
      figures.push([`light_p50_ratio_${name}`, light.latency_p50_ms / latency]);
    }
    const name = `${ours.nodes}_nodes`;
    const ourFast = measurements.find((one) => one.contender === OURS_FAST && one.nodes === ours.nodes) ?? ours;
    const best = (figureOf: (one: Measurement) => number): number => Math.min(...same.map(figureOf));
    figures.push([`view_p50_ratio_${name}`, median(ours.view_ms) / best((one) => median(one.view_ms))]);
    // Both at the fastest setting that was stable.
    figures.push([`fast_view_p50_ratio_${name}`, median(ourFast.view_ms) / best((one) => median(one.view_ms))]);
    figures.push([`rest_cpu_ratio_${name}`, ours.rest.cpu_percent / best((one) => one.rest.cpu_percent)]);
    figures.push([`rest_wakeups_ratio_${name}`, ours.rest.wakeups_per_s / best((one) => one.rest.wakeups_per_s)]);
  }
  return figures;
}

const GOAL_NODES = 4;
const REST_CPU_PERCENT_MAX = 1;
const MESSAGES_RATIO_MIN = 1;
const VIEW_TIMES_FASTER_MIN = 5;

/** A quick run is too short, and not of the default setting: it has measured none of them. */
function goalsOf(measurements: readonly Measurement[], lasting: boolean): Goal[] {
  const ours = lasting ? measurements.filter((one) => one.contender === OURS && one.nodes <= GOAL_NODES) : [];
  const largest = [...ours].sort((a, b) => b.nodes - a.nodes)[0];
  const known = new Map(lasting ? ratios(measurements) : []);
  const ratio = (name: string): number => known.get(name) ?? Number.NaN;
  const restNodes = largest?.nodes ?? GOAL_NODES;
  return [
    goal(`CPU time at rest, of a core per node, ${restNodes} nodes`, {
      wanted: `at most ${REST_CPU_PERCENT_MAX} %`,
      got: largest?.rest.cpu_percent ?? Number.NaN,
      isMet: (got) => got <= REST_CPU_PERCENT_MAX,
    }),
    goal(`ordered multicast of 1 KiB, to ${PEER}'s, ${GOAL_NODES} nodes`, {
      wanted: `at least ${MESSAGES_RATIO_MIN} times`,
      got: ratio(`messages_ratio_${GOAL_NODES}_nodes_1024_bytes`),
      isMet: (got) => got >= MESSAGES_RATIO_MIN,
    }),
    goal(`kill to new view, how much faster than ${PEER}'s fastest stable setting, ${GOAL_NODES} nodes`, {
      wanted: `at least ${VIEW_TIMES_FASTER_MIN} times`,
      got: 1 / ratio(`view_p50_ratio_${GOAL_NODES}_nodes`),
      isMet: (got) => got >= VIEW_TIMES_FASTER_MIN,
    }),
  ];
}

/** Judged before it is rounded. */
function goal(
  what: string,
  { wanted, got, isMet }: { readonly wanted: string; readonly got: number; isMet(got: number): boolean },
): Goal {
  // No kill, or nothing to compare with, gives no number or an infinite one.
  if (!Number.isFinite(got)) return { goal: what, wanted, got: NOT_MEASURED, met: false };
  return { goal: what, wanted, got: round(got), met: isMet(got) };
}

/** Order and content are promised by every system; a comparison with one that breaks them means nothing. */
function faultsOf({ contender, nodes, payloads }: Measurement): string[] {
  return payloads.flatMap(({ bytes, flood, light }) =>
    [...flood.faults, ...light.faults].map((fault) => `${contender}, ${nodes} nodes, ${bytes} bytes: ${fault}`),
  );
}

/** The default is promised to be stable. The fast settings only say how fast is possible here. */
function viewFaultsOf({ contender, nodes, unexpectedViews }: Measurement): string[] {
  if (contender !== OURS || unexpectedViews === 0) return [];
  return [`${contender}, ${nodes} nodes: ${unexpectedViews} view changes without a cause`];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
