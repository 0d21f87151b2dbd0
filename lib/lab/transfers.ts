// FTP transfers on paper: which ones, what curl is told of them, and on which gateways their connections were. Pure; ftp.ts carries them out.

import { familyOf } from "../config/address.js";
import { RainfrontError } from "../errors.js";
import { type Connection, connectionKey, type Tuple } from "./conntrack.js";
import { FTP_PORT, ofFamilyOf } from "./plan.js";

/** How the data connection is asked for: opened by the client (passive) with EPSV and PASV, by the server (active) with EPRT and PORT. */
export type FtpCommand = "EPSV" | "EPRT" | "PASV" | "PORT";
const COMMANDS: Readonly<Record<4 | 6, readonly FtpCommand[]>> = {
  4: ["EPSV", "EPRT", "PASV", "PORT"],
  // The others have no room for its addresses.
  6: ["EPSV", "EPRT"],
};

/** Each transfer has ports of its own at the client, by which its connections are known in every table: two, and some to spare where one is taken. */
const PORTS_EACH = 4;
const FIRST_PORT = 20_000;
const LAST_PORT = 64_999;
const BLOCKS = Math.floor((LAST_PORT - FIRST_PORT + 1) / PORTS_EACH);

export interface Transfer {
  readonly command: FtpCommand;
  readonly source: string;
  readonly target: string;
  readonly firstPort: number;
}

/** Sources, ports, commands and targets in turn; `skip` so many of each source's ports, which other transfers had. */
export function transfersInTurn(
  total: number,
  sources: readonly string[],
  targets: readonly string[],
  skip = 0,
): Transfer[] {
  if (skip + portsNeeded(total, sources) > BLOCKS) {
    throw new RainfrontError("RF_USAGE", `${total} transfers are more than there are source ports`, {
      fix: "use a smaller --connections",
    });
  }
  return Array.from({ length: total }, (_, turn) => {
    const block = Math.floor(turn / sources.length);
    const source = sources[turn % sources.length] ?? "";
    const commands = COMMANDS[familyOf(source)];
    const reachable = ofFamilyOf(source, targets);
    return {
      command: commands[block % commands.length] ?? "EPSV",
      source,
      target: reachable[(turn + Math.floor(block / commands.length)) % reachable.length] ?? "",
      firstPort: FIRST_PORT + (skip + block) * PORTS_EACH,
    };
  });
}

/** So many of each source's blocks of ports do these transfers take. */
export function portsNeeded(total: number, sources: readonly string[]): number {
  return Math.ceil(total / sources.length);
}

/** One of the operations of a configuration file of curl. What it prints at its end is a line that `parseOutcomes` reads. */
export function curlOperation(
  { command, source, target, firstPort }: Transfer,
  file: string,
  output: string,
  limit_s: number,
): string {
  const isActive = command === "EPRT" || command === "PORT";
  const lastPort = firstPort + PORTS_EACH - 1;
  const inUrl = (address: string) => (familyOf(address) === 6 ? `[${address}]` : address);
  const dataPort = `${inUrl(source)}:${firstPort + 2}-${lastPort}`;
  return [
    `url = "ftp://${inUrl(target)}:${FTP_PORT}/${file}"`,
    "globoff",
    "silent",
    `interface = "${source}"`,
    `local-port = "${firstPort}-${isActive ? firstPort + 1 : lastPort}"`,
    ...(isActive ? [`ftp-port = "${dataPort}"`] : []),
    ...(command === "PORT" ? ["disable-eprt"] : []),
    ...(command === "PASV" ? ["disable-epsv"] : []),
    `max-time = ${limit_s}`,
    `output = "${output}"`,
    `write-out = "%{exitcode} %{errormsg}\\n"`,
  ].join("\n");
}

/** Of each operation in turn: undefined where it succeeded, else what curl said. */
export function parseOutcomes(printed: string): (string | undefined)[] {
  return printed
    .split("\n")
    .filter((line) => /^\d+ /.test(line))
    .map((line) => (line.startsWith("0 ") ? undefined : line.slice(line.indexOf(" ") + 1)));
}

/** Where a transfer's connections were seen. */
export interface Sighting {
  /** Its connections, by their keys. */
  readonly connections: number;
  /** Indices of the gateways that knew any of them. */
  readonly gateways: readonly number[];
  /** Its control connections, with the gateway that knew them. */
  readonly controls: readonly { readonly connection: Connection; readonly gateway: number }[];
}

/** Finds each transfer's connections in the gateways' tables by its end of them, whichever side opened them and however they were translated. */
export function sightings(
  transfers: readonly Transfer[],
  tables: readonly (readonly Connection[])[],
): readonly Sighting[] {
  const byEnd = new Map<string, { connection: Connection; gateway: number }[]>();
  for (const [gateway, table] of tables.entries()) {
    for (const connection of table) {
      for (const end of endsOf(connection)) {
        const seen = byEnd.get(end) ?? [];
        byEnd.set(end, seen);
        seen.push({ connection, gateway });
      }
    }
  }
  return transfers.map(({ source, firstPort }) => {
    const seen = Array.from({ length: PORTS_EACH }, (_, n) => byEnd.get(`${source}:${firstPort + n}`) ?? []).flat();
    return {
      connections: new Set(seen.map(({ connection }) => connectionKey(connection))).size,
      gateways: [...new Set(seen.map(({ gateway }) => gateway))],
      controls: seen.filter(({ connection }) => connection.targetPort === FTP_PORT),
    };
  });
}

function endsOf(connection: Connection): Set<string> {
  const of = ({ source, sourcePort, target, targetPort }: Tuple) => [
    `${source}:${sourcePort}`,
    `${target}:${targetPort}`,
  ];
  return new Set([...of(connection), ...of(connection.reply)]);
}

/** Control and data connection, once each, at one and the same gateway. */
export function isOnOneNode({ connections, gateways, controls }: Sighting): boolean {
  return connections === 2 && gateways.length === 1 && controls.length === 1;
}
