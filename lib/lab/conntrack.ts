// Reads a gateway's connection table: which TCP connections does its firewall know?

import type { Host } from "./host.js";

export interface Connection {
  readonly source: string;
  readonly sourcePort: number;
  readonly target: string;
  readonly targetPort: number;
  /** As conntrack names it: TIME_WAIT, ESTABLISHED, … */
  readonly state: string;
}

/** `198.51.100.10:40000>10.77.0.51:80`: the original direction, which names a connection in the whole lab. */
export function connectionKey(c: Pick<Connection, "source" | "sourcePort" | "target" | "targetPort">): string {
  return `${c.source}:${c.sourcePort}>${c.target}:${c.targetPort}`;
}

/** The TCP lines of what `conntrack -L` printed. The first src, dst, sport and dport are those of the original direction. */
export function parseConntrack(text: string): Connection[] {
  const connections: Connection[] = [];
  for (const line of text.split("\n")) {
    const words = line.trim().split(/\s+/);
    if (words[0] !== "tcp") continue;
    const first = (name: string) => words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
    const [source, target, sport, dport] = [first("src"), first("dst"), first("sport"), first("dport")];
    if (source === undefined || target === undefined || sport === undefined || dport === undefined) continue;
    const state = words.find((word) => /^[A-Z_0-9]+$/.test(word) && /[A-Z]/.test(word)) ?? "";
    connections.push({ source, sourcePort: Number(sport), target, targetPort: Number(dport), state });
  }
  return connections;
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
