// A model of a machine's firewall: the connections that it knows, by what their packets look like on both sides. A first packet makes one, others are accepted by it, or are
// invalid. It outlives the node's process, and dies with the machine. Owned by plane.ts.
import { type Ends, flowName, isSameEnd, originalName, type Packet, replyName } from "./packet.js";

export interface Tracked {
  readonly ends: Ends;
  readonly isAnswered: boolean;
  /** Both sides have spoken, and the first one again. */
  readonly isAssured: boolean;
  /** Who has said that he is done. */
  readonly closed: ReadonlySet<Packet["sentBy"]>;
}

export class Firewall {
  /** By both of its flows' names. */
  readonly #tracked = new Map<string, Tracked>();
  /** Others should know it now, or need not any more. */
  onNews: (tracked: Tracked) => void = () => {};
  /** A first packet has made it. */
  onNew: (tracked: Tracked) => void = () => {};

  /** The packet as it leaves the machine; undefined: it belongs to no connection. */
  process(packet: Packet): Packet | undefined {
    const { ends, from, to, flags } = packet;
    const found = this.#tracked.get(flowName(ends.protocol, from, to));
    const known = found?.ends.id === ends.id ? found : undefined;
    const isFirst = packet.sentBy === "client" && (flags === "S" || ends.protocol === "udp");
    // A later connection has these ends.
    if (found !== undefined && found.ends.id > ends.id) return undefined;
    const isExpected = known !== undefined && (known.isAnswered || packet.sentBy === "server");
    if (!isFirst && !isExpected) return undefined;
    const tracked = after(known ?? { ends, isAnswered: false, isAssured: false, closed: new Set() }, packet);
    this.#put(tracked);
    if (known === undefined) this.onNew(tracked);
    if (tracked.isAssured && (known?.isAssured !== true || (isOver(tracked) && !isOver(known)))) this.onNews(tracked);
    return translated(packet);
  }

  /** By either of its flows' names; not one that is over. */
  find(name: string): Tracked | undefined {
    const tracked = this.#tracked.get(name);
    return tracked === undefined || isOver(tracked) ? undefined : tracked;
  }

  /** Those that go on. */
  assured(): Tracked[] {
    return [...new Set(this.#tracked.values())].filter((tracked) => tracked.isAssured && !isOver(tracked));
  }

  /** Another machine's; not where a later connection has these ends. */
  inject(ends: Ends): void {
    if ((this.find(originalName(ends))?.ends.id ?? 0) > ends.id) return;
    this.#put({ ends, isAnswered: true, isAssured: true, closed: new Set() });
  }

  forgetAll(): void {
    this.#tracked.clear();
  }

  #put(tracked: Tracked): void {
    this.#tracked.set(originalName(tracked.ends), tracked);
    this.#tracked.set(replyName(tracked.ends), tracked);
  }
}

export function isOver({ closed }: Tracked): boolean {
  return closed.size === 2;
}

function after(tracked: Tracked, { ends, sentBy, flags }: Packet): Tracked {
  const isAnswered = tracked.isAnswered || sentBy === "server";
  const hasSpokenAgain = sentBy === "client" && flags !== "S" && tracked.isAnswered;
  const isAssured = tracked.isAssured || hasSpokenAgain || (ends.protocol === "udp" && isAnswered);
  const closed = flags === "FA" ? new Set([...tracked.closed, sentBy]) : tracked.closed;
  return { ends, isAnswered, isAssured, closed };
}

/** Source and destination are what they are on the other side. */
function translated(packet: Packet): Packet {
  const { client, shownServer, server, shownClient } = packet.ends;
  if (packet.sentBy === "client" && isSameEnd(packet.to, shownServer))
    return { ...packet, from: shownClient, to: server };
  return { ...packet, from: shownServer, to: client };
}
