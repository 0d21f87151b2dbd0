// What every system is put through, and the figures of it. Called by measure.ts with a group that is complete.

import { measureFor } from "../../lib/lab/waiting.js";
import type { Group } from "./group.js";
import { Histogram } from "./histogram.js";
import type { Go, RunReport } from "./protocol.js";

/** Longer than any queue needs to drain. */
const DRAIN_MS_MAX = 20_000;

export interface TrafficFigures {
  /** Delivered by every node, per second. */
  readonly messages_per_s: number;
  /** From multicast to delivery, over all messages and receivers. */
  readonly latency_p50_ms: number;
  readonly latency_p99_ms: number;
  /** Of all nodes together. */
  readonly cpu_us_per_message: number;
  /** What was wrong with the order or the content; empty when nothing was. */
  readonly faults: readonly string[];
}

let lastRun = 0;

/** All nodes send. */
export async function traffic(group: Group, bytes: number, go: Go): Promise<TrafficFigures> {
  const run = ++lastRun;
  const members = group.members;
  for (const member of members) member.send({ command: "prepare", run, senders: members.length, bytes });
  await Promise.all(members.map((member) => member.prepared(run)));
  const cpuBefore_s = sum(group.cpu_s());
  for (const member of members) member.send({ command: "go", ...go });
  const reports = await Promise.all(members.map((member) => member.done(run, go.duration_ms + DRAIN_MS_MAX)));
  const cpu_s = sum(group.cpu_s()) - cpuBefore_s;

  const sent = sum(reports.map((report) => report.sent));
  const started_us = Math.min(...reports.map((report) => report.started_us));
  const ended_us = Math.max(...reports.map((report) => report.ended_us));
  const latency = mergedLatency(reports);
  return {
    messages_per_s: (sent * 1e6) / (ended_us - started_us),
    latency_p50_ms: latency.percentile_us(0.5) / 1000,
    latency_p99_ms: latency.percentile_us(0.99) / 1000,
    cpu_us_per_message: (cpu_s * 1e6) / sent,
    faults: faultsOf(reports, sent),
  };
}

function faultsOf(reports: readonly RunReport[], sent: number): string[] {
  const hashes = new Set(reports.map((report) => report.hash));
  const delivered = reports.filter((report) => report.delivered !== sent).length;
  const wrong = sum(reports.map((report) => report.wrong));
  return [
    ...(hashes.size === 1 ? [] : [`${hashes.size} different orders on ${reports.length} nodes`]),
    ...(delivered === 0 ? [] : [`${delivered} nodes did not deliver the ${sent} messages that were sent`]),
    ...(wrong === 0 ? [] : [`${wrong} messages out of their sender's order, or with other content`]),
  ];
}

function mergedLatency(reports: readonly RunReport[]): Histogram {
  const merged = new Histogram();
  for (const report of reports) for (const [bucket, count] of report.latency) merged.addToBucket(bucket, count);
  return merged;
}

export interface RestFigures {
  /** Of one core, mean over the nodes. */
  readonly cpu_percent: number;
  /** Voluntary context switches per second of one node's threads, mean over the nodes. */
  readonly wakeups_per_s: number;
}

export async function rest(group: Group, warmUp_s: number, seconds: number): Promise<RestFigures> {
  await measureFor(warmUp_s * 1000);
  const nodes = group.members.length;
  const before = { cpu_s: sum(group.cpu_s()), wakeups: sum(group.wakeups()) };
  await measureFor(seconds * 1000);
  return {
    cpu_percent: ((sum(group.cpu_s()) - before.cpu_s) * 100) / seconds / nodes,
    wakeups_per_s: (sum(group.wakeups()) - before.wakeups) / seconds / nodes,
  };
}

/** A random part of this goes by before each kill, so that the token is anywhere. */
const PHASE_MS = 500;

/** Times from SIGKILL to the new view at the last survivor, in milliseconds, one node after the other. */
export async function kills(group: Group, count: number): Promise<number[]> {
  const times_ms: number[] = [];
  for (let kill = 0; kill < count; kill++) {
    await measureFor(PHASE_MS * (1 + Math.random()));
    const victim = group.nodeIds[kill % group.nodeIds.length] ?? 0;
    times_ms.push(Math.max(...(await group.kill(victim))));
    await group.restart(victim);
  }
  return times_ms;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
