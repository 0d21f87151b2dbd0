// What holds of packets and flows: at any time, a packet is relayed twice at most; and between nodes that agree, both directions of a flow come to one firewall, which knows it.
// Told by flows/segments.ts and flows/trial.ts.
import type { Connection } from "../flows/connection.js";
import { describePacket, type Packet } from "../flows/packet.js";
import type { Watched } from "./checker.js";

const RELAYS_MAX = 2;

export class FlowPaths {
  readonly #watched: Watched;
  readonly relays = { relays_1: 0, relays_2: 0 };

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /** Is on its way for the `relays`th time. */
  relayed(packet: Packet, relays: number): void {
    if (relays === 1) this.relays.relays_1 += 1;
    else this.relays.relays_2 += 1;
    if (relays > RELAYS_MAX) this.#watched.report("flows", `${describePacket(packet)} is relayed ${relays} times`);
  }

  /** All of its packets since the nodes agree have come to one node, and to `handler` if that is given. */
  meets(connection: Connection, handler: number | undefined, when: string): void {
    const { ends, handlings } = connection;
    const nodes = [...new Set(handlings.map(({ node }) => node))];
    const wanted = handler ?? nodes[0];
    const strays = handlings.filter(({ node, isAccepted }) => node !== wanted || !isAccepted);
    if (strays.length === 0) return;
    const said = handlings.map(
      ({ node, sentBy, isAccepted }) => `${sentBy}'s at ${node}${isAccepted ? "" : " (invalid)"}`,
    );
    const where = handler === undefined ? "at one node" : `at node ${handler}`;
    this.#watched.report("flows", `packets of ${describe(ends)} do not meet ${where}, ${when}: ${said.join(", ")}`);
  }
}

export function describe({ id, protocol, client, shownServer, server, shownClient }: Connection["ends"]): string {
  const text = ({ address, port }: { address: string; port: number }): string => `${address}:${port}`;
  const translated = `${text(shownServer)}${shownServer === server ? "" : ` = ${text(server)}`}`;
  const source = `${text(client)}${shownClient === client ? "" : ` = ${text(shownClient)}`}`;
  return `connection ${id} (${protocol} ${source} > ${translated})`;
}
