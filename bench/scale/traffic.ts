// What `bench scale` sends through the gateways, to all servers at once: HTTP by wrk, and iperf3 in both directions.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { asLoad } from "../../lib/lab/host.js";
import { iperf } from "../../lib/lab/iperf.js";
import { STATE_ROOT } from "../../lib/lab/paths.js";
import { HTTP_PORT } from "../../lib/lab/plan.js";
import { serverFolder } from "../../lib/lab/servers.js";
import { waitFor } from "../../lib/lab/waiting.js";
import type { ScaleSite } from "./site.js";
import { type Receiver, receivedMbit_per_s, WARM_UP_MS } from "./streams.js";

export const LOADS = ["http", "iperf3 up", "iperf3 down"] as const;
export type Load = (typeof LOADS)[number];

export interface Goodput {
  readonly mbit_per_s: number;
  readonly errors: readonly string[];
}

/** Of a response; each has a connection of its own. */
const FILE_BYTES = 512 * 1024;
const FILE = "files/body";
/** At once, to each server. */
const HTTP_CONNECTIONS = 8;
/** Many that share a narrow link take their time. */
const HTTP_TIMEOUT_S = 20;
const IPERF_STREAMS = 4;
/** Longer than what is measured: until all streams are there, and a little at the end. */
const IPERF_MORE_S = WARM_UP_MS / 1000 + 4;
const REACH_DEADLINE_MS = 30_000;

const WRK_SCRIPT = `done = function(summary)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('{"bytes":%d,"duration_us":%d,"requests":%d,"failed":%d}\\n', summary.bytes, summary.duration, summary.requests, failed))
end
`;

const wrkSchema = z.object({ bytes: z.number(), duration_us: z.number(), requests: z.number(), failed: z.number() });
export type WrkReport = z.infer<typeof wrkSchema>;

/** What the script wrote, behind what wrk itself has to say. */
export function parseWrk(printed: string): WrkReport {
  return wrkSchema.parse(JSON.parse(printed.trim().split("\n").at(-1) ?? ""));
}

/** Every server has the file, and answers. */
export async function makeReady(site: ScaleSite): Promise<void> {
  for (const { name } of site.plan.servers) {
    mkdirSync(join(serverFolder(name), "files"), { recursive: true, mode: 0o755 });
    writeFileSync(join(serverFolder(name), FILE), Buffer.alloc(FILE_BYTES));
  }
  writeFileSync(scriptFile(), WRK_SCRIPT);
  await waitFor("every server answers", { deadline_ms: REACH_DEADLINE_MS }, async () => {
    const reports = await wrk(site, { path: "", seconds: 1, connections: 1 });
    const silent = site.plan.servers.filter((_, index) => (reports[index]?.requests ?? 0) === 0);
    return silent.length === 0 ? { met: true } : { unmet: `${silent.map(({ name }) => name).join(", ")} silent` };
  });
}

export async function carry(site: ScaleSite, load: Load, seconds: number): Promise<Goodput> {
  return load === "http" ? http(site, seconds) : iperf3(site, seconds, load === "iperf3 down");
}

async function http(site: ScaleSite, seconds: number): Promise<Goodput> {
  const reports = await wrk(site, { path: FILE, seconds, connections: HTTP_CONNECTIONS });
  const failed = reports.reduce((sum, report) => sum + report.failed, 0);
  return {
    mbit_per_s: reports.reduce((sum, { bytes, duration_us }) => sum + (8 * bytes) / duration_us, 0),
    errors: failed === 0 ? [] : [`${failed} HTTP requests failed`],
  };
}

async function wrk(
  { client, plan }: ScaleSite,
  { path, seconds, connections }: { readonly path: string; readonly seconds: number; readonly connections: number },
): Promise<readonly WrkReport[]> {
  const amount = ["--threads", "1", "--connections", String(connections), "--duration", `${seconds}s`];
  const rest = ["--timeout", `${HTTP_TIMEOUT_S}s`, "--script", scriptFile()];
  return Promise.all(
    plan.servers.map(async ({ addresses }) => {
      const url = `http://${addresses[0]}:${HTTP_PORT}/${path}`;
      return parseWrk(await client.run(asLoad(["wrk", ...amount, ...rest, url])));
    }),
  );
}

async function iperf3(site: ScaleSite, seconds: number, isReverse: boolean): Promise<Goodput> {
  const { client, plan, servers } = site;
  const runs = plan.servers.map(({ addresses }, index) => {
    const source = plan.clientAddresses[index % plan.clientAddresses.length] ?? "";
    const streams = IPERF_STREAMS;
    return iperf(client, {
      address: addresses[0] ?? "",
      source,
      seconds: seconds + IPERF_MORE_S,
      streams,
      isReverse,
    });
  });
  // Each has a connection more, for its orders.
  const connections = IPERF_STREAMS + 1;
  const receivers: Receiver[] = isReverse
    ? [{ host: client, end: "client", connections: connections * servers.length }]
    : servers.map((host) => ({ host, end: "server", connections }));
  const [rate, reports] = await Promise.all([receivedMbit_per_s(receivers, 1000 * seconds), Promise.all(runs)]);
  const errors = reports.flatMap(({ error }) => (error === undefined ? [] : [error]));
  return {
    mbit_per_s: rate ?? 0,
    errors: rate === undefined ? [...errors, "streams ended before they were measured"] : errors,
  };
}

function scriptFile(): string {
  return join(STATE_ROOT, "goodput.lua");
}
