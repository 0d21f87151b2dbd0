// What became of held connections, and why those that did not go on stand still: how the gateways explain them, what every firewall knows of them, and the sockets at both ends.
// Used by the scenarios that hold connections.

import { callControl } from "../api/controlClient.js";
import { CONTROL_SOCKET_NAME } from "../config/options.js";
import { connectionKey, type Tuple } from "./conntrack.js";
import type { Gateway } from "./gateway.js";
import type { HeldResult } from "./heldProtocol.js";
import type { Host } from "./host.js";
import type { Lab } from "./lab.js";

/** Each takes a few processes in every gateway. */
const LOOKED_AT_MAX = 3;

export interface LostConnection {
  readonly connection: string;
  readonly error: string;
  /** As one of the gateways explains it (`rainfront explain`). */
  readonly explained: unknown;
  /** The lines of each gateway's firewall, and of the sockets at both ends. */
  readonly seen: Readonly<Record<string, string>>;
}

export function survivedOf(results: readonly HeldResult[]): number {
  return results.filter(({ error }) => error === undefined).length;
}

/** How many there are of each. */
export function errorsOf(results: readonly HeldResult[]): Record<string, number> {
  const errors: Record<string, number> = {};
  for (const { kind, error } of results)
    if (error !== undefined) errors[`${kind}: ${error}`] = (errors[`${kind}: ${error}`] ?? 0) + 1;
  return errors;
}

/** Of the first few that were lost; those that stand still do so until others are opened. */
export async function lookAtLost(lab: Lab, results: readonly HeldResult[]): Promise<LostConnection[]> {
  const lost: LostConnection[] = [];
  for (const result of results) {
    if (result.error === undefined) continue;
    if (lost.length === LOOKED_AT_MAX) break;
    lost.push({
      connection: connectionKey(result),
      error: `${result.kind}: ${result.error}`,
      explained: await explained(lab.gateways, result),
      seen: await seen(lab, result),
    });
  }
  return lost;
}

async function explained(gateways: readonly Gateway[], tuple: Tuple): Promise<unknown> {
  const gateway = gateways.find(({ state }) => state === "running");
  if (gateway === undefined) return "no gateway is running";
  const flow = `tcp ${endpoint(tuple.source, tuple.sourcePort)} > ${endpoint(tuple.target, tuple.targetPort)}`;
  try {
    return await callControl(`${gateway.stateDir}/${CONTROL_SOCKET_NAME}`, "explain", { flow });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function seen(lab: Lab, { source, sourcePort, target, targetPort }: Tuple): Promise<Record<string, string>> {
  const family = source.includes(":") ? "ipv6" : "ipv4";
  const ports = ["--sport", String(sourcePort), "--dport", String(targetPort)];
  const conntrack = ["conntrack", "-L", "-f", family, "-p", "tcp", "-s", source, "-d", target, ...ports];
  const socketsOf = (port: number) => ["ss", "-tniH", `( sport = :${port} or dport = :${port} )`];
  const looks: [string, Host, readonly string[]][] = [
    ...lab.gateways.map(({ plan, host }): [string, Host, readonly string[]] => [plan.name, host, conntrack]),
    ["client", lab.client, socketsOf(sourcePort)],
    ...lab.servers.map(({ host }): [string, Host, readonly string[]] => [host.name, host, socketsOf(sourcePort)]),
  ];
  const said = await Promise.all(looks.map(async ([name, host, argv]) => [name, await lineOf(host, argv)] as const));
  return Object.fromEntries(said.filter(([, line]) => line !== ""));
}

async function lineOf(host: Host, argv: readonly string[]): Promise<string> {
  try {
    return (await host.run(argv)).trim().replace(/\s+/g, " ");
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function endpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
