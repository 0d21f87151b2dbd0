// The figures of `bench raincore` as a table, ratios and broken promises.

import type { BenchResult, Figure } from "../result.js";
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
    figures: ratios(measurements),
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
function ratios(measurements: readonly Measurement[]): Record<string, Figure> {
  const figures: Record<string, Figure> = {};
  const peers = measurements.filter((one) => one.contender.startsWith(PEER) && !one.contender.includes("unencrypted"));
  for (const ours of measurements.filter((one) => one.contender === OURS)) {
    const same = peers.filter((one) => one.nodes === ours.nodes);
    if (same.length === 0) continue;
    for (const { bytes, flood, light } of ours.payloads) {
      const theirs = same.flatMap((one) => one.payloads.filter((figures) => figures.bytes === bytes));
      const name = `${ours.nodes}_nodes_${bytes}_bytes`;
      const rate = Math.max(...theirs.map((one) => one.flood.messages_per_s));
      const latency = Math.min(...theirs.map((one) => one.light.latency_p50_ms));
      figures[`messages_ratio_${name}`] = round(flood.messages_per_s / rate);
      figures[`light_p50_ratio_${name}`] = round(light.latency_p50_ms / latency);
    }
    const name = `${ours.nodes}_nodes`;
    const ourFast = measurements.find((one) => one.contender === OURS_FAST && one.nodes === ours.nodes) ?? ours;
    const best = (figureOf: (one: Measurement) => number): number => Math.min(...same.map(figureOf));
    figures[`view_p50_ratio_${name}`] = round(median(ours.view_ms) / best((one) => median(one.view_ms)));
    // Both at the fastest setting that was stable.
    figures[`fast_view_p50_ratio_${name}`] = round(median(ourFast.view_ms) / best((one) => median(one.view_ms)));
    figures[`rest_cpu_ratio_${name}`] = round(ours.rest.cpu_percent / best((one) => one.rest.cpu_percent));
    figures[`rest_wakeups_ratio_${name}`] = round(ours.rest.wakeups_per_s / best((one) => one.rest.wakeups_per_s));
  }
  return figures;
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
