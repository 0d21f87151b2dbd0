// Reads a gateway's connection table: which TCP connections does its firewall know, and how does it translate them?

import { RainfrontError } from "../errors.js";
import { outcomeOf } from "./commands.js";
import type { Host } from "./host.js";

/** One direction of a connection. */
export interface Tuple {
  readonly source: string;
  readonly sourcePort: number;
  readonly target: string;
  readonly targetPort: number;
}

/** Named by its original direction: as it was opened, before any translation. */
export interface Connection extends Tuple {
  /** As conntrack names it: TIME_WAIT, ESTABLISHED, … */
  readonly state: string;
  /** What its replies come with: the original direction reversed, where nothing is translated. */
  readonly reply: Tuple;
}

/** `198.51.100.10:40000>10.77.0.51:80`: the original direction, which names a connection in the whole lab. */
export function connectionKey(c: Tuple): string {
  return `${c.source}:${c.sourcePort}>${c.target}:${c.targetPort}`;
}

const TUPLE = /src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g;
const STATE = /^tcp\s+\d+\s+(?:\d+\s+)?([A-Z_0-9]+)\s/;

/** The TCP lines of what `conntrack -L` printed: on each the original direction, then that of the replies. */
export function parseConntrack(text: string): Connection[] {
  const connections: Connection[] = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith("tcp ")) continue;
    const [original, reply] = [...line.matchAll(TUPLE)].map(tupleOf);
    if (original === undefined || reply === undefined) continue;
    connections.push({ ...original, state: STATE.exec(line)?.[1] ?? "", reply });
  }
  return connections;
}

function tupleOf([, source = "", target = "", sourcePort, targetPort]: RegExpMatchArray): Tuple {
  return { source, sourcePort: Number(sourcePort), target, targetPort: Number(targetPort) };
}

/** In how many tables each connection is. One means that both its directions met the same firewall. */
export function tablesPerConnection(tables: readonly (readonly Connection[])[]): Map<string, number> {
  const count = new Map<string, number>();
  for (const table of tables) {
    for (const key of new Set(table.map(connectionKey))) count.set(key, (count.get(key) ?? 0) + 1);
  }
  return count;
}

export async function readConntrack(host: Host): Promise<Connection[]> {
  const tables = [];
  for (const family of ["ipv4", "ipv6"]) tables.push(await host.run(["conntrack", "-L", "-f", family, "-p", "tcp"]));
  return tables.flatMap(parseConntrack);
}

/** Removes the TCP connections that were opened from or to hosts of this subnet. */
export async function forgetConnections(host: Host, subnet: string): Promise<void> {
  const family = subnet.includes(":") ? "ipv6" : "ipv4";
  for (const end of ["--orig-src", "--orig-dst"]) {
    const argv = ["conntrack", "-D", "-f", family, "-p", "tcp", end, subnet];
    const { status, stderr } = await outcomeOf(host.inside(argv));
    // It calls it a failure when there was nothing to remove.
    if (status === 0 || /\b0 flow entries/.test(stderr)) continue;
    throw new RainfrontError("RF_LAB_COMMAND", `${argv.join(" ")} ended with status ${status}: ${stderr.trim()}`);
  }
}
