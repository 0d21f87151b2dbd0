// Reliable delivery of one of the ring's messages to one node: sent first on the best path, then again, with growing gaps,
// on every path that is up; either somebody settles it (the answer to the message itself came) or it fails. Used for
// hand-overs and 911 calls. What does not fit a datagram goes through the transport in parts. Where no answer comes, the host is asked whether a
// process is there at all: one that died on a machine that lives is told from a slow one within a fraction of the time.
import type { PathBounds } from "./transport/paths.js";
import type { Transport } from "./transport/transport.js";

/** When to send again, counted from the first send, and when to give up. */
export interface Schedule {
  /** Until the first resend: by the measured round trip within these bounds, at the end of them before there is one. Then it doubles. */
  readonly gap: PathBounds;
  readonly fail_ms: number;
  /** No answer is expected before that: the gap begins then, and the first send says nothing about its path. */
  readonly quiet_ms?: number;
  /** Use every path from the first send on. */
  readonly everyPath: boolean;
}

export interface DeliveryHooks {
  readonly transmit: (to: number, path: number, bytes: Uint8Array) => void;
  /** Asks whether a process is there; `refused` tells if not. */
  readonly probe: (to: number) => void;
  readonly onResend: (to: number) => void;
}

/** A message that did not arrive, as far as is known. */
export interface FailedDelivery {
  readonly to: number;
  /** No process has that node's port: it is not slow, it has ended. */
  readonly isRefused: boolean;
}

interface Pending {
  readonly to: number;
  readonly bytes: Uint8Array;
  readonly schedule: Schedule;
  started_ms: number;
  readonly gap_ms: number;
  sends: number;
  next_ms: number;
  /** Under way in parts: the transport resends what is lost. */
  parts: number | undefined;
  /** The host was asked for its port. */
  isProbed: boolean;
  /** By path: how often the port was found closed. */
  readonly refusals: Map<number, number>;
  /** When its port had been found closed on all paths. */
  refused_ms: number;
}

/** On each path; one alone could be a filter's doing, or of a process that is just being replaced. */
const REFUSALS = 2;

/** At most one message to a node is under way; a new one replaces it. */
export class Delivery {
  readonly #hooks: DeliveryHooks;
  readonly #transport: Transport;
  readonly #pending = new Map<number, Pending>();

  constructor(hooks: DeliveryHooks, transport: Transport) {
    this.#hooks = hooks;
    this.#transport = transport;
  }

  get deadline_ms(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const pending of this.#pending.values()) earliest = Math.min(earliest, pending.next_ms, failsAt(pending));
    return earliest;
  }

  /** `isSuspect`: its process may have ended, so its port is asked for at once and not only if no answer comes. */
  start(now_ms: number, to: number, bytes: Uint8Array, schedule: Schedule, isSuspect = false): void {
    this.#stop(now_ms, to);
    const gap_ms = this.#transport.paths.timeout_ms(to, schedule.gap, schedule.gap.max_ms);
    const pending: Pending = {
      to,
      bytes,
      schedule,
      started_ms: now_ms,
      gap_ms,
      sends: 0,
      next_ms: Number.POSITIVE_INFINITY,
      parts: undefined,
      isProbed: false,
      refusals: new Map(),
      refused_ms: Number.POSITIVE_INFINITY,
    };
    this.#pending.set(to, pending);
    if (isSuspect) this.#probe(pending);
    this.#send(now_ms, pending);
  }

  /** Its process may have ended: what is under way to it is sent again at once, if its port was not asked for before. */
  suspect(now_ms: number, to: number): void {
    const pending = this.#pending.get(to);
    if (pending?.isProbed === false) pending.next_ms = Math.min(pending.next_ms, now_ms);
  }

  /** The answer came, over `path`. False: nothing was under way to that node. */
  settle(now_ms: number, to: number, path: number): boolean {
    if (!this.#pending.has(to)) return false;
    this.#transport.paths.replied(to, path, now_ms);
    this.#stop(now_ms, to);
    return true;
  }

  /**
   * All parts of a message arrived. Its answer should be here by now; if it does not come, it was lost, and the whole message is sent again,
   * because only that brings another one.
   */
  partsSettled(now_ms: number, to: number, parts: number, delivered: boolean): void {
    const pending = this.#pending.get(to);
    if (pending === undefined || pending.parts !== parts) return;
    pending.parts = undefined;
    if (delivered) pending.next_ms = now_ms + pending.gap_ms * 2 ** (pending.sends - 1);
  }

  /** No process has that node's port on this path. Asked again soon; when all paths say so again, delivery has failed. */
  refused(now_ms: number, to: number, path: number): void {
    const pending = this.#pending.get(to);
    if (pending === undefined || !pending.isProbed) return;
    pending.refusals.set(path, (pending.refusals.get(path) ?? 0) + 1);
    const paths = this.#transport.paths.all(to);
    const isRefused = paths.every((each) => (pending.refusals.get(each) ?? 0) >= REFUSALS);
    // From now on, and not from the start: whoever is called later than he asked for takes himself for stopped.
    if (isRefused) pending.refused_ms = Math.min(pending.refused_ms, now_ms);
    pending.next_ms = Math.min(pending.next_ms, now_ms + pending.schedule.gap.min_ms / 2);
  }

  /** This process was stopped for so long: everything under way has that much more time, and is sent once more. */
  makeUpFor(stopped_ms: number, now_ms: number): void {
    for (const pending of this.#pending.values()) {
      pending.started_ms += stopped_ms;
      if (pending.parts === undefined) pending.next_ms = Math.min(pending.next_ms, now_ms);
    }
  }

  /** Drops everything under way. */
  clear(now_ms: number): void {
    for (const to of [...this.#pending.keys()]) this.#stop(now_ms, to);
  }

  /** Does what is due. */
  tick(now_ms: number): FailedDelivery[] {
    const failed: FailedDelivery[] = [];
    for (const pending of [...this.#pending.values()]) {
      const isRefused = now_ms >= pending.refused_ms;
      const isAsked = pending.schedule.quiet_ms === undefined || pending.sends > 1;
      if (isRefused || (isAsked && now_ms >= failsAt(pending))) {
        this.#stop(now_ms, pending.to);
        failed.push({ to: pending.to, isRefused });
      } else if (now_ms >= pending.next_ms) {
        // A process that was stopped itself has not asked for an answer yet.
        if (!isAsked) pending.started_ms += now_ms - pending.next_ms;
        this.#probe(pending);
        this.#hooks.onResend(pending.to);
        this.#send(now_ms, pending);
      }
    }
    return failed;
  }

  #probe(pending: Pending): void {
    pending.isProbed = true;
    this.#hooks.probe(pending.to);
  }

  #stop(now_ms: number, to: number): void {
    const pending = this.#pending.get(to);
    this.#pending.delete(to);
    if (pending?.parts !== undefined) this.#transport.cancel(now_ms, to, pending.parts);
  }

  #send(now_ms: number, pending: Pending): void {
    const isLarge = pending.bytes.length > this.#transport.packetBytes_max;
    if (isLarge) this.#sendInParts(now_ms, pending);
    else this.#sendWhole(now_ms, pending);
  }

  #sendInParts(now_ms: number, pending: Pending): void {
    const fail_ms = failsAt(pending) - now_ms;
    pending.sends += 1;
    pending.next_ms = Number.POSITIVE_INFINITY;
    pending.parts = this.#transport.send(now_ms, pending.to, pending.bytes, { priority: "token", fail_ms });
  }

  #sendWhole(now_ms: number, pending: Pending): void {
    const { paths } = this.#transport;
    for (const path of this.#pathsFor(now_ms, pending)) {
      if (pending.sends > 0 || pending.schedule.quiet_ms === undefined) paths.sent(pending.to, path, now_ms);
      this.#hooks.transmit(pending.to, path, pending.bytes);
    }
    // After a late tick there is no burst: what is overdue is sent once.
    do {
      pending.sends += 1;
      pending.next_ms =
        pending.started_ms + (pending.schedule.quiet_ms ?? 0) + pending.gap_ms * (2 ** pending.sends - 1);
    } while (pending.next_ms <= now_ms);
  }

  #pathsFor(now_ms: number, { to, sends, schedule }: Pending): readonly number[] {
    const { paths } = this.#transport;
    if (schedule.everyPath) return paths.all(to);
    if (sends > 0) return paths.forResend(to, sends);
    if (schedule.quiet_ms !== undefined) return [paths.best(to)];
    const explored = paths.toExplore(to, now_ms);
    return explored === undefined ? [paths.best(to)] : [paths.best(to), explored];
  }
}

/** A resend at a fixed time. */
export function fixedGap(gap_ms: number): PathBounds {
  return { min_ms: gap_ms, max_ms: gap_ms };
}

function failsAt(pending: Pending): number {
  return Math.min(pending.refused_ms, pending.started_ms + pending.schedule.fail_ms);
}
