// A flow as people write it: `tcp 192.0.2.7:4444 > 198.51.100.10:80`. Pure. Used by the commands, and by nodes that ask each other for a flow.

import { canonicalAddress, familyOf } from "../config/address.js";
import { RainfrontError } from "../errors.js";
import type { FlowTuple } from "../native.js";

/** Longer ones are no flow's. */
export const FLOW_TEXT_CHARS_MAX = 160;

const PORT_PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };
const ICMP = { 4: 1, 6: 58 } as const;
const PORT_MAX = 0xffff;
const FIX =
  "write it like 'tcp 192.0.2.7:4444 > 198.51.100.10:80', 'icmp 192.0.2.7 > 192.0.2.8 id 7' or '47 192.0.2.7 > 192.0.2.8'";

/** Either direction will do. Throws `RF_USAGE`. */
export function parseFlow(text: string): FlowTuple {
  if (text.length > FLOW_TEXT_CHARS_MAX) throw wrong(`a flow is no longer than ${FLOW_TEXT_CHARS_MAX} characters`);
  const [name = "", from, arrow, to, ...rest] = text.replaceAll(">", " > ").trim().split(/\s+/);
  if (name === "" || from === undefined || arrow !== ">" || to === undefined) {
    throw wrong(`${quoted(text)} is not a flow: a protocol, one end, > and the other end`);
  }
  const lower = name.toLowerCase();
  const ported = Object.hasOwn(PORT_PROTOCOLS, lower) ? PORT_PROTOCOLS[lower] : undefined;
  const ends = ported === undefined ? [hostOf(from), hostOf(to)] : [endOf(from), endOf(to)];
  const [source, destination] = ends as [End, End];
  const family = familyOf(source.address);
  if (familyOf(destination.address) !== family) throw wrong(`${from} and ${to} are not of one family`);
  const id = lower === "icmp" ? identifierOf(rest) : undefined;
  if (id === undefined && rest.length > 0) throw wrong(`${quoted(rest.join(" "))} behind the flow is one too many`);
  return {
    protocol: ported ?? (id === undefined ? numberedProtocol(name, family) : ICMP[family]),
    source: source.address,
    sourcePort: id ?? source.port,
    destination: destination.address,
    destinationPort: id ?? destination.port,
  };
}

/** What `parseFlow` takes for the same flow; addresses in their one spelling. */
export function formatFlow(flow: FlowTuple): string {
  const { protocol } = flow;
  const source = canonicalAddress(flow.source) ?? flow.source;
  const destination = canonicalAddress(flow.destination) ?? flow.destination;
  const family = familyOf(source);
  if (protocol === ICMP[family]) return `icmp ${source} > ${destination} id ${flow.sourcePort}`;
  const name = Object.keys(PORT_PROTOCOLS).find((one) => PORT_PROTOCOLS[one] === protocol);
  if (name === undefined) return `${protocol} ${source} > ${destination}`;
  const withPort = (address: string, port: number) => (family === 6 ? `[${address}]:${port}` : `${address}:${port}`);
  return `${name} ${withPort(source, flow.sourcePort)} > ${withPort(destination, flow.destinationPort)}`;
}

/** Whether they are one flow, whichever end comes first. */
export function isSameFlow(a: FlowTuple, b: FlowTuple): boolean {
  const text = formatFlow(a);
  return text === formatFlow(b) || text === formatFlow(reversed(b));
}

export function reversed(flow: FlowTuple): FlowTuple {
  return {
    protocol: flow.protocol,
    source: flow.destination,
    sourcePort: flow.destinationPort,
    destination: flow.source,
    destinationPort: flow.sourcePort,
  };
}

interface End {
  readonly address: string;
  readonly port: number;
}

/** `192.0.2.7:80`, `[2001:db8::1]:80`. */
function endOf(text: string): End {
  const [, bracketed, bare, port] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const address = canonicalAddress(bracketed ?? bare ?? "");
  const isAsItShould = address !== undefined && (familyOf(address) === 6) === (bracketed !== undefined);
  if (port === undefined || !isAsItShould) {
    throw wrong(`${quoted(text)} is no address and port, such as 192.0.2.7:80 or [2001:db8::1]:80`);
  }
  if (Number(port) > PORT_MAX) throw wrong(`${port} is no port: they end at ${PORT_MAX}`);
  return { address, port: Number(port) };
}

/** Of protocols without ports. */
function hostOf(text: string): End {
  const address = canonicalAddress(text);
  if (address === undefined) throw wrong(`${quoted(text)} is no address (and only tcp, udp and sctp have ports)`);
  return { address, port: 0 };
}

function identifierOf(rest: readonly string[]): number {
  const [word, id = "", ...more] = rest;
  if (word !== "id" || !/^\d{1,5}$/.test(id) || Number(id) > PORT_MAX || more.length > 0) {
    throw wrong(`an icmp flow ends with id and a number up to ${PORT_MAX}, as the echo requests have it`);
  }
  return Number(id);
}

function numberedProtocol(text: string, family: 4 | 6): number {
  const number = Number(text);
  if (!/^(?:0|[1-9]\d{0,2})$/.test(text) || number > 0xff) {
    throw wrong(`${quoted(text)} is no protocol: tcp, udp, sctp, icmp or a number up to 255`);
  }
  const name = Object.keys(PORT_PROTOCOLS).find((one) => PORT_PROTOCOLS[one] === number);
  if (name !== undefined) throw wrong(`protocol ${number} has ports: write ${name}`);
  if (number === ICMP[family]) throw wrong(`protocol ${number} has identifiers: write icmp`);
  return number;
}

function quoted(text: string): string {
  return `'${text}'`;
}

function wrong(message: string): RainfrontError {
  return new RainfrontError("RF_USAGE", message, { fix: FIX });
}
