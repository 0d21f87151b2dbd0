// The sending end: hands out parts in small bursts, the token's first and then bulk message by message, resends what is
// lost, and settles every message once. Owned by the transport.
import {
  BULK_FAIL_MS,
  BURST_PACKETS,
  MESSAGE_BYTES_MAX,
  PART_BYTES_MIN,
  PART_HEAD_BYTES,
  QUEUED_BYTES_MAX,
  QUEUED_MESSAGES_MAX,
  STALL_TIMEOUTS,
  TOKEN_WINDOW_PACKETS,
  type TransportTimes,
  TURN_PACKETS,
  WINDOW_MIN_PACKETS,
} from "./limits.js";
import { Outbox } from "./outbox.js";
import { Outgoing } from "./outgoing.js";
import type { HaveMessage, Priority } from "./packets.js";
import { PartWriter } from "./partWriter.js";
import type { PathBook } from "./paths.js";
import type { TransportHooks, TransportOptions } from "./transport.js";

export interface SendOptions {
  readonly priority: Priority;
  /** Has failed when it is not delivered by then, counted from now. */
  readonly fail_ms?: number;
}

const NEVER_MS = Number.POSITIVE_INFINITY;

export class Sender {
  readonly #hooks: TransportHooks;
  readonly #options: TransportOptions;
  readonly #times: TransportTimes;
  readonly #paths: PathBook;
  readonly #partBytes: number;
  readonly #writer: PartWriter;
  readonly #outboxes = new Map<number, Outbox>();
  /** Bulk messages under way, in the order of their turns. */
  #turns: Outgoing[] = [];
  #nextHandle = 1;
  #nextBurst_ms = NEVER_MS;
  #queuedBytes = 0;
  #queuedMessages = 0;
  #isOpen = true;

  constructor(hooks: TransportHooks, options: TransportOptions, times: TransportTimes, paths: PathBook) {
    this.#hooks = hooks;
    this.#options = options;
    this.#times = times;
    this.#paths = paths;
    this.#writer = new PartWriter(hooks, paths);
    this.#partBytes = Math.min(options.packetBytes_max - PART_HEAD_BYTES, 0xffff);
    if (this.#partBytes < PART_BYTES_MIN) throw new RangeError("packetBytes_max is too small for a part");
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get deadline_ms(): number {
    let earliest_ms = this.#nextBurst_ms;
    for (const outbox of this.#outboxes.values()) {
      if (outbox.token !== undefined) earliest_ms = Math.min(earliest_ms, dueAt(outbox.token));
      for (const message of outbox.active) earliest_ms = Math.min(earliest_ms, dueAt(message));
      // Those that wait fail in the order in which they came; see #failWaiting.
      earliest_ms = Math.min(earliest_ms, outbox.waiting[0]?.failAt_ms ?? NEVER_MS);
    }
    return earliest_ms;
  }

  /** The bytes must not change until the message is settled. */
  send(now_ms: number, to: number, bytes: Uint8Array, { priority, fail_ms = BULK_FAIL_MS }: SendOptions): number {
    if (bytes.length > MESSAGE_BYTES_MAX) throw new RangeError(`a message has at most ${MESSAGE_BYTES_MAX} bytes`);
    const handle = this.#nextHandle++;
    const failAt_ms = now_ms + fail_ms;
    this.#queuedBytes += bytes.length;
    this.#queuedMessages += 1;
    const cause = this.#refusal(to, priority);
    if (cause !== undefined) {
      this.#hooks.count(cause);
      this.#settle(handle, to, false, bytes, priority);
      return handle;
    }
    const outbox = this.#outbox(to);
    if (priority === "token") {
      if (outbox.token !== undefined) this.#forget(outbox, outbox.token);
      outbox.token = this.#newOutgoing(outbox, handle, bytes, failAt_ms, "token", now_ms);
    } else {
      outbox.waiting.push({ handle, bytes, failAt_ms });
    }
    this.#flush(now_ms);
    return handle;
  }

  /** Nobody waits for its outcome any more: it is not settled. */
  cancel(now_ms: number, to: number, handle: number): void {
    const outbox = this.#outboxes.get(to);
    const message = outbox?.messages().find((one) => one.handle === handle);
    if (outbox === undefined || message === undefined) return;
    this.#forget(outbox, message);
    this.#flush(now_ms);
  }

  /** Everything fails now. */
  close(): void {
    this.#isOpen = false;
    this.#nextBurst_ms = NEVER_MS;
    for (const outbox of this.#outboxes.values()) {
      const waiting = outbox.waiting.splice(0);
      for (const message of outbox.messages()) this.#finish(outbox, message, false);
      for (const { handle, bytes } of waiting) this.#settle(handle, outbox.to, false, bytes, "bulk");
    }
  }

  open(): void {
    this.#isOpen = true;
  }

  onHave(now_ms: number, from: number, path: number, have: HaveMessage): void {
    const { count } = this.#hooks;
    if (have.senderLife !== this.#options.life) {
      count("transport_have_stale");
      return;
    }
    const outbox = this.#outboxes.get(from);
    if (outbox !== undefined) outbox.heard_ms = now_ms;
    const message = outbox?.find(have.priority, have.id);
    if (outbox === undefined || message === undefined) {
      this.#paths.answered(from, path, now_ms, undefined);
      count("transport_have_late");
      return;
    }
    switch (have.status) {
      case "busy":
        count("transport_peer_busy");
        this.#paths.answered(from, path, now_ms, undefined);
        message.progress_ms = now_ms;
        break;
      case "complete":
        if (message.isWholeSent) {
          this.#complete(outbox, message, now_ms, path, have);
        } else {
          count("transport_have_bogus");
        }
        break;
      case "partial":
        this.#progress(outbox, message, now_ms, path, have);
        break;
      default:
        have.status satisfies never;
    }
    this.#flush(now_ms);
  }

  tick(now_ms: number): void {
    for (const outbox of this.#outboxes.values()) {
      for (const message of outbox.messages()) {
        // One that was given up may take others along.
        if (outbox.find(message.priority, message.head.id) === message) this.#checkTimes(outbox, message, now_ms);
      }
      this.#failWaiting(outbox, now_ms);
    }
    this.#flush(now_ms);
  }

  #refusal(to: number, priority: Priority): string | undefined {
    if (!this.#isOpen) return "transport_closed";
    if (this.#hooks.pathsOf(to) === 0) return "transport_unknown_peer";
    const isFull = this.#queuedBytes > QUEUED_BYTES_MAX || this.#queuedMessages > QUEUED_MESSAGES_MAX;
    return isFull && priority === "bulk" ? "transport_queue_full" : undefined;
  }

  #outbox(to: number): Outbox {
    let outbox = this.#outboxes.get(to);
    if (outbox === undefined) {
      outbox = new Outbox(to, this.#options.firstId ?? 0);
      this.#outboxes.set(to, outbox);
    }
    return outbox;
  }

  #newOutgoing(
    outbox: Outbox,
    handle: number,
    bytes: Uint8Array,
    failAt_ms: number,
    priority: Priority,
    now_ms: number,
  ): Outgoing {
    const { life } = this.#options;
    const head = { priority, life, id: outbox.takeId(priority), total: bytes.length, partBytes: this.#partBytes };
    return new Outgoing({ handle, to: outbox.to, bytes, head, failAt_ms, now_ms });
  }

  #complete(outbox: Outbox, message: Outgoing, now_ms: number, path: number, have: HaveMessage): void {
    this.#paths.answered(message.to, path, now_ms, message.roundTripOf(have, now_ms));
    if (message.priority === "bulk") outbox.window.arrived(message.inFlight);
    this.#finish(outbox, message, true);
  }

  #progress(outbox: Outbox, message: Outgoing, now_ms: number, path: number, have: HaveMessage): void {
    const progress = message.onHave(have, now_ms, this.#patience_ms(message));
    if (progress === undefined) {
      this.#hooks.count("transport_have_bogus");
      return;
    }
    this.#paths.answered(message.to, path, now_ms, progress.roundTrip_ms);
    if (message.priority === "bulk") {
      outbox.window.inFlight -= progress.landed;
      outbox.window.arrived(progress.arrived);
      if (progress.lostSent_ms !== undefined) outbox.window.lost(progress.lostSent_ms, now_ms);
    }
    if (progress.arrived > 0) message.timeoutAt_ms = now_ms + this.#timeout_ms(message);
    if (message.inFlight === 0) message.timeoutAt_ms = NEVER_MS;
  }

  #checkTimes(outbox: Outbox, message: Outgoing, now_ms: number): void {
    if (now_ms >= message.failAt_ms) {
      this.#finish(outbox, message, false);
      return;
    }
    if (now_ms >= message.suspectAt_ms) this.#loseSuspects(outbox, message, now_ms);
    if (now_ms < message.timeoutAt_ms) return;
    const isStalled = message.timeouts >= STALL_TIMEOUTS && now_ms - message.progress_ms >= this.#times.stall_ms;
    if (isStalled && message.priority === "bulk") {
      this.#giveUp(outbox, message, now_ms);
      return;
    }
    const timeout_ms = this.#timeout_ms(message);
    const lost = message.loseOverdue(timeout_ms, now_ms);
    if (lost > 0) {
      this.#hooks.count("transport_timeout");
      message.timeouts += 1;
      if (message.priority === "bulk") {
        outbox.window.inFlight -= lost;
        outbox.window.timedOut(now_ms - timeout_ms, now_ms);
      }
    }
    message.timeoutAt_ms = message.oldestSent_ms + this.#timeout_ms(message);
  }

  /** If the peer says nothing at all, whatever else is to go there would only stall as well, a few packets at a time. */
  #giveUp(outbox: Outbox, stalled: Outgoing, now_ms: number): void {
    const isSilent = now_ms - outbox.heard_ms >= this.#times.stall_ms;
    const waiting = isSilent ? outbox.waiting.splice(0) : [];
    for (const message of isSilent ? [...outbox.active] : [stalled]) this.#finish(outbox, message, false);
    for (const { handle, bytes } of waiting) this.#settle(handle, outbox.to, false, bytes, "bulk");
  }

  #loseSuspects(outbox: Outbox, message: Outgoing, now_ms: number): void {
    const before = message.inFlight;
    const lostSent_ms = message.loseSuspects(now_ms, this.#patience_ms(message));
    if (message.priority === "token") return;
    outbox.window.inFlight -= before - message.inFlight;
    if (lostSent_ms !== undefined) outbox.window.lost(lostSent_ms, now_ms);
  }

  #failWaiting(outbox: Outbox, now_ms: number): void {
    const isDue = (outbox.waiting[0]?.failAt_ms ?? NEVER_MS) <= now_ms;
    if (!isDue) return;
    for (const { handle, bytes } of outbox.waiting.filter(({ failAt_ms }) => failAt_ms <= now_ms)) {
      this.#settle(handle, outbox.to, false, bytes, "bulk");
    }
    const left = outbox.waiting.filter(({ failAt_ms }) => failAt_ms > now_ms);
    outbox.waiting.splice(0, outbox.waiting.length, ...left);
  }

  /** How late the news of a part may be that was overtaken: the receiver waits for more before it tells. */
  #patience_ms(message: Outgoing): number {
    const { haveDelay_ms, tokenResendMax_ms } = this.#times;
    return haveDelay_ms + this.#paths.timeout_ms(message.to, { min_ms: 0, max_ms: tokenResendMax_ms }, haveDelay_ms);
  }

  /** Doubles with every timeout without progress. */
  #timeout_ms(message: Outgoing): number {
    const times = this.#times;
    const isToken = message.priority === "token";
    const min_ms = isToken ? times.tokenResendMin_ms : times.bulkResendMin_ms;
    const max_ms = isToken ? times.tokenResendMax_ms : times.resendMax_ms;
    const unmeasured_ms = isToken ? times.tokenResendMax_ms : times.bulkResendStart_ms;
    const once_ms = this.#paths.timeout_ms(message.to, { min_ms, max_ms }, unmeasured_ms);
    return Math.min(times.resendMax_ms, once_ms * 2 ** Math.min(message.timeouts, 8));
  }

  #finish(outbox: Outbox, message: Outgoing, delivered: boolean): void {
    this.#remove(outbox, message);
    this.#settle(message.handle, message.to, delivered, message.bytes, message.priority);
  }

  #settle(handle: number, to: number, delivered: boolean, bytes: Uint8Array, priority: Priority): void {
    this.#queuedBytes -= bytes.length;
    this.#queuedMessages -= 1;
    this.#hooks.count(delivered ? "transport_delivered" : "transport_failed");
    this.#hooks.settled(handle, to, delivered, bytes, priority);
  }

  #forget(outbox: Outbox, message: Outgoing): void {
    this.#remove(outbox, message);
    this.#queuedBytes -= message.bytes.length;
    this.#queuedMessages -= 1;
  }

  #remove(outbox: Outbox, message: Outgoing): void {
    outbox.remove(message);
    if (message.priority === "bulk") this.#turns = this.#turns.filter((one) => one !== message);
  }

  /** Sends what may go now. */
  #flush(now_ms: number): void {
    for (const outbox of this.#outboxes.values()) {
      if (outbox.token !== undefined) this.#sendToken(outbox.token, outbox, now_ms);
      this.#startWaiting(outbox, now_ms);
    }
    const isMore = this.#sendBulk(now_ms);
    this.#nextBurst_ms = isMore ? now_ms + this.#times.pace_ms : NEVER_MS;
    this.#writer.endBurst(now_ms);
  }

  #startWaiting(outbox: Outbox, now_ms: number): void {
    for (;;) {
      const next = outbox.takeStartable();
      if (next === undefined) return;
      // Only who is asked is expected to answer.
      if (outbox.active.length === 0) outbox.heard_ms = now_ms;
      const message = this.#newOutgoing(outbox, next.handle, next.bytes, next.failAt_ms, "bulk", now_ms);
      outbox.start(message);
      this.#turns.push(message);
    }
  }

  #sendToken(message: Outgoing, outbox: Outbox, now_ms: number): void {
    // To a peer that does not answer a few packets are enough, until it does.
    const limit = message.timeouts > 0 ? 2 * WINDOW_MIN_PACKETS : TOKEN_WINDOW_PACKETS;
    while (message.inFlight < limit && this.#sendPart(message, outbox, now_ms));
  }

  /** A burst of bulk, turn by turn. True: more could go at once. */
  #sendBulk(now_ms: number): boolean {
    let left = BURST_PACKETS;
    let idleTurns = 0;
    while (idleTurns < this.#turns.length) {
      const message = this.#turns.shift();
      if (message === undefined) return false;
      this.#turns.push(message);
      const sent = this.#takeTurn(message, Math.min(left, TURN_PACKETS), now_ms);
      left -= sent;
      idleTurns = sent === 0 ? idleTurns + 1 : 0;
      if (left === 0) return true;
    }
    return false;
  }

  #takeTurn(message: Outgoing, limit: number, now_ms: number): number {
    const outbox = this.#outbox(message.to);
    // The token is on its way there: nothing gets in front of it in the socket's buffer.
    if (outbox.token !== undefined) return 0;
    let sent = 0;
    while (sent < limit && outbox.window.hasRoom && this.#sendPart(message, outbox, now_ms)) {
      outbox.window.inFlight += 1;
      sent += 1;
    }
    return sent;
  }

  /** False: nothing to send before something arrives. */
  #sendPart(message: Outgoing, outbox: Outbox, now_ms: number): boolean {
    const isFirstInFlight = message.inFlight === 0;
    if (!this.#writer.send(message, outbox.floor(message), now_ms)) return false;
    if (isFirstInFlight) message.timeoutAt_ms = now_ms + this.#timeout_ms(message);
    return true;
  }
}

function dueAt(message: Outgoing): number {
  return Math.min(message.failAt_ms, message.timeoutAt_ms, message.suspectAt_ms);
}
