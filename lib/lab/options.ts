// The lab's command line. Pure; main.ts acts on the result.

import { parseArgs } from "node:util";
import { RainfrontError } from "../errors.js";
import { NODES_MAX, SERVERS_MAX } from "./plan.js";

export const SCENARIO_NAMES = ["traffic", "symmetry", "failover", "pause", "rejoin"] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

/** `none` is the control experiment: the gateways hold their VIPs as plain addresses and nobody steers. */
export const LAB_BACKENDS = ["af_packet", "none"] as const;
export type LabBackend = (typeof LAB_BACKENDS)[number];

export interface LabSettings {
  readonly nodes: number;
  readonly servers: number;
  readonly failoverTarget_ms: number;
  readonly backend: LabBackend;
}

export interface ScenarioOptions {
  readonly rounds: number;
  readonly connections: number;
}

export type RemoteCommand =
  | { readonly do: "kill" | "pause" | "revive"; readonly node: string }
  | { readonly do: "exec"; readonly host: string; readonly argv: readonly string[] };

export type LabOrder =
  | { readonly mode: "help" }
  | { readonly mode: "live"; readonly settings: LabSettings }
  | {
      readonly mode: "scenario";
      readonly scenario: ScenarioName;
      readonly settings: LabSettings;
      readonly options: ScenarioOptions;
      readonly json: boolean;
    }
  | { readonly mode: "remote"; readonly command: RemoteCommand };

const ROUNDS: Readonly<Record<ScenarioName, number>> = { traffic: 1, symmetry: 1, failover: 10, pause: 3, rejoin: 5 };

export const HELP = `usage: npm run lab [-- OPTIONS]                 the lab with a live table, until Ctrl-C
       npm run lab -- SCENARIO [OPTIONS]        one measured scenario
       npm run lab -- kill|pause|revive NODE    in a second terminal: do it to a gateway of the running lab
       npm run lab -- exec HOST -- COMMAND...   in a second terminal: run a command on a host of the running lab

scenarios
  traffic    HTTP and iperf3 through all gateways: goodput and errors
  symmetry   many TCP connections: each must be known to exactly one gateway's firewall
  failover   kills a whole gateway each round: how long is anything silent?
  pause      stops a daemon for 3 s each round: does it come back without harm?
  rejoin     kills and revives a gateway each round: does it own VIPs again, without a failed request?

options
  --nodes N          gateways, 1 to ${NODES_MAX} (default 3)
  --servers N        servers, 1 to ${SERVERS_MAX} (default 3)
  --rounds R         rounds of a scenario
  --connections N    connections of the symmetry scenario (default 10000)
  --target MS        failoverTarget_ms of the daemons (default 250)
  --backend NAME     ${LAB_BACKENDS.join(" or ")} (default af_packet; none: gateways with plain addresses, as a control)
  --json             the last line of stdout is one JSON object; progress goes to stderr
  --help

Hosts: gw1.. srv1.. client router sw-ext sw-int watch-ext watch-int probe-ext probe-int
Exit status: 0 the scenario's promise held, 1 it did not, 2 usage.
`;

export function parseOrder(argv: readonly string[]): LabOrder {
  if (argv[0] === "exec") return { mode: "remote", command: parseExec(argv.slice(1)) };
  const { values, positionals } = parseFlags(argv);
  if (values.help) return { mode: "help" };
  const [first, second, ...rest] = positionals;
  if (rest.length > 0) throw usage(`too many arguments: ${rest.join(" ")}`);
  if (first !== undefined && second !== undefined) {
    if (first !== "kill" && first !== "pause" && first !== "revive") throw usage(`unknown command: ${first} ${second}`);
    return { mode: "remote", command: { do: first, node: second } };
  }

  const backend = LAB_BACKENDS.find((name) => name === values.backend);
  if (backend === undefined) throw usage(`--backend must be ${LAB_BACKENDS.join(" or ")}, not ${values.backend}`);
  const settings: LabSettings = {
    nodes: whole("--nodes", values.nodes, 1, NODES_MAX),
    servers: whole("--servers", values.servers, 1, SERVERS_MAX),
    failoverTarget_ms: whole("--target", values.target, 50, 60_000),
    backend,
  };
  if (first === undefined) return { mode: "live", settings };

  const scenario = SCENARIO_NAMES.find((name) => name === first);
  if (scenario === undefined) throw usage(`unknown scenario: ${first}`);
  const options: ScenarioOptions = {
    rounds: whole("--rounds", values.rounds ?? String(ROUNDS[scenario]), 1, 10_000),
    connections: whole("--connections", values.connections, 1, 100_000),
  };
  return { mode: "scenario", scenario, settings, options, json: values.json };
}

function parseFlags(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h", default: false },
        json: { type: "boolean", default: false },
        nodes: { type: "string", default: "3" },
        servers: { type: "string", default: "3" },
        rounds: { type: "string" },
        connections: { type: "string", default: "10000" },
        target: { type: "string", default: "250" },
        backend: { type: "string", default: "af_packet" },
      },
    });
  } catch (error) {
    throw usage(error instanceof Error ? (error.message.split(". ")[0] ?? "") : String(error));
  }
}

function parseExec(argv: readonly string[]): RemoteCommand {
  const [host, ...rest] = argv;
  const command = rest[0] === "--" ? rest.slice(1) : rest;
  if (host === undefined || command.length === 0) throw usage("exec needs a host and a command: exec gw1 -- ip addr");
  return { do: "exec", host, argv: command };
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw usage(`${name} must be a whole number, ${min} to ${max}, not ${text}`);
}

function usage(message: string): RainfrontError {
  return new RainfrontError("RF_USAGE", message, { fix: "see: npm run lab -- --help" });
}
