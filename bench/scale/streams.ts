// What TCP has delivered on the connections of iperf3, as the receiving hosts' kernels count it. All streams are there at both ends of the time that is measured:
// iperf3's own sums are of times that begin and end one after the other, and where streams share a link, one has more of it while another is not there. Used by traffic.ts.

import type { Host } from "../../lib/lab/host.js";
import { IPERF_PORT } from "../../lib/lab/plan.js";
import { measureFor, waitFor } from "../../lib/lab/waiting.js";

const BEGIN_DEADLINE_MS = 15_000;
/** TCP has found its rate by then, and what it lost on the way there has been sent again. */
export const WARM_UP_MS = 3000;

export interface Receiver {
  readonly host: Host;
  /** Which end of the connections it is. */
  readonly end: "client" | "server";
  /** So many connections it is to have. */
  readonly connections: number;
}

interface Reading {
  readonly at_ms: number;
  readonly connections: number;
  readonly bytes: number;
}

/** Of what `ss` prints with `-tinHO`, behind the time in nanoseconds. */
export function parseReading(printed: string): Reading {
  const [time = "", ...lines] = printed.trim().split("\n");
  const bytes = lines.map((line) => Number(/ bytes_received:(\d+)/.exec(line)?.[1] ?? 0));
  return { at_ms: Number(time) / 1e6, connections: lines.length, bytes: bytes.reduce((sum, each) => sum + each, 0) };
}

/** Mbit/s that all receivers together get, once all connections are open, for so long; undefined when some have ended meanwhile. */
export async function receivedMbit_per_s(receivers: readonly Receiver[], time_ms: number): Promise<number | undefined> {
  const complete = (readings: readonly Reading[]) =>
    readings.every(({ connections }, index) => connections >= (receivers[index]?.connections ?? 0));
  await waitFor("all streams are open", { deadline_ms: BEGIN_DEADLINE_MS, poll_ms: 100 }, async () => {
    const readings = await readAll(receivers);
    const open = readings.reduce((sum, { connections }) => sum + connections, 0);
    return complete(readings) ? { met: true } : { unmet: `${open} are` };
  });
  await measureFor(WARM_UP_MS);
  const before = await readAll(receivers);
  await measureFor(time_ms);
  const after = await readAll(receivers);
  if (!complete(before) || !complete(after)) return undefined;
  const rates = after.map(({ at_ms, bytes }, index) => {
    const { at_ms: from_ms, bytes: had } = before[index] ?? { at_ms: 0, bytes: 0 };
    return (8 * (bytes - had)) / 1000 / (at_ms - from_ms);
  });
  return rates.reduce((sum, rate) => sum + rate, 0);
}

async function readAll(receivers: readonly Receiver[]): Promise<readonly Reading[]> {
  return Promise.all(
    receivers.map(async ({ host, end }) => {
      const filter = `${end === "client" ? "dport" : "sport"} = :${IPERF_PORT}`;
      const script = 'date +%s%N; exec ss -tinHO state established "$0"';
      return parseReading(await host.run(["sh", "-c", script, filter]));
    }),
  );
}
