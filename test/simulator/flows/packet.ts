// Packets of the simulated connections, and how their flows are named. Used by all of this folder.
import type { FlowPacket } from "../../vectors/oracleFlows.js";

export interface End {
  readonly address: string;
  readonly port: number;
}

export type Protocol = "tcp" | "udp";
export type Side = "client" | "server";

/** Between whom a connection is, on both sides of the firewall: translated, its ends look different to the other side. */
export interface Ends {
  readonly id: number;
  readonly protocol: Protocol;
  readonly client: End;
  /** Whom the client speaks to. */
  readonly shownServer: End;
  readonly server: End;
  /** Whom the server speaks to. */
  readonly shownClient: End;
  /** The VIPs by which the two send. */
  readonly vips: Readonly<Record<Side, string>>;
}

export interface Packet {
  readonly number: number;
  readonly ends: Ends;
  readonly sentBy: Side;
  /** TCP's flags; UDP has none. */
  readonly flags: "S" | "SA" | "A" | "FA" | "";
  readonly from: End;
  readonly to: End;
  /** What is said: see connection.ts. */
  readonly turn: number;
  readonly isAnswer: boolean;
}

/** The flow of packets between two ends, in either direction. */
export function flowName(protocol: Protocol, a: End, b: End): string {
  const [low, high] = [textOf(a), textOf(b)].sort();
  return `${protocol} ${low} ${high}`;
}

/** As its first packets look. */
export function originalName({ protocol, client, shownServer }: Ends): string {
  return flowName(protocol, client, shownServer);
}

/** As the answers do. */
export function replyName({ protocol, server, shownClient }: Ends): string {
  return flowName(protocol, server, shownClient);
}

export function isTranslated(ends: Ends): boolean {
  return originalName(ends) !== replyName(ends);
}

export function flowPacketOf({ ends, from, to, flags }: Packet): FlowPacket {
  return {
    name: flowName(ends.protocol, from, to),
    protocol: ends.protocol === "tcp" ? 6 : 17,
    from,
    to,
    isFromLow: textOf(from) < textOf(to),
    isTcp: ends.protocol === "tcp",
    isOpening: flags === "S",
    isOpeningsAnswer: flags === "SA",
    isClosing: flags === "FA",
    isError: false,
  };
}

export function isSameEnd(a: End, b: End): boolean {
  return a.address === b.address && a.port === b.port;
}

/** For people. */
export function describePacket({ ends, number, from, to, flags, turn, isAnswer }: Packet): string {
  return `packet ${number} of connection ${ends.id}: ${ends.protocol} ${textOf(from)} > ${textOf(to)} ${flags} ${isAnswer ? "answers" : "says"} ${turn}`;
}

function textOf({ address, port }: End): string {
  return `${address}:${port}`;
}
