// The receiving end: collects parts, says what it has, delivers every message once. A peer may claim whatever it likes:
// room is booked before anything is kept, per peer and for all, and ids are remembered within a window only. Owned by the
// transport.
import {
  FORMER_LIVES_MAX,
  HAVE_EVERY_PARTS,
  ID_WINDOW,
  MESSAGE_OVERHEAD_BYTES,
  PEER_BYTES_MAX,
  TOTAL_BYTES_MAX,
  type TransportTimes,
} from "./limits.js";
import { encodeHave, type HaveMessage, type PartMessage, type Priority } from "./packets.js";
import { type Echo, Reassembly } from "./reassembly.js";
import type { TransportHooks, TransportOptions } from "./transport.js";

/** A peer's messages of one priority. */
interface Channel {
  /** All ids before it are over at the sender. */
  floor: number;
  /** Ids from the floor on that were delivered, by id modulo the window. */
  readonly done: Uint8Array;
  readonly open: Map<number, Reassembly>;
}

/** A life of a peer that another one has replaced. */
interface FormerLife {
  readonly life: bigint;
  /** What it sent may be under way until then. */
  readonly until_ms: number;
}

/** What came from one life of a peer. */
interface Inbox {
  readonly from: number;
  readonly life: bigint;
  readonly former: readonly FormerLife[];
  readonly channels: Record<Priority, Channel | undefined>;
  bookedBytes: number;
}

const PRIORITIES: readonly Priority[] = ["bulk", "token"];
const NEVER_MS = Number.POSITIVE_INFINITY;

export class Receiver {
  readonly #hooks: TransportHooks;
  readonly #options: TransportOptions;
  readonly #times: TransportTimes;
  readonly #inboxes = new Map<number, Inbox>();
  #bookedBytes = 0;
  #collections = 0;
  #openCount = 0;

  constructor(hooks: TransportHooks, options: TransportOptions, times: TransportTimes) {
    this.#hooks = hooks;
    this.#options = options;
    this.#times = times;
  }

  /** Room booked for unfinished bulk messages; the memory in use is never more, but for the tokens'. */
  get bookedBytes(): number {
    return this.#bookedBytes;
  }

  get deadline_ms(): number {
    if (this.#openCount === 0) return NEVER_MS;
    let earliest_ms = NEVER_MS;
    for (const { reassembly } of this.#open()) {
      earliest_ms = Math.min(earliest_ms, reassembly.answerAt_ms, reassembly.touched_ms + this.#times.idle_ms);
    }
    return earliest_ms;
  }

  onPart(now_ms: number, from: number, path: number, part: PartMessage): void {
    const { count } = this.#hooks;
    const isTooLarge = part.priority === "token" && part.total > this.#options.tokenBytes_max;
    const inbox = isTooLarge ? undefined : this.#inbox(now_ms, from, part.life);
    if (inbox === undefined) {
      count(isTooLarge ? "transport_part_too_large" : "transport_part_stale_life");
      return;
    }
    const channel = this.#channel(inbox, part);
    const place = (part.id - channel.floor) | 0;
    if (place < 0 || place >= ID_WINDOW) {
      count(place < 0 ? "transport_part_old" : "transport_part_beyond_window");
    } else if (channel.done[part.id % ID_WINDOW] === 1) {
      count("transport_part_duplicate");
      this.#answer(inbox, part.priority, part.id, "complete", { path, index: part.index, attempt: part.attempt });
    } else {
      this.#collect(now_ms, inbox, channel, path, part);
    }
  }

  /** Answers that are due, and messages that nobody goes on with. */
  tick(now_ms: number): void {
    if (this.#openCount === 0) return;
    for (const { inbox, priority, channel, reassembly } of this.#open()) {
      if (now_ms >= reassembly.touched_ms + this.#times.idle_ms) {
        this.#hooks.count("transport_abandoned");
        this.#drop(inbox, priority, channel, reassembly);
      } else if (now_ms >= reassembly.answerAt_ms) {
        this.#tell(inbox, priority, reassembly, true);
      }
    }
  }

  close(): void {
    for (const inbox of [...this.#inboxes.values()]) this.#dropAll(inbox);
  }

  #open(): { inbox: Inbox; priority: Priority; channel: Channel; reassembly: Reassembly }[] {
    const found = [];
    for (const inbox of this.#inboxes.values()) {
      for (const priority of PRIORITIES) {
        const channel = inbox.channels[priority];
        if (channel === undefined) continue;
        for (const reassembly of channel.open.values()) found.push({ inbox, priority, channel, reassembly });
      }
    }
    return found;
  }

  /**
   * Undefined: the part is of a life of the peer that another one has replaced. Which of two is the later one their numbers do not say, for they
   * come from a clock that may be set back. The order in which they come does: the secure channel opens the datagrams of one life at a time,
   * the last one that proved itself. Where there is no such channel, what is still under way of the former life must not end the new one's inbox.
   */
  #inbox(now_ms: number, from: number, life: bigint): Inbox | undefined {
    const known = this.#inboxes.get(from);
    if (known?.life === life) return known;
    const former = (known?.former ?? []).filter(({ until_ms }) => until_ms > now_ms);
    if (former.some((one) => one.life === life)) return undefined;
    if (known !== undefined) {
      this.#dropAll(known);
      former.push({ life: known.life, until_ms: now_ms + this.#times.idle_ms });
    }
    const inbox: Inbox = {
      from,
      life,
      former: former.slice(-FORMER_LIVES_MAX),
      channels: { bulk: undefined, token: undefined },
      bookedBytes: 0,
    };
    this.#inboxes.set(from, inbox);
    return inbox;
  }

  #channel(inbox: Inbox, part: PartMessage): Channel {
    const known = inbox.channels[part.priority];
    if (known !== undefined) {
      this.#raiseFloor(inbox, part.priority, known, part.floor);
      return known;
    }
    const channel: Channel = { floor: part.floor, done: new Uint8Array(ID_WINDOW), open: new Map() };
    inbox.channels[part.priority] = channel;
    return channel;
  }

  #raiseFloor(inbox: Inbox, priority: Priority, channel: Channel, floor: number): void {
    const steps = (floor - channel.floor) | 0;
    if (steps <= 0) return;
    for (let step = 0; step < Math.min(steps, ID_WINDOW); step++) {
      channel.done[((channel.floor + step) >>> 0) % ID_WINDOW] = 0;
    }
    channel.floor = floor;
    for (const reassembly of [...channel.open.values()]) {
      if (((reassembly.id - floor) | 0) < 0) this.#drop(inbox, priority, channel, reassembly);
    }
  }

  #admit(inbox: Inbox, channel: Channel, part: PartMessage, now_ms: number): Reassembly | undefined {
    if (part.priority === "bulk") {
      const bytes = part.total + MESSAGE_OVERHEAD_BYTES;
      const isRoom = inbox.bookedBytes + bytes <= PEER_BYTES_MAX && this.#bookedBytes + bytes <= TOTAL_BYTES_MAX;
      if (!isRoom) return undefined;
      inbox.bookedBytes += bytes;
      this.#bookedBytes += bytes;
    } else {
      // A newer token: nobody goes on with the older one.
      for (const older of [...channel.open.values()]) this.#drop(inbox, "token", channel, older);
    }
    this.#collections = (this.#collections + 1) >>> 0;
    const reassembly = new Reassembly(part, this.#collections, now_ms);
    channel.open.set(part.id, reassembly);
    this.#openCount += 1;
    return reassembly;
  }

  #collect(now_ms: number, inbox: Inbox, channel: Channel, path: number, part: PartMessage): void {
    const reassembly = channel.open.get(part.id) ?? this.#admit(inbox, channel, part, now_ms);
    if (reassembly === undefined) {
      this.#hooks.count("transport_part_no_room");
      if (part.asks) this.#answer(inbox, part.priority, part.id, "busy", { path, index: part.index, attempt: 0 });
      return;
    }
    if (!reassembly.matches(part)) {
      this.#hooks.count("transport_part_conflict");
      return;
    }
    reassembly.note(path, part);
    reassembly.unanswered += 1;
    if (reassembly.has(part.index)) {
      this.#hooks.count("transport_part_duplicate");
    } else {
      reassembly.add(part);
      reassembly.touched_ms = now_ms;
    }
    if (reassembly.isComplete) {
      this.#deliver(inbox, channel, reassembly, path, part);
    } else if (part.asks || reassembly.unanswered >= HAVE_EVERY_PARTS) {
      this.#tell(inbox, part.priority, reassembly, false);
    } else {
      reassembly.answerAt_ms = Math.min(reassembly.answerAt_ms, now_ms + this.#times.haveDelay_ms);
    }
  }

  #deliver(inbox: Inbox, channel: Channel, reassembly: Reassembly, path: number, part: PartMessage): void {
    channel.done[reassembly.id % ID_WINDOW] = 1;
    this.#drop(inbox, part.priority, channel, reassembly);
    for (const echo of reassembly.echoes) this.#answer(inbox, part.priority, reassembly.id, "complete", echo);
    this.#hooks.count("transport_received");
    this.#hooks.deliver(inbox.from, path, reassembly.take(), part.priority);
  }

  /** `waited`: too late to measure a round trip by it. */
  #tell(inbox: Inbox, priority: Priority, reassembly: Reassembly, waited: boolean): void {
    for (const echo of reassembly.echoes) {
      const answered: Echo = waited ? { ...echo, attempt: 0 } : echo;
      this.#answer(inbox, priority, reassembly.id, "partial", answered, reassembly);
    }
    reassembly.echoes = [];
    reassembly.unanswered = 0;
    reassembly.answerAt_ms = NEVER_MS;
  }

  #answer(
    inbox: Inbox,
    priority: Priority,
    id: number,
    status: HaveMessage["status"],
    echo: Echo,
    reassembly?: Reassembly,
  ): void {
    const have: HaveMessage = {
      type: "have",
      priority,
      status,
      life: this.#options.life,
      senderLife: inbox.life,
      id,
      collection: reassembly?.collection ?? 0,
      echoIndex: echo.index,
      echoAttempt: echo.attempt,
      base: reassembly?.base ?? 0,
      bits: reassembly?.bits() ?? NO_BITS,
    };
    this.#hooks.transmit(inbox.from, echo.path, encodeHave(have));
  }

  #drop(inbox: Inbox, priority: Priority, channel: Channel, reassembly: Reassembly): void {
    if (!channel.open.delete(reassembly.id)) return;
    this.#openCount -= 1;
    if (priority === "token") return;
    inbox.bookedBytes -= reassembly.total + MESSAGE_OVERHEAD_BYTES;
    this.#bookedBytes -= reassembly.total + MESSAGE_OVERHEAD_BYTES;
  }

  #dropAll(inbox: Inbox): void {
    for (const { inbox: owner, priority, channel, reassembly } of this.#open()) {
      if (owner === inbox) this.#drop(inbox, priority, channel, reassembly);
    }
  }
}

const NO_BITS = new Uint8Array(0);
