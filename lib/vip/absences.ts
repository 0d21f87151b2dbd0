// Planned absences: a node whose process is started again, and whose data plane goes on by itself meanwhile, tells all others so before it leaves,
// and keeps its VIPs and its flows until it is back, or until the time it named is over. Its own word on the token; VipModule and the data plane go
// by it. Nothing is waited for of a node that is absent: it is no member of the ring.
import type { Member, TokenContext, TokenModule, View } from "../raincore/types.js";
import { areEqual, Reader, WireError, Writer } from "../raincore/wire.js";

/** There is one at a time in a group; with those of other groups that meet, and those that are back before their time, there may be some more. */
const ABSENCES_MAX = 8;
const NODES_MAX = 256;
const BYTES_MAX = 2 + ABSENCES_MAX * (2 + 8 + 4 + 4 + 1 + 8 + 2 + 2 * NODES_MAX);
/** What the absent node takes off for clocks that do not run at the same rate, as its lease does. */
const CLOCK_MARGIN = 0.005;
/** That a node is back is known for so much longer than its absence would have lasted: more than clocks differ by meanwhile. */
const BACK_MORE_MS = 1000;

/** Why a node may not go away now. */
export type AbsenceRefusal =
  | "not_ready"
  | "not_quorate_without"
  | "not_everybody_here"
  | "somebody_is_absent"
  | "is_absent"
  | "not_known_to_all";

export type AbsenceOutcome =
  /** All members know of it, and keep what is this node's until after `until_ms` (own clock). */
  { readonly agreed: true; readonly until_ms: number } | { readonly agreed: false; readonly why: AbsenceRefusal };

export interface AbsencesConfig {
  readonly self: number;
  /** All configured nodes. */
  readonly nodeIds: readonly number[];
  /** Whether these nodes may serve without the others. */
  readonly isQuorate: (nodeIds: readonly number[]) => boolean;
  /** Under `available` a part of the cluster may serve that cannot hear of this: nobody may be missing. */
  readonly needsEverybody: boolean;
  /** A request that is not settled by then is refused: nobody waits for it any more. */
  readonly patience_ms: number;
  /** All that is this node's is answered for: what it has been given and has still to wait for, nobody would have while it is away. */
  readonly isServing: () => boolean;
  /** A request is settled. Called before the token goes on. */
  readonly onOutcome: (outcome: AbsenceOutcome) => void;
  /** Who is absent has changed. Called before the token goes on. */
  readonly onChange: () => void;
}

interface Absence {
  readonly nodeId: number;
  /** Its life that goes. */
  readonly incarnation: bigint;
  /** In which it was told, and how many that life of the node had told of before. Of two of one node, the later one counts. */
  readonly epoch: number;
  readonly telling: number;
  /** The node is back, before its time: who has missed that, and comes in, must not take it for absent. */
  readonly isBack: boolean;
  /** On the token; time that it is on its way is not counted, so it ends later, never sooner. */
  readonly remaining_ms: number;
  /** Who knows of it. */
  readonly known: readonly number[];
}

type Told = Pick<Absence, "incarnation" | "epoch" | "telling" | "isBack">;

/** As this node has heard of it. */
interface Heard extends Told {
  /** When it is over, own clock. */
  readonly until_ms: number;
}

interface Request {
  readonly for_ms: number;
  /** When it is given up. */
  readonly by_ms: number;
  /** When it was put on the token; undefined: it was not yet. */
  readonly told_ms: number | undefined;
}

/** Rounds in which the view changed before all had heard: then it is not the time for it. */
const TELLINGS_MAX = 8;

export class Absences implements TokenModule {
  readonly carriage = "absences";
  readonly format = 1;
  readonly bytesMax = BYTES_MAX;
  readonly #config: AbsencesConfig;
  readonly #heard = new Map<number, Heard>();
  #request: Request | undefined;
  /** All have agreed: this process has to leave. */
  #isAgreed = false;
  /** Of a membership that was lost. The next group may have heard nothing of it: those who have made it may not have been told. */
  readonly #remembered = new Map<number, Heard>();
  /** Whose absence this visit has told the group of. */
  readonly #recalled = new Set<number>();
  readonly #returning = new Set<number>();
  /** When this node first came by the token with a lease, while it was still taken for absent. */
  #leased_ms: number | undefined;
  /** Of this request, and of all of this life. */
  #tellings = 0;
  #telling = 0;
  #malformed = 0;

  constructor(config: AbsencesConfig) {
    this.#config = config;
  }

  get isIdle(): boolean {
    const hasToTell = this.#request !== undefined || this.#remembered.size > 0;
    return !hasToTell && [...this.#heard.values()].every(({ isBack }) => isBack);
  }

  get malformedCarriages(): number {
    return this.#malformed;
  }

  /** Who is absent, and for how long at most. */
  remaining_ms(now_ms: number): ReadonlyMap<number, number> {
    const inForce = [...this.#heard].filter(([, { isBack, until_ms }]) => !isBack && until_ms > now_ms);
    return new Map(inForce.map(([nodeId, { until_ms }]) => [nodeId, until_ms - now_ms]));
  }

  /** Of whose absence the group had not heard before this visit: what was the absent node's may be orphaned by now, or on its way to another. */
  get recalled(): ReadonlySet<number> {
    return this.#recalled;
  }

  /** Who is absent, and is a ready member again, as of this visit. */
  get returning(): ReadonlySet<number> {
    return this.#returning;
  }

  /** Asks to be absent for so long; the token is to be called for. `onOutcome` says what came of it. */
  request(for_ms: number, now_ms: number): void {
    if (this.#isAgreed) {
      this.#config.onOutcome({ agreed: false, why: "is_absent" });
      return;
    }
    this.#request = { for_ms, by_ms: now_ms + this.#config.patience_ms, told_ms: undefined };
    this.#tellings = 0;
  }

  onToken(ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array | undefined {
    this.#recalled.clear();
    const carried = bytes === undefined ? [] : decodeAbsences(bytes);
    if (carried === undefined) {
      this.#malformed += 1;
      this.#refuse("not_known_to_all");
      return bytes;
    }
    const current = this.#withRemembered(carried, ctx)
      .map((absence) => (this.#isOver(absence) ? this.#backUntil(absence, ctx.now_ms) : this.#asOfNow(absence, ctx)))
      .filter(({ remaining_ms }) => remaining_ms > 0)
      .map((absence) => (absence.nodeId === this.#config.self && this.#isBack(ctx) ? back(absence) : absence));
    const told = fitting(this.#fulfil(ctx, current));
    this.#learn(told, ctx.now_ms);
    this.#returning.clear();
    for (const absence of told)
      if (!absence.isBack && isReturning(absence, ctx.view)) this.#returning.add(absence.nodeId);
    if (told.length === 0) return undefined;
    const encoded = encodeAbsences(told);
    return bytes !== undefined && areEqual(bytes, encoded) ? bytes : encoded;
  }

  onPassedBy(): void {
    this.#refuse("not_known_to_all");
  }

  onOutdated(): void {
    this.#refuse("not_known_to_all");
  }

  onLost(): void {
    const { self } = this.#config;
    // It was told, and does not come about.
    const own = this.#request === undefined ? undefined : this.#heard.get(self);
    if (own !== undefined) this.#remembered.set(self, { ...own, isBack: true });
    this.#refuse("not_ready");
    for (const [nodeId, heard] of this.#heard) {
      if (nodeId !== self || !this.#isAgreed) this.#remembered.set(nodeId, heard);
    }
    this.#leased_ms = undefined;
    if (this.#heard.size === 0) return;
    this.#heard.clear();
    this.#config.onChange();
  }

  /** What this node remembers, where the group has not heard of that or of anything later. */
  #withRemembered(carried: readonly Absence[], { now_ms, view }: TokenContext): readonly Absence[] {
    if (this.#remembered.size === 0) return carried;
    const all = new Map(carried.map((absence) => [absence.nodeId, absence]));
    for (const [nodeId, { until_ms, ...told }] of this.#remembered) {
      const own = { nodeId, ...told, remaining_ms: until_ms - now_ms, known: [] };
      const theirs = all.get(nodeId);
      if (own.remaining_ms <= 0 || (theirs !== undefined && !isLater(own, theirs))) continue;
      // It may have come back to a group that did not know that it had been away.
      const isHere = isReturning(own, view);
      all.set(nodeId, isHere && !own.isBack ? back(own) : own);
      if (!own.isBack && !isHere) this.#recalled.add(nodeId);
    }
    this.#remembered.clear();
    return [...all.values()];
  }

  /** The node is back, says the token; or this node has heard so, and the token was made again from an older copy. */
  #isOver(absence: Absence): boolean {
    const heard = this.#heard.get(absence.nodeId);
    return absence.isBack || (heard?.isBack === true && isLater(heard, absence));
  }

  /** Until this node's own clock says that it is no more news. The same bytes until then: a ring that is idle else is idle. */
  #backUntil(absence: Absence, now_ms: number): Absence {
    const heard = this.#heard.get(absence.nodeId);
    const own_ms = heard?.isBack === true && !isLater(absence, heard) ? heard.until_ms - now_ms : undefined;
    const remaining_ms = own_ms === undefined || (absence.isBack && own_ms > 0) ? absence.remaining_ms : own_ms;
    return { ...absence, isBack: true, remaining_ms, known: [] };
  }

  /**
   * What is left of it by the own clock, if that says less; and this node knows of it. One that it has not heard of is another one, whatever this
   * node knew until now: who asks anew goes by what it says last.
   */
  #asOfNow(absence: Absence, { now_ms, view }: TokenContext): Absence {
    const { self } = this.#config;
    const known_ms = absence.known.includes(self) ? this.#heard.get(absence.nodeId)?.until_ms : undefined;
    const remaining_ms = Math.min(absence.remaining_ms, (known_ms ?? Number.POSITIVE_INFINITY) - now_ms);
    const here = new Set(view.members.map(({ nodeId }) => nodeId));
    const known = [...new Set([...absence.known, self])].filter((nodeId) => here.has(nodeId));
    return { ...absence, remaining_ms, known };
  }

  /** With a lease of its own, and a round later: all know it as a ready member then, and it is not missed for a moment. */
  #isBack({ leaseValid, tokenReceived_ms }: TokenContext): boolean {
    if (this.#request !== undefined || this.#isAgreed || !leaseValid) return false;
    this.#leased_ms ??= tokenReceived_ms;
    return tokenReceived_ms > this.#leased_ms;
  }

  #fulfil(ctx: TokenContext, current: readonly Absence[]): readonly Absence[] {
    const request = this.#request;
    if (request === undefined) return current;
    const { self } = this.#config;
    const others = current.filter(({ nodeId }) => nodeId !== self);
    const own = current.find(({ nodeId, isBack }) => nodeId === self && !isBack);
    const obstacle = ctx.now_ms >= request.by_ms ? "not_known_to_all" : this.#obstacle(ctx, others);
    if (obstacle !== undefined) {
      this.#refuse(obstacle);
      return own === undefined ? current : [...others, back(own)];
    }
    if (request.told_ms === undefined || own === undefined) return this.#tell(ctx, request, own, others);
    if (!ctx.view.members.every(({ nodeId }) => own.known.includes(nodeId))) return current;
    if (!this.#config.isServing()) return current;
    this.#request = undefined;
    this.#isAgreed = true;
    this.#config.onOutcome({ agreed: true, until_ms: ctx.now_ms + own.remaining_ms - request.for_ms * CLOCK_MARGIN });
    return current;
  }

  #tell(
    ctx: TokenContext,
    request: Request,
    former: Absence | undefined,
    others: readonly Absence[],
  ): readonly Absence[] {
    const { self } = this.#config;
    this.#tellings += 1;
    this.#telling += 1;
    if (this.#tellings > TELLINGS_MAX) {
      this.#refuse("not_known_to_all");
      return former === undefined ? others : [...others, back(former)];
    }
    this.#request = { ...request, told_ms: ctx.now_ms };
    const incarnation = ctx.view.members.find(({ nodeId }) => nodeId === self)?.incarnation ?? 0n;
    const told = { incarnation, epoch: ctx.view.epoch, telling: this.#telling, isBack: false };
    // From now on by the own clock as well.
    this.#heard.set(self, { ...told, until_ms: ctx.now_ms + request.for_ms });
    ctx.hasten();
    return [...others, { nodeId: self, ...told, remaining_ms: request.for_ms, known: [self] }];
  }

  #obstacle(ctx: TokenContext, others: readonly Absence[]): AbsenceRefusal | undefined {
    const { self, nodeIds, isQuorate, needsEverybody } = this.#config;
    const ready = ctx.view.members.filter((member: Member) => member.ready).map(({ nodeId }) => nodeId);
    if (ctx.leaving || !ctx.leaseValid || !ready.includes(self)) return "not_ready";
    if (ctx.lacking.size > 0) return "not_known_to_all";
    if (others.some(({ isBack }) => !isBack)) return "somebody_is_absent";
    if (needsEverybody && ready.length < nodeIds.length) return "not_everybody_here";
    return isQuorate(ready.filter((nodeId) => nodeId !== self)) ? undefined : "not_quorate_without";
  }

  #refuse(why: AbsenceRefusal): void {
    if (this.#request === undefined) return;
    this.#request = undefined;
    this.#heard.delete(this.#config.self);
    this.#config.onOutcome({ agreed: false, why });
  }

  #learn(absences: readonly Absence[], now_ms: number): void {
    const before = new Map(this.#heard);
    const absentBefore = this.#absent();
    this.#heard.clear();
    for (const { nodeId, incarnation, epoch, telling, isBack, remaining_ms } of absences) {
      const told = { incarnation, epoch, telling, isBack };
      const heard = before.get(nodeId);
      // That it is back is news for so long from when it was heard, and not from when it was seen last.
      const isKnown = isBack && heard?.isBack === true && !isLater(told, heard);
      this.#heard.set(nodeId, { ...told, until_ms: isKnown ? heard.until_ms : now_ms + remaining_ms });
    }
    if (this.#absent() !== absentBefore) this.#config.onChange();
  }

  /** Who is taken for absent, to compare. */
  #absent(): string {
    return [...this.#heard]
      .filter(([, { isBack }]) => !isBack)
      .map(([nodeId]) => nodeId)
      .sort()
      .join();
  }
}

/** The node's next life. The one that goes is a ready member until it leaves. */
function isReturning({ nodeId, incarnation }: Absence, { members }: View): boolean {
  return members.some((one) => one.nodeId === nodeId && one.ready && one.incarnation !== incarnation);
}

function back(absence: Absence): Absence {
  if (absence.isBack) return absence;
  return { ...absence, isBack: true, remaining_ms: absence.remaining_ms + BACK_MORE_MS, known: [] };
}

/** Of two of the same node. That it is back is known later than that it has gone. */
function isLater(own: Told, theirs: Told): boolean {
  if (own.epoch !== theirs.epoch) return own.epoch > theirs.epoch;
  return own.telling === theirs.telling ? own.isBack && !theirs.isBack : own.telling > theirs.telling;
}

/** Of too many, those are forgotten first that are back, and of these those that would be over first. */
function fitting(absences: readonly Absence[]): readonly Absence[] {
  if (absences.length <= ABSENCES_MAX) return absences;
  const byWeight = [...absences].sort((a, b) => Number(a.isBack) - Number(b.isBack) || b.remaining_ms - a.remaining_ms);
  return byWeight.slice(0, ABSENCES_MAX);
}

export function encodeAbsences(absences: readonly Absence[]): Uint8Array {
  const w = new Writer().u16(absences.length);
  for (const { nodeId, incarnation, epoch, telling, isBack, remaining_ms, known } of absences) {
    w.u16(nodeId).u64(incarnation).u32(epoch).u32(telling).u8(Number(isBack)).f64(remaining_ms).u16(known.length);
    for (const each of known) w.u16(each);
  }
  return w.finish();
}

/** Undefined: these bytes are none. */
export function decodeAbsences(bytes: Uint8Array): Absence[] | undefined {
  try {
    const r = new Reader(bytes);
    const absences = Array.from({ length: r.count(ABSENCES_MAX) }, (): Absence => {
      const nodeId = r.u16();
      const incarnation = r.u64();
      const epoch = r.u32();
      const telling = r.u32();
      const flags = r.u8();
      if (flags > 1) throw new WireError("unknown flags");
      const remaining_ms = r.f64();
      if (!(remaining_ms >= 0)) throw new WireError("a negative time");
      return {
        nodeId,
        incarnation,
        epoch,
        telling,
        isBack: flags === 1,
        remaining_ms,
        known: Array.from({ length: r.count(NODES_MAX) }, () => r.u16()),
      };
    });
    r.end();
    return new Set(absences.map(({ nodeId }) => nodeId)).size === absences.length ? absences : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
