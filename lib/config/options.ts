// Every key of the configuration file: what may stand there, what holds when it is left out, what it means.
// The only place with defaults and with the words about them: schema.ts fills in from here, load.ts takes the fixes of
// its error messages from here, and a test compares the table in docs/configuration.md with it.

import { FAILOVER_TARGET_DEFAULT_MS, FAILOVER_TARGET_MAX_MS, FAILOVER_TARGET_MIN_MS } from "../raincore/timers.js";
import { KEYS_MAX, MAX_NODES, MAX_VIPS, NODE_WEIGHT_MAX, PORT_RANGES_MAX, SERVICES_MAX } from "./config.js";

export const DEFAULTS = {
  failoverTarget_ms: FAILOVER_TARGET_DEFAULT_MS,
  quorum: "available",
  rejoin: true,
  keepConnections: false,
  assignment: "authority",
  stickiness: "none",
  backend: "auto",
  weight: 1,
  preferredHost: 0,
  persistence: 0,
  ringSegments: ["internal", "external"],
  ringPort: 7911,
  stateDir: "/run/rainfront",
  logLevel: "info",
} as const;

/** Where the control socket is below `stateDir`; a path longer than a Unix socket's limit is refused. */
export const CONTROL_SOCKET_NAME = "control.sock";
/** Linux: sun_path has 108 bytes with the final zero. */
export const SOCKET_PATH_BYTES_MAX = 107;

export interface Option {
  /** Path in the file, `[]` for the entries of a list. */
  readonly key: string;
  /** What may stand there; completes the sentence "write …". */
  readonly allowed: string;
  /** `required`, or the default as one would write it. */
  readonly fallback: string;
  readonly meaning: string;
}

const REQUIRED = "required";

export const OPTIONS: readonly Option[] = [
  {
    key: "cluster",
    allowed: "1 to 32 characters of a-z, 0-9 and -",
    fallback: REQUIRED,
    meaning: "Name of the group. The same on all nodes; datagrams of another cluster are ignored.",
  },
  {
    key: "keyFile",
    allowed: `the path of a file with 64 hex digits on a line (or on up to ${KEYS_MAX} lines) and mode 0600, relative to this file`,
    fallback: REQUIRED,
    meaning:
      "The cluster key. The same on all nodes. Whoever has it is a member. The first line seals, every line opens (see Changing the key).",
  },
  {
    key: "node",
    allowed: "the id of one of `nodes`",
    fallback: "`--node`",
    meaning:
      "Which of `nodes` this machine is. `rainfront up --node ID` overrides it, so all nodes can share one file.",
  },
  {
    key: "failoverTarget_ms",
    allowed: `milliseconds, ${FAILOVER_TARGET_MIN_MS} to ${FAILOVER_TARGET_MAX_MS}; from 11 nodes on, at least 14/3 of the number of nodes`,
    fallback: `\`${DEFAULTS.failoverTarget_ms}\``,
    meaning:
      "The longest time a VIP may be without an owner when its node dies. Every timer is derived from it. The same on all nodes.",
  },
  {
    key: "quorum",
    allowed: "available or majority",
    fallback: `\`${DEFAULTS.quorum}\``,
    meaning:
      "Who serves when the nodes cannot all hear each other: `available`, every group of nodes; `majority`, only a group of more than half of `nodes`, so that no VIP ever has two owners. The same on all nodes.",
  },
  {
    key: "tieBreaker",
    allowed: "the id of one of `nodes`",
    fallback: "the lowest id",
    meaning: "With `quorum: majority`: of two equal halves, the one with this node serves. The same on all nodes.",
  },
  {
    key: "rejoin",
    allowed: "true or false",
    fallback: `\`${DEFAULTS.rejoin}\``,
    meaning:
      "Whether a node that lost its place in the group asks for it again. If not, it waits for `rainfront join`.",
  },
  {
    key: "keepConnections",
    allowed: "true or false",
    fallback: `\`${DEFAULTS.keepConnections}\``,
    meaning:
      "Whether each node tells those that would take its flows over what its firewall knows of them, so that connections go on when it dies. An experiment still: see decision 17 for what is not done. The same on all nodes.",
  },
  {
    key: "assignment",
    allowed: "authority, receiver or balanced",
    fallback: `\`${DEFAULTS.assignment}\``,
    meaning:
      "Which node handles a flow: `authority`, the one that its hash names; `receiver`, the one that got its first packet, so that packets from outside need no relay; `balanced`, one by its share: `nodes[].weight`, and what is left of its CPUs unless flows or a service stick. Where the firewall translates addresses it has to be one of the last two: see decision 18. The same on all nodes.",
  },
  {
    key: "stickiness",
    allowed: "none or client",
    fallback: `\`${DEFAULTS.stickiness}\``,
    meaning:
      "`client`: all flows of one host beyond the layer (of its address on the external segment, whichever side begins) are handled by one node, as protocols want it whose connections belong together, like FTP. With `assignment: receiver` or `balanced`. The same on all nodes.",
  },
  {
    key: "services",
    allowed: `a list of up to ${SERVICES_MAX} entries like { address: 198.51.100.10, protocol: tcp, port: 443, stickiness: client }`,
    fallback: "none",
    meaning:
      "What has an `assignment` or a `stickiness` of its own, next to what is said of all flows. Of a flow the end counts that its first packet goes to, else the one that it comes from; of an end its port before its address. Connections that belong together beyond one port, as FTP's data and control connections do, stay together only if the service is the whole address. As soon as one service sticks, `balanced` goes by weights alone: loads are not counted. With `assignment: receiver` or `balanced`. The same on all nodes.",
  },
  {
    key: "services[].address",
    allowed: "an IPv4 address or a global or unique local IPv6 address, like 198.51.100.10",
    fallback: REQUIRED,
    meaning: "Of the service, as packets have it that come in: a VIP, or a host beside or behind the layer.",
  },
  {
    key: "services[].protocol",
    allowed: "tcp or udp, with a port",
    fallback: "none: all of the address",
    meaning: "Of the port.",
  },
  {
    key: "services[].port",
    allowed: "a port, 1 to 65535, with a protocol",
    fallback: "none: all of the address",
    meaning: "The service's.",
  },
  {
    key: "services[].assignment",
    allowed: "authority, receiver or balanced",
    fallback: "`assignment`",
    meaning: "As `assignment`, for new flows of the service. `authority` only without stickiness.",
  },
  {
    key: "services[].stickiness",
    allowed: "none or client",
    fallback: "`stickiness`",
    meaning: "As `stickiness`, for new flows of the service.",
  },
  {
    key: "portRanges",
    allowed: `a list of up to ${PORT_RANGES_MAX} entries like { address: 192.0.2.101, first: 10000, last: 59999 }`,
    fallback: "none",
    meaning:
      "Ports under which the firewalls translate connections that leave, in equal parts: the first node of `nodes` (by id) has the first part, and so on. Answers go to their node by their port, and nobody else has to know of them; a node that drains keeps its ports until it is gone. A change of the ranges or of `nodes` moves the parts: answers of connections from before are then asked for, or with `keepConnections` told, until they are over. `rainfront nat-rules` prints a node's nftables rules. With `assignment: receiver` or `balanced`. The same on all nodes.",
  },
  {
    key: "portRanges[].address",
    allowed: "one of `vips`, or an address outside the segments' networks that is routed to a VIP",
    fallback: REQUIRED,
    meaning: "The source address of the connections that leave.",
  },
  {
    key: "portRanges[].first",
    allowed: "a port, 1024 to 65535",
    fallback: REQUIRED,
    meaning:
      "The first one. What is between it and `last` must be no service's, neither of `services` nor of the hosts behind.",
  },
  {
    key: "portRanges[].last",
    allowed: "a port, 1024 to 65535, not below `first`",
    fallback: REQUIRED,
    meaning: "The last one. What does not divide by the number of nodes is not used.",
  },
  {
    key: "backend",
    allowed: "auto, xdp or af_packet",
    fallback: `\`${DEFAULTS.backend}\``,
    meaning:
      "How frames are taken from and given to the NIC: `xdp`, by a program on the NIC; `af_packet`, by packet rings; `auto`, the first of these that this machine can do, and a line in the log if it is not `xdp`.",
  },
  {
    key: "nodes",
    allowed: `a list of 1 to ${MAX_NODES} entries like { id: 1, name: gw1, addresses: { external: 192.0.2.11, internal: 10.77.0.11 } }`,
    fallback: REQUIRED,
    meaning: "All gateways of the group. The same on all nodes.",
  },
  {
    key: "nodes[].id",
    allowed: "a whole number, 1 to 65535",
    fallback: REQUIRED,
    meaning: "The nodeId. Must not change while the group runs.",
  },
  {
    key: "nodes[].name",
    allowed: "1 to 32 letters, digits, `.`, `_` and `-`, beginning with a letter",
    fallback: REQUIRED,
    meaning: "What `status` shows and `move` accepts.",
  },
  {
    key: "nodes[].weight",
    allowed: `a whole number, 1 to ${NODE_WEIGHT_MAX}`,
    fallback: `\`${DEFAULTS.weight}\``,
    meaning:
      "Its share of the flows that are given by weight (`assignment: balanced`, `stickiness: client`), next to the others': a node of weight 2 gets twice as many as one of weight 1. Where nothing sticks, who is busier than others gets less than that (see decision 20). The same on all nodes.",
  },
  {
    key: "nodes[].addresses",
    allowed: "{ external: ADDRESS, internal: ADDRESS }",
    fallback: REQUIRED,
    meaning: "The node's own (primary) address on each segment. The operating system configures it, not Rainfront.",
  },
  {
    key: "nodes[].addresses.external",
    allowed: "an IPv4 address inside segments.external.subnet, like 192.0.2.11",
    fallback: REQUIRED,
    meaning: "Primary address on the external segment.",
  },
  {
    key: "nodes[].addresses.internal",
    allowed: "an IPv4 address inside segments.internal.subnet, like 10.77.0.11",
    fallback: REQUIRED,
    meaning: "Primary address on the internal segment.",
  },
  {
    key: "segments",
    allowed: "{ external: { interface, subnet }, internal: { interface, subnet } }",
    fallback: REQUIRED,
    meaning: "The two Ethernet broadcast domains the gateways stand between.",
  },
  ...(["external", "internal"] as const).flatMap((name): Option[] => [
    {
      key: `segments.${name}`,
      allowed: "{ interface: NIC, subnet: NETWORK/LENGTH, subnet6: NETWORK/LENGTH }",
      fallback: REQUIRED,
      meaning: name === "external" ? "The side of the clients." : "The side of the servers.",
    },
    {
      key: `segments.${name}.interface`,
      allowed: "the name of a NIC of this machine, up to 15 characters, not beginning with rf-, rfx- or rfy-",
      fallback: REQUIRED,
      meaning: `This node's NIC on the ${name} segment.`,
    },
    {
      key: `segments.${name}.subnet`,
      allowed: `a network of length /8 to /30, like ${name === "external" ? "192.0.2.0/24" : "10.77.0.0/24"}`,
      fallback: REQUIRED,
      meaning: `The IPv4 network of the ${name} segment.`,
    },
    {
      key: `segments.${name}.subnet6`,
      allowed: `an IPv6 network of length /16 to /126, like ${name === "external" ? "2001:db8:1::/64" : "2001:db8:2::/64"}`,
      fallback: "none",
      meaning: `The IPv6 network of the ${name} segment, for its IPv6 VIPs. The operating system gives the NIC an address in it.`,
    },
  ]),
  {
    key: "vips",
    allowed: `a list of up to ${MAX_VIPS} entries like { address: 192.0.2.101, segment: external }; of IPv6 VIPs, as many as fit the token (700 at least)`,
    fallback: REQUIRED,
    meaning: "The virtual addresses the group owns. The same on all nodes.",
  },
  {
    key: "vips[].address",
    allowed:
      "an IPv4 address inside the segment's `subnet` or an IPv6 address inside its `subnet6` that no machine has",
    fallback: REQUIRED,
    meaning: "The virtual address. An IPv6 one may be spelled in any way; it is shown as RFC 5952 says.",
  },
  {
    key: "vips[].segment",
    allowed: "external or internal",
    fallback: REQUIRED,
    meaning: "Where it is answered for.",
  },
  {
    key: "vips[].preferredHost",
    allowed: "the id of one of `nodes`, or 0 for none",
    fallback: `\`${DEFAULTS.preferredHost}\``,
    meaning: "The node that should own it.",
  },
  {
    key: "vips[].persistence",
    allowed: "0, 1 or 3",
    fallback: `\`${DEFAULTS.persistence}\``,
    meaning:
      "0: free, may be moved to spread the load. 1: stays with its owner, and with the one it fails over to. 3: returns to `preferredHost` whenever that is up.",
  },
  {
    key: "ring",
    allowed: "{ segments: [internal, external], port: 7911 }",
    fallback: "see below",
    meaning: "How the nodes talk to each other.",
  },
  {
    key: "ring.segments",
    allowed: "a list of one or both of internal and external, no name twice",
    fallback: `\`[${DEFAULTS.ringSegments.join(", ")}]\``,
    meaning: "The paths between nodes. The first is used first, resends go over all. The same on all nodes.",
  },
  {
    key: "ring.port",
    allowed: "a UDP and TCP port, 1024 to 65535",
    fallback: `\`${DEFAULTS.ringPort}\``,
    meaning:
      "Port on the primary addresses: UDP carries the ring; TCP connections say nothing, but end with a process. The same on all nodes.",
  },
  {
    key: "stateDir",
    allowed: "a path short enough for the socket below it, relative to this file or absolute",
    fallback: `\`${DEFAULTS.stateDir}\``,
    meaning: "Folder (made with mode 0700) of the control socket, the lock and the list of what was installed.",
  },
  {
    key: "logLevel",
    allowed: "trace, debug, info, warn or error",
    fallback: `\`${DEFAULTS.logLevel}\``,
    meaning: "The least serious messages that are logged.",
  },
];

/** The table of docs/configuration.md, as Markdown. */
export function optionsTable(): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const rows = OPTIONS.map(
    (option) => `| \`${option.key}\` | ${cell(option.allowed)} | ${option.fallback} | ${cell(option.meaning)} |`,
  );
  return ["| key | value | default | meaning |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

/** `vips[2].address` */
export function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, step) => (typeof step === "number" ? `${text}[${step}]` : `${text}${text === "" ? "" : "."}${String(step)}`),
    "",
  );
}

/** The option that a path in the file belongs to. */
export function optionAt(path: readonly PropertyKey[]): Option | undefined {
  const key = patternOf(path);
  return OPTIONS.find((option) => option.key === key);
}

/** Names of the keys that may stand directly below a path. */
export function optionsBelow(path: readonly PropertyKey[]): string[] {
  const prefix = path.length === 0 ? "" : `${patternOf(path)}.`;
  const below = OPTIONS.filter((option) => option.key.startsWith(prefix));
  return below.map((option) => option.key.slice(prefix.length)).filter((name) => /^\w+$/.test(name));
}

function patternOf(path: readonly PropertyKey[]): string {
  return formatPath(path).replaceAll(/\[\d+\]/g, "[]");
}
