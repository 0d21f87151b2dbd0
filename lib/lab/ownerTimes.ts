// Who owned which VIP when, from the reports of several observers of one segment: each sees only its side of a split, and all
// share one clock. Pure; used by the scenarios in which more than one observer, or more than one MAC, is looked at.

import type { OwnershipReport } from "./observer.js";

/** An observer reports so many runs of a VIP, the latest ones; see native/testhost/ownership_report.cc. */
const RUNS_REPORTED = 32;

export interface OwnerTime {
  readonly vip: string;
  readonly mac: string;
  readonly from_ms: number;
  readonly to_ms: number;
}

export interface Span {
  readonly vip: string;
  readonly from_ms: number;
  readonly to_ms: number;
}

export function ownerTimes(reports: readonly OwnershipReport[]): OwnerTime[] {
  return reports.flatMap((report) =>
    report.vips.flatMap(({ vip, owners }) => owners.map(({ mac, from_ms, to_ms }) => ({ vip, mac, from_ms, to_ms }))),
  );
}

/** VIPs of which an observer has left out runs: what is known of them is not all. */
export function cutShort(reports: readonly OwnershipReport[]): string[] {
  return reports.flatMap((report) =>
    report.vips.filter(({ owners }) => owners.length >= RUNS_REPORTED).map(({ vip }) => vip),
  );
}

/** The times in which two MACs or more owned a VIP. The same MAC seen by two observers is one owner. */
export function doubleOwnerSpans(times: readonly OwnerTime[]): Span[] {
  const spans: Span[] = [];
  for (const vip of new Set(times.map((time) => time.vip))) {
    const open = new Map<string, number>();
    let since_ms = 0;
    for (const { mac, at_ms, change } of edgesOf(times.filter((time) => time.vip === vip))) {
      const before = open.size;
      const count = (open.get(mac) ?? 0) + change;
      if (count === 0) open.delete(mac);
      else open.set(mac, count);
      if (before < 2 && open.size >= 2) since_ms = at_ms;
      if (before >= 2 && open.size < 2 && at_ms > since_ms) spans.push({ vip, from_ms: since_ms, to_ms: at_ms });
    }
  }
  return spans;
}

/** Ends before beginnings at the same time: to touch is not to overlap. */
function edgesOf(times: readonly OwnerTime[]) {
  return times
    .filter((time) => time.to_ms > time.from_ms) // else it proves an instant, not a duration
    .flatMap(({ mac, from_ms, to_ms }) => [
      { mac, at_ms: from_ms, change: 1 },
      { mac, at_ms: to_ms, change: -1 },
    ])
    .sort((a, b) => a.at_ms - b.at_ms || a.change - b.change);
}

/** Milliseconds of the spans that lie between two times, summed over all VIPs. */
export function spanSum_ms(spans: readonly Span[], from_ms: number, to_ms: number): number {
  return spans.reduce(
    (sum, span) => sum + Math.max(0, Math.min(span.to_ms, to_ms) - Math.max(span.from_ms, from_ms)),
    0,
  );
}

/** How long after `since_ms` the last of the spans ended; 0 when none reaches that far. */
export function lastEnd_ms(spans: readonly { readonly to_ms: number }[], since_ms: number): number {
  return Math.max(0, ...spans.map((span) => span.to_ms - since_ms));
}

/**
 * When the last of the VIPs came to the owner that it has: not before `since_ms`. Undefined where one is answered for by nobody, not within `fresh_ms`.
 */
export function settledOwners_ms(
  reports: readonly (OwnershipReport & { readonly now_ms: number })[],
  since_ms: number,
  fresh_ms: number,
): number | undefined {
  let settled_ms = since_ms;
  for (const { now_ms, vips } of reports) {
    for (const { owners } of vips) {
      const latest = [...owners].sort((a, b) => a.to_ms - b.to_ms).at(-1);
      if (latest === undefined || now_ms - latest.to_ms > fresh_ms) return undefined;
      settled_ms = Math.max(settled_ms, latest.from_ms);
    }
  }
  return settled_ms;
}

/** The latest owner of every VIP, and what is wrong with it: silent for longer than `fresh_ms`, or not alone. */
export function ownersNow(
  report: OwnershipReport & { readonly now_ms: number },
  fresh_ms: number,
): { readonly owners: ReadonlyMap<string, string>; readonly problem: string | undefined } {
  const owners = new Map<string, string>();
  let problem: string | undefined;
  for (const { vip, owners: runs } of report.vips) {
    const macs = new Set(runs.filter((run) => report.now_ms - run.to_ms <= fresh_ms).map((run) => run.mac));
    const [mac] = macs;
    if (mac !== undefined) owners.set(vip, mac);
    if (macs.size !== 1)
      problem ??= `${vip} is answered for by ${macs.size === 0 ? "nobody" : [...macs].join(" and ")}`;
  }
  return { owners, problem };
}
