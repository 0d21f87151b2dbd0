// The lab's command line. Pure; main.ts acts on the result.

import { parseArgs } from "node:util";
import type { AddressFamily } from "../config/address.js";
import { ASSIGNMENTS, type Assignment, type Stickiness } from "../config/config.js";
import { DEFAULTS } from "../config/options.js";
import { RainfrontError } from "../errors.js";
import { FAILOVER_TARGET_MAX_MS, FAILOVER_TARGET_MIN_MS } from "../raincore/timers.js";
import { NODES_MAX, SERVERS_MAX } from "./plan.js";
import { changesFlowKey, NATS, type Nat } from "./translation.js";

export const SCENARIO_NAMES = [
  "traffic",
  "symmetry",
  "failover",
  "pause",
  "crash",
  "rejoin",
  "upgrade",
  "partition",
  "paths",
  "stress",
  "survive",
  "drain",
  "rolling",
] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

/** `none` is the control experiment: the gateways hold their VIPs as plain addresses and nobody steers. */
export const LAB_BACKENDS = ["xdp", "af_packet", "none"] as const;
export type LabBackend = (typeof LAB_BACKENDS)[number];

export const FAMILY_CHOICES = ["4", "6", "both"] as const;
export type FamilyChoice = (typeof FAMILY_CHOICES)[number];

/** What a part of a split group may do; `both`: one after the other. */
export const POLICIES = ["available", "majority", "both"] as const;
export type Policy = (typeof POLICIES)[number];

export const NAT_CHOICES = [...NATS, "all"] as const;

/** What the layer is compared with. */
export const PEERS = ["keepalived", "none"] as const;
export type Peer = (typeof PEERS)[number];

export interface LabSettings {
  readonly nodes: number;
  readonly servers: number;
  readonly failoverTarget_ms: number;
  readonly backend: LabBackend;
  /** Of the VIPs, and of all that is carried. */
  readonly families: readonly AddressFamily[];
  /** The daemons' setting. */
  readonly keepConnections: boolean;
  readonly assignment: Assignment;
  readonly stickiness: Stickiness;
}

export interface ScenarioOptions {
  readonly rounds: number;
  readonly connections: number;
  /** Of one phase. */
  readonly seconds: number;
  readonly policy: Policy;
  readonly peer: Peer;
  /** What the firewalls translate, one after the other. */
  readonly nats: readonly Nat[];
  /** FTP's connections in place of HTTP's. */
  readonly ftp: boolean;
  /** Both directions together. */
  readonly packets_per_s: number;
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

const FAMILIES_OF: Readonly<Record<FamilyChoice, readonly AddressFamily[]>> = { "4": [4], "6": [6], both: [4, 6] };

const NODES = 3;
/** Five fall into two and three: both parts are groups, and only one of them has more than half. */
const NODES_OF: Readonly<Partial<Record<ScenarioName, number>>> = { partition: 5, survive: 4, drain: 4, rolling: 4 };

/** With packet rings nothing goes on without the daemon. */
const BACKEND_OF: Readonly<Partial<Record<ScenarioName, LabBackend>>> = { upgrade: "xdp" };

const ROUNDS: Readonly<Record<ScenarioName, number>> = {
  traffic: 1,
  symmetry: 1,
  failover: 10,
  pause: 3,
  crash: 3,
  rejoin: 5,
  upgrade: 3,
  partition: 5,
  paths: 3,
  stress: 1,
  survive: 3,
  drain: 4,
  rolling: 4,
};
const CONNECTIONS: Readonly<Partial<Record<ScenarioName, number>>> = { survive: 2000, drain: 2000, rolling: 2000 };
/** Where it is what the scenario is about. */
const KEEPING: readonly ScenarioName[] = ["survive", "drain", "rolling"];
const CONNECTIONS_DEFAULT = 10_000;
const CONNECTIONS_FTP = 1000;

export const HELP = `usage: npm run lab [-- OPTIONS]                 the lab with a live table, until Ctrl-C
       npm run lab -- SCENARIO [OPTIONS]        one measured scenario
       npm run lab -- kill|pause|revive NODE    in a second terminal: do it to a gateway of the running lab
       npm run lab -- exec HOST -- COMMAND...   in a second terminal: run a command on a host of the running lab

scenarios (docs/lab.md says what each promises)
  traffic    HTTP and iperf3 through all gateways: goodput and errors
  symmetry   many TCP connections: each must be known to exactly one gateway's firewall
  failover   kills a whole gateway each round: how long is anything silent? Then the same with keepalived
  pause      stops a daemon for 3 s each round: does it fall silent within its lease, and come back without harm?
  crash      kills a daemon (SIGKILL) each round, its kernel and XDP program go on, and starts it again: the same
  rejoin     kills and revives a gateway each round: does it own VIPs again, without a failed request?
  upgrade    restarts each daemon under a stream of packets, with the others' agreement: is one lost? (XDP)
  partition  splits both segments in two each round and heals them: who owns what meanwhile, one group afterwards?
  paths      cuts the ring on one segment, then on the other, each round: does anybody notice?
  survive    holds connections open and kills a gateway each round: do they go on? Then the same with keepalived and conntrackd
  drain      takes each gateway out of service in turn, and brings it back: is a connection or a request lost?
  rolling    the same without letting it give its connections away first: do they go on?
  stress     keeps every core busy while nobody dies: false takeovers of the layer, and of keepalived beside it

options
  --nodes N          gateways, 1 to ${NODES_MAX} (default ${NODES}; partition ${NODES_OF.partition}, survive ${NODES_OF.survive})
  --servers N        servers, 1 to ${SERVERS_MAX} (default 3)
  --target MS        failoverTarget_ms of the daemons (default ${DEFAULTS.failoverTarget_ms})
  --backend NAME     ${LAB_BACKENDS.join(", ")} (default af_packet; upgrade xdp; none: gateways with plain addresses, as a control)
  --family NAME      ${FAMILY_CHOICES.join(", ")}: of the VIPs and all traffic (default 4; keepalived is compared with 4 only)
  --rounds R         rounds of failover (default ${ROUNDS.failover}), pause (${ROUNDS.pause}), crash (${ROUNDS.crash}), rejoin (${ROUNDS.rejoin}), upgrade (${ROUNDS.upgrade}), partition (${ROUNDS.partition}, of each policy), paths (${ROUNDS.paths}), survive (${ROUNDS.survive}), drain and rolling (${ROUNDS.drain})
  --connections N    connections of symmetry (default ${CONNECTIONS_DEFAULT}) and of a round of survive, drain and rolling (${CONNECTIONS.survive})
  --policy NAME      partition: ${POLICIES.join(", ")} (default both, one after the other)
  --peer NAME        failover, stress, survive: ${PEERS.join(" or ")} (default keepalived)
  --assignment NAME  who handles a flow: ${ASSIGNMENTS.join(", ")} (default authority)
  --nat NAME         symmetry: what the firewalls translate: ${NAT_CHOICES.join(", ")} (default none; all: one after the other)
  --ftp              symmetry: FTP transfers of two connections each, ${CONNECTIONS_FTP} by default, in place of HTTP requests
  --pps N            upgrade: packets a second through the layer, both directions together (default 50000)
  --seconds S        stress: length of each phase (default 300)
  --json             the last line of stdout is one JSON object; progress goes to stderr
  --help

Hosts: gw1.. srv1.. client router sw-ext sw-int watch-ext watch-int probe-ext probe-int, while a partition runs far-ext far-int
Exit status: 0 the scenario's promise held, 1 it did not, 2 usage.
What cannot be done here is skipped; its place in the result says "skipped: WHY".
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

  const scenario = SCENARIO_NAMES.find((name) => name === first);
  if (first !== undefined && scenario === undefined) throw usage(`unknown scenario: ${first}`);
  const ftp = scenario === "symmetry" && values.ftp;
  const nodes = scenario === undefined ? NODES : (NODES_OF[scenario] ?? NODES);
  const settings: LabSettings = {
    nodes: whole("--nodes", values.nodes ?? String(nodes), 1, NODES_MAX),
    servers: whole("--servers", values.servers, 1, SERVERS_MAX),
    failoverTarget_ms: whole("--target", values.target, FAILOVER_TARGET_MIN_MS, FAILOVER_TARGET_MAX_MS),
    backend: oneOf("--backend", values.backend ?? BACKEND_OF[scenario ?? "traffic"] ?? "af_packet", LAB_BACKENDS),
    families: FAMILIES_OF[oneOf("--family", values.family, FAMILY_CHOICES)],
    keepConnections: scenario !== undefined && KEEPING.includes(scenario),
    assignment: oneOf("--assignment", values.assignment, ASSIGNMENTS),
    // What FTP opens for its data has to come to the firewall that read where.
    stickiness: ftp ? "client" : "none",
  };
  if (scenario === undefined) return { mode: "live", settings };
  const options: ScenarioOptions = {
    rounds: whole("--rounds", values.rounds ?? String(ROUNDS[scenario]), 1, 10_000),
    connections: whole(
      "--connections",
      values.connections ?? String(CONNECTIONS[scenario] ?? (ftp ? CONNECTIONS_FTP : CONNECTIONS_DEFAULT)),
      1,
      100_000,
    ),
    seconds: whole("--seconds", values.seconds, 1, 86_400),
    policy: oneOf("--policy", values.policy, POLICIES),
    peer: oneOf("--peer", values.peer, PEERS),
    nats: parseNat(values.nat, settings, ftp),
    ftp,
    packets_per_s: whole("--pps", values.pps, 2, 1_000_000),
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
        nodes: { type: "string" },
        servers: { type: "string", default: "3" },
        assignment: { type: "string", default: "authority" },
        rounds: { type: "string" },
        connections: { type: "string" },
        seconds: { type: "string", default: "300" },
        policy: { type: "string", default: "both" },
        peer: { type: "string", default: "keepalived" },
        nat: { type: "string", default: "none" },
        ftp: { type: "boolean", default: false },
        pps: { type: "string", default: "50000" },
        target: { type: "string", default: String(DEFAULTS.failoverTarget_ms) },
        backend: { type: "string" },
        family: { type: "string", default: "4" },
      },
    });
  } catch (error) {
    throw usage(error instanceof Error ? (error.message.split(". ")[0] ?? "") : String(error));
  }
}

function parseNat(text: string, { assignment, backend }: LabSettings, ftp: boolean): readonly Nat[] {
  const choice = oneOf("--nat", text, NAT_CHOICES);
  const nats = choice === "all" ? NATS : [choice];
  if (assignment !== "authority" || backend === "none") return nats;
  const fix = "add --assignment receiver (or balanced)";
  if (ftp)
    throw new RainfrontError("RF_USAGE", "--ftp: by their hashes, its connections have different nodes", { fix });
  if (nats.some(changesFlowKey)) {
    throw new RainfrontError(
      "RF_USAGE",
      `--nat ${choice}: by their hashes, a connection and its replies have different nodes`,
      { fix },
    );
  }
  return nats;
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

function oneOf<Name extends string>(option: string, text: string, names: readonly Name[]): Name {
  const found = names.find((name) => name === text);
  if (found !== undefined) return found;
  throw usage(`${option} must be ${names.join(" or ")}, not ${text}`);
}

function usage(message: string): RainfrontError {
  return new RainfrontError("RF_USAGE", message, { fix: "see: npm run lab -- --help" });
}
