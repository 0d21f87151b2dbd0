// Ordered multicast on the token (a service behind the patent's train): every member delivers the same messages in the
// same order, each labelled with the view in which it was put on. The host calls `send`, wakes the ring, and gets
// deliveries by call-back. The ring calls the rest while it holds the token.
//
// Why it is atomic. Records stay on the token until every member of the view has received them, so whoever takes the
// token next finds all that it lacks. A lost token is made again from the newest copy that a survivor has. A member
// delivers only what came to it with the token, that is, what its predecessor's copy has too, and never its own records
// before all others have them. So a survivor's deliveries are on the newest copy, even when the survivor's own last visit
// is not on it: a member that dropped the token in doubt may grant its predecessor, whose copy is as new, to make it
// again. Then the records that it put on at that visit never were; `sent` on the token tells it so, and it puts
// them on again. Nobody who goes on has seen the others.
//
// A removed member counts no more from the view without it on. A joiner, or a member that was removed and is back, starts
// at the top of the token's order as of the visit that put it in: it gets all of the views that it is in, and nothing older.
// That holds for the members of a group that yielded in a merge, too. All that have this module must have the same limits.
//
// A member that is known to have no multicast (the ring says who: `lacking`) is not waited for. It has said so itself, with the token in its hands, so
// it has delivered nothing, or, if it knows an older format only, settled and ended all that it had; and what a survivor has delivered came to it
// with the token, so it is on its predecessor's copy, whoever that is. A member whose module is only not called for a while is waited for.
import { RainfrontError } from "../../errors.js";
import { compareViews, type ViewId } from "../token.js";
import type { TokenContext, TokenModule, View } from "../types.js";
import { Assembler } from "./assembler.js";
import {
  baseOf,
  type Carriage,
  emptyCarriage,
  encodeCarriage,
  FIRST_CHUNK_HEAD_BYTES,
  FLAG_SAFE,
  HEAD_BYTES_MAX,
  hasSafe,
  isIdleAt,
  isWhole,
  type MemberEntry,
  MULTICAST_FORMAT,
  newRecordHead,
  type Piece,
  readRecord,
  scanCarriage,
} from "./codec.js";
import { type Delivery, InOrder } from "./inOrder.js";
import { alignMembers, areSameMembers, lowestUpTo } from "./members.js";
import { CHUNK_BYTES_MIN, type Guarantee, Outbox, type Outcome, type OwnMessage } from "./outbox.js";
import { fairShare } from "./share.js";

export type { Delivery } from "./inOrder.js";
export type { Guarantee, Outcome } from "./outbox.js";

export const MULTICAST_CARRIAGE = "multicast";
const BYTES_MAX_DEFAULT = 64 * 1024;
/** Room for the head of the largest view and for some records. */
const BYTES_MAX_LEAST = 8 * 1024;
/** So that a u16 can count records. */
const BYTES_MAX_MOST = 512 * 1024;
const QUEUE_BYTES_MAX = 32 * 1024 * 1024;
const QUEUE_MESSAGES_MAX = 16_384;
/** Any record fits into this. A share that is smaller is saved up over several visits, but not for more. */
const CREDIT_BYTES_MAX = CHUNK_BYTES_MIN + FIRST_CHUNK_HEAD_BYTES;

/** For "idle": nobody has sent anything yet. */
const NO_CARRIAGE = -1;

/** None of the call-backs may block, throw or call the ring; they may send. */
export interface MulticastConfig {
  readonly self: number;
  readonly onDeliver: (delivery: Delivery) => void;
  /** Everything of older views has been delivered. A view may be skipped if it is over before the token came by. */
  readonly onView?: (view: View) => void;
  readonly onSettled?: (id: number, outcome: Outcome) => void;
  /** Send again: after a refusal, half of the queue is free. */
  readonly onDrain?: () => void;
  /** Of the carriage; the same on every member. */
  readonly bytesMax?: number;
  readonly queueBytes_max?: number;
  readonly queueMessages_max?: number;
}

/** How a visit leaves the carriage: records from `keptFrom` on stay, `added` come behind them. */
interface After {
  readonly top: number;
  readonly keptFrom: number;
  readonly added: readonly Piece[];
}

/** Own records that went on at one visit, until they are stable. */
interface Batch {
  readonly sent: number;
  readonly order: number;
  readonly count: number;
}

/** Ordered multicast as a module of the engine. `Raincore` has one. */
export class Multicast implements TokenModule {
  readonly carriage = MULTICAST_CARRIAGE;
  readonly format = MULTICAST_FORMAT;
  readonly bytesMax: number;
  readonly #config: MulticastConfig;
  readonly #outbox: Outbox;
  readonly #inOrder: InOrder;
  readonly #assembler = new Assembler((cause) => this.#count(cause));
  readonly #record = newRecordHead();
  readonly #counters: Record<string, number> = {};
  #view: ViewId | undefined;
  #isMember = false;
  /** The carriage is of a newer format: this node has no part in it. */
  #isOutdated = false;
  /** The highest order received, own ones included. */
  #received = 0;
  /** Own records put on since this node came in, modulo 2^32. */
  #sent = 0;
  #batches: Batch[] = [];
  #credit = 0;
  /** Nothing is to be done on a carriage of this length and top in this view. */
  #idle: { readonly length: number; readonly view: ViewId } | undefined;

  constructor(config: MulticastConfig) {
    this.#config = config;
    this.bytesMax = config.bytesMax ?? BYTES_MAX_DEFAULT;
    if (!(this.bytesMax >= BYTES_MAX_LEAST && this.bytesMax <= BYTES_MAX_MOST)) {
      const range = `${BYTES_MAX_LEAST} to ${BYTES_MAX_MOST}`;
      throw new RainfrontError(
        "RF_ARGUMENT",
        `bytesMax: a multicast carriage has ${range} bytes, not ${this.bytesMax}`,
      );
    }
    this.#outbox = new Outbox({
      queueBytes_max: config.queueBytes_max ?? QUEUE_BYTES_MAX,
      queueMessages_max: config.queueMessages_max ?? QUEUE_MESSAGES_MAX,
      onSettled: (id, outcome) => this.#call(() => config.onSettled?.(id, outcome)),
      onDrain: () => this.#call(() => config.onDrain?.()),
    });
    this.#inOrder = new InOrder({
      deliver: (delivery) => {
        this.#count("delivered");
        this.#call(() => config.onDeliver(delivery));
      },
      report: (view) => this.#call(() => config.onView?.(view)),
      delivered: (message) => this.#outbox.settle(message, "delivered"),
    });
  }

  /** Queues a copy of `bytes` (16 MiB at most) for everybody, this node too. Undefined: the queue is full. */
  send(bytes: Uint8Array, guarantee: Guarantee): number | undefined {
    const id = this.#outbox.offer(bytes, guarantee);
    this.#count(id === undefined ? "refused_queue_full" : "sent");
    return id;
  }

  /** Bytes of messages that are not settled; they count against the limit of the queue. */
  get queuedBytes(): number {
    return this.#outbox.bytes;
  }

  get queuedMessages(): number {
    return this.#outbox.messages;
  }

  /** Whether the host has a reason to wake the ring. */
  get hasWork(): boolean {
    return !this.#outbox.isEmpty;
  }

  get isIdle(): boolean {
    return (this.#idle !== undefined || this.#isOutdated) && this.#outbox.isEmpty;
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  /** This node will not come back: settles what never went out. */
  abandon(): void {
    this.#outbox.abandon();
  }

  onToken(ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array | undefined {
    if (this.#isIdle(ctx, bytes)) return bytes;
    this.#idle = undefined;
    const carriage = bytes === undefined ? emptyCarriage(this.#topWithoutCarriage) : scanCarriage(bytes);
    if (carriage === undefined || !this.#isOfPast(carriage, ctx.view)) {
      // Nobody may change what it cannot read.
      this.#count("carriage_malformed");
      return bytes;
    }
    const members = alignMembers(carriage, ctx);
    const own = members.find((member) => member.nodeId === this.#config.self);
    const after = own === undefined ? this.#depart(carriage, members) : this.#stay(ctx, carriage, members, own);
    if (bytes === undefined && after.top === 0) this.#noteIdle(NO_CARRIAGE, ctx.view);
    else if (bytes !== undefined && isUnchanged(carriage, members, after)) this.#noteIdle(bytes.length, ctx.view);
    else return this.#encode(ctx.view, carriage, members, after);
    return bytes;
  }

  /** Nobody here takes part until this node is upgraded: what is queued is not sent. Views go on. */
  onOutdated({ view }: TokenContext): void {
    this.#isOutdated = true;
    this.#noteView(view);
    this.#outbox.abandon();
  }

  /** What was on its way may have been delivered by others, or not. What was only queued stays so. */
  onLost(_now_ms: number): void {
    this.#isOutdated = false;
    for (const message of this.#inOrder.clear()) this.#outbox.settle(message, "unknown");
    this.#outbox.restart();
    this.#assembler.clear();
    this.#isMember = false;
    this.#view = undefined;
    this.#idle = undefined;
    this.#received = 0;
    this.#sent = 0;
    this.#batches = [];
    this.#credit = 0;
  }

  #isIdle(ctx: TokenContext, bytes: Uint8Array | undefined): boolean {
    const idle = this.#idle;
    if (idle === undefined || !this.#outbox.isEmpty || ctx.leaving || ctx.removed.length > 0) return false;
    if (idle.view.epoch !== ctx.view.epoch || idle.view.origin !== ctx.view.origin) return false;
    if (bytes === undefined) return idle.length === NO_CARRIAGE;
    return bytes.length === idle.length && isIdleAt(bytes, this.#received);
  }

  /** No carriage: nobody has put anything on. If this node thinks that it has, that visit is on no token. */
  get #topWithoutCarriage(): number {
    const batch = this.#batches[0];
    return batch === undefined ? this.#received : batch.order - 1;
  }

  #noteIdle(length: number, view: View): void {
    if (!this.#outbox.isEmpty || !this.#inOrder.isEmpty) return;
    this.#idle = { length, view: { epoch: view.epoch, origin: view.origin } };
  }

  #isOfPast(carriage: Carriage, view: View): boolean {
    if (carriage.count === 0) return true;
    readRecord(carriage, carriage.count - 1, this.#record);
    return compareViews(this.#record, view) <= 0;
  }

  #stay(ctx: TokenContext, carriage: Carriage, members: readonly MemberEntry[], own: MemberEntry): After {
    if (!this.#isMember) this.#enter(carriage, own);
    else if (own.sent !== this.#sent) this.#rewind(carriage, own.sent);
    this.#checkContinuity(carriage);
    this.#accept(carriage, ctx.view);
    this.#noteView(ctx.view);
    own.upTo = carriage.top;
    const stable = lowestUpTo(members, carriage.top);
    const keptFrom = this.#stabilise(carriage, stable);
    // Others that have no multicast carry the order on all the same, and may make the token again.
    const isAlone = ctx.view.members.length === 1;
    const room = isAlone ? Number.POSITIVE_INFINITY : this.#room(carriage, keptFrom, members, own);
    const added = this.#put(ctx.view, carriage.top, room);
    own.upTo = carriage.top + added.length;
    own.sent = this.#sent;
    own.waiting = this.#outbox.waiting;
    if (isAlone) this.#stabilise(carriage, own.upTo);
    if (added.length > 0 || !this.#outbox.isEmpty || hasSafe(carriage, keptFrom)) ctx.hasten();
    return { top: own.upTo, keptFrom, added: isAlone ? [] : added };
  }

  /** The last visit of a node that leaves: its messages are all round, and it takes what is deliverable with it. */
  #depart(carriage: Carriage, members: readonly MemberEntry[]): After {
    const stable = lowestUpTo(members, carriage.top);
    if (this.#isMember) {
      const own = carriage.members.find((member) => member.nodeId === this.#config.self);
      const sent = own?.sent ?? 0;
      if (sent !== this.#sent) this.#rewind(carriage, sent);
      this.#checkContinuity(carriage);
      this.#accept(carriage, undefined);
      this.#inOrder.advance(stable);
      this.onLost(0);
    }
    this.#outbox.abandon();
    return { top: carriage.top, keptFrom: stable - baseOf(carriage), added: [] };
  }

  /** First visit since this node came in: who put it in has also said from where on it receives. */
  #enter(carriage: Carriage, own: MemberEntry): void {
    if (own.sent !== 0 || this.#isOutdated) {
      // An entry of an earlier life, or of before this node gave up its part; whatever it says is not about this one.
      this.#count("entry_stale");
      own.upTo = carriage.top;
      own.sent = 0;
    }
    this.#isOutdated = false;
    this.#isMember = true;
    this.#received = own.upTo;
  }

  /** The last visit of this node is not on this token: what it put on then never was, and goes on again. */
  #rewind(carriage: Carriage, sent: number): void {
    const next = (sent + 1) >>> 0;
    const batch = this.#batches.find((candidate) => (next - candidate.sent) >>> 0 < candidate.count);
    this.#sent = sent;
    this.#assembler.end(this.#config.self);
    this.#outbox.restart();
    if (batch === undefined) {
      this.#resume(carriage.top);
      return;
    }
    this.#count("rewound");
    const order = batch.order + ((next - batch.sent) >>> 0);
    this.#received = Math.min(this.#received, order - 1);
    this.#batches = this.#batches.filter((candidate) => candidate.order < order);
    this.#outbox.putBack(this.#inOrder.dropFrom(order));
  }

  /** The ring takes only tokens that descend from those it has seen, so the order always goes on where it was. */
  #checkContinuity(carriage: Carriage): void {
    if (this.#received > carriage.top || this.#received < baseOf(carriage)) this.#resume(carriage.top);
  }

  /** Something is amiss with this token: goes on from its top, and says so. */
  #resume(top: number): void {
    this.#count("order_broken");
    for (const message of this.#inOrder.dropFrom(0)) this.#outbox.settle(message, "unknown");
    this.#assembler.clear();
    this.#batches = [];
    this.#received = top;
  }

  #accept(carriage: Carriage, view: View | undefined): void {
    const record = this.#record;
    const { offsets, count, bytes } = carriage;
    const base = baseOf(carriage);
    let label: ViewId | undefined;
    // One copy for all: nothing that is delivered may be a part of the token.
    let copy: Uint8Array | undefined;
    let copiedFrom = 0;
    for (let index = this.#received - base; index < count; index++) {
      readRecord(carriage, index, record);
      if (label?.epoch !== record.epoch || label.origin !== record.origin) {
        label = { epoch: record.epoch, origin: record.origin };
        if (view !== undefined && compareViews(label, view) === 0) this.#noteView(view);
        this.#assembler.enterView(label);
      }
      const { flags, bodyAt, bodyBytes, sender } = record;
      let message: Uint8Array | undefined;
      if (isWhole(flags)) {
        if (copy === undefined) {
          copiedFrom = bodyAt;
          copy = new Uint8Array(bytes.subarray(copiedFrom, offsets[count]));
        }
        message = copy.subarray(bodyAt - copiedFrom, bodyAt - copiedFrom + bodyBytes);
      } else {
        message = this.#assembler.add(record, bytes.subarray(bodyAt, bodyAt + bodyBytes));
      }
      if (message === undefined) continue;
      const guarantee = (flags & FLAG_SAFE) === 0 ? "agreed" : "safe";
      const order = base + index + 1;
      this.#inOrder.add({ order, from: sender, view: label, guarantee, bytes: message }, undefined);
    }
    this.#received = carriage.top;
  }

  /** The view is reported behind all that was put on before it. */
  #noteView(view: View): void {
    if (this.#view !== undefined && compareViews(this.#view, view) === 0) return;
    this.#view = { epoch: view.epoch, origin: view.origin };
    this.#outbox.restart();
    this.#assembler.enterView(this.#view);
    this.#inOrder.addView(view);
  }

  /** Everybody has everything up to `stable`. Returns the first record that has to stay on the token. */
  #stabilise(carriage: Carriage, stable: number): number {
    this.#inOrder.advance(stable);
    const batch = this.#batches[0];
    if (batch !== undefined && batch.order <= stable) {
      this.#batches = this.#batches.filter(({ order, count }) => order + count - 1 > stable);
    }
    return Math.min(stable - baseOf(carriage), carriage.count);
  }

  #room(carriage: Carriage, keptFrom: number, members: readonly MemberEntry[], own: MemberEntry): number {
    if (this.#outbox.isEmpty) return 0;
    const capacity = this.bytesMax - HEAD_BYTES_MAX;
    const keptBytes = (carriage.offsets[carriage.count] ?? 0) - (carriage.offsets[keptFrom] ?? 0);
    const others = members.filter((member) => member !== own).map((member) => member.waiting);
    const share = fairShare(capacity, others);
    this.#credit = Math.max(share, Math.min(this.#credit + share, CREDIT_BYTES_MAX));
    return Math.min(capacity - keptBytes, this.#credit);
  }

  /** Puts own records on; they are delivered here when all others have them. */
  #put(view: View, top: number, room: number): readonly Piece[] {
    const { self } = this.#config;
    const load = this.#outbox.take(room, (messageBytes) => {
      if (!this.#assembler.hasRoom(messageBytes)) return false;
      this.#assembler.beginOwn(self, messageBytes);
      return true;
    });
    const count = load.pieces.length;
    this.#credit = this.#outbox.isEmpty ? 0 : Math.max(this.#credit - load.bytes, 0);
    if (count === 0) return load.pieces;
    this.#batches.push({ sent: (this.#sent + 1) >>> 0, order: top + 1, count });
    this.#sent = (this.#sent + count) >>> 0;
    this.#received = top + count;
    const label = { epoch: view.epoch, origin: view.origin };
    for (const { message, index } of load.completed) this.#addOwn(message, top + 1 + index, label);
    return load.pieces;
  }

  #addOwn(message: OwnMessage, order: number, view: ViewId): void {
    const { bytes, guarantee } = message;
    this.#assembler.end(this.#config.self);
    this.#inOrder.add({ order, from: this.#config.self, view, guarantee, bytes }, message);
  }

  #encode(view: View, carriage: Carriage, members: readonly MemberEntry[], after: After): Uint8Array {
    const bytes = encodeCarriage({ ...after, members, carriage, sender: this.#config.self, view });
    if (after.keptFrom === carriage.count && after.added.length === 0) this.#noteIdle(bytes.length, view);
    return bytes;
  }

  /** A host that fails must not tear a visit apart: the carriage and what this node knows of it belong together. */
  #call(act: () => void): void {
    try {
      act();
    } catch {
      this.#count("callback_failed");
    }
  }

  #count(name: string): void {
    this.#counters[name] = (this.#counters[name] ?? 0) + 1;
  }
}

function isUnchanged(carriage: Carriage, members: readonly MemberEntry[], after: After): boolean {
  if (after.top !== carriage.top || after.keptFrom > 0) return false;
  return areSameMembers(members, carriage.members);
}
