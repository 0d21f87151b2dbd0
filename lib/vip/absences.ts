// Planned absences: a node whose process is started again, and whose data plane goes on by itself meanwhile, tells all others so before it leaves,
// and keeps its VIPs and its flows until it is back, or until the time it named is over. Its own word on the token; VipModule and the data plane go
// by it. Nothing is waited for of a node that is absent: it is no member of the ring.
import type { Member, TokenContext, TokenModule } from "../raincore/types.js";
import { areEqual, Reader, WireError, Writer } from "../raincore/wire.js";

/** More at the same time there are not: the next one is refused until the last one is back. What is read may have some of several groups. */
const ABSENCES_MAX = 4;
const NODES_MAX = 256;
const BYTES_MAX = 2 + ABSENCES_MAX * (2 + 8 + 2 + 2 * NODES_MAX);
/** What the absent node takes off for clocks that do not run at the same rate, as its lease does. */
const CLOCK_MARGIN = 0.005;

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
  /** On the token; time that it is on its way is not counted, so it ends later, never sooner. */
  readonly remaining_ms: number;
  /** Who knows of it. */
  readonly known: readonly number[];
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
  /** When each is over, own clock. */
  readonly #until_ms = new Map<number, number>();
  #request: Request | undefined;
  /** All have agreed: this process has to leave. */
  #isAgreed = false;
  /** Of a membership that was lost, and when each is over: in a group that this node forms nobody else may know. */
  readonly #remembered_ms = new Map<number, number>();
  /** When this node first came by the token with a lease, while it was still taken for absent. */
  #leased_ms: number | undefined;
  #tellings = 0;
  #malformed = 0;

  constructor(config: AbsencesConfig) {
    this.#config = config;
  }

  get isIdle(): boolean {
    return this.#until_ms.size === 0 && this.#request === undefined;
  }

  get malformedCarriages(): number {
    return this.#malformed;
  }

  /** Who is absent, and for how long at most. */
  remaining_ms(now_ms: number): ReadonlyMap<number, number> {
    const inForce = [...this.#until_ms].filter(([, until_ms]) => until_ms > now_ms);
    return new Map(inForce.map(([nodeId, until_ms]) => [nodeId, until_ms - now_ms]));
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
    const carried = bytes === undefined ? [] : decodeAbsences(bytes);
    if (carried === undefined) {
      this.#malformed += 1;
      this.#refuse("not_known_to_all");
      return bytes;
    }
    const current = [...carried, ...this.#recall(ctx, bytes)]
      .map((absence) => this.#asOfNow(absence, ctx))
      .filter((absence) => this.#isInForce(absence, ctx));
    const told = this.#fulfil(ctx, current);
    this.#learn(told, ctx.now_ms);
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
    this.#refuse("not_ready");
    for (const [nodeId, until_ms] of this.#until_ms) {
      if (nodeId !== this.#config.self) this.#remembered_ms.set(nodeId, until_ms);
    }
    this.#leased_ms = undefined;
    if (this.#until_ms.size === 0) return;
    this.#until_ms.clear();
    this.#config.onChange();
  }

  /** A group of which this node is the first has heard of nobody else's absence. In another one they know better. */
  #recall({ now_ms, view }: TokenContext, bytes: Uint8Array | undefined): readonly Absence[] {
    const isFormed = bytes === undefined && view.members.length === 1;
    const recalled = [...this.#remembered_ms].filter(([, until_ms]) => isFormed && until_ms > now_ms);
    this.#remembered_ms.clear();
    return recalled.map(([nodeId, until_ms]) => ({ nodeId, remaining_ms: until_ms - now_ms, known: [] }));
  }

  /**
   * What is left of it by the own clock, if that says less; and this node knows of it. One that it has not heard of is another one, whatever this
   * node knew until now: who asks anew goes by what it says last.
   */
  #asOfNow(absence: Absence, { now_ms, view }: TokenContext): Absence {
    const { self } = this.#config;
    const known_ms = absence.known.includes(self) ? this.#until_ms.get(absence.nodeId) : undefined;
    const until_ms = known_ms ?? Number.POSITIVE_INFINITY;
    const remaining_ms = Math.min(absence.remaining_ms, until_ms - now_ms);
    const here = new Set(view.members.map(({ nodeId }) => nodeId));
    const known = [...new Set([...absence.known, self])].filter((nodeId) => here.has(nodeId));
    return { ...absence, remaining_ms, known };
  }

  /** Until it is over, or the node is back: it says so itself. */
  #isInForce({ nodeId, remaining_ms }: Absence, ctx: TokenContext): boolean {
    return remaining_ms > 0 && !(nodeId === this.#config.self && this.#isBack(ctx));
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
    const obstacle = ctx.now_ms >= request.by_ms ? "not_known_to_all" : this.#obstacle(ctx, others);
    if (obstacle !== undefined) {
      this.#refuse(obstacle);
      return others;
    }
    const own = current.find(({ nodeId }) => nodeId === self);
    if (request.told_ms === undefined || own === undefined) return this.#tell(ctx, request, others);
    if (!ctx.view.members.every(({ nodeId }) => own.known.includes(nodeId))) return current;
    if (!this.#config.isServing()) return current;
    this.#request = undefined;
    this.#isAgreed = true;
    this.#config.onOutcome({ agreed: true, until_ms: ctx.now_ms + own.remaining_ms - request.for_ms * CLOCK_MARGIN });
    return current;
  }

  #tell(ctx: TokenContext, request: Request, others: readonly Absence[]): readonly Absence[] {
    const { self } = this.#config;
    this.#tellings += 1;
    if (this.#tellings > TELLINGS_MAX) {
      this.#refuse("not_known_to_all");
      return others;
    }
    this.#request = { ...request, told_ms: ctx.now_ms };
    // From now on by the own clock as well.
    this.#until_ms.set(self, ctx.now_ms + request.for_ms);
    ctx.hasten();
    return [...others, { nodeId: self, remaining_ms: request.for_ms, known: [self] }];
  }

  #obstacle(ctx: TokenContext, others: readonly Absence[]): AbsenceRefusal | undefined {
    const { self, nodeIds, isQuorate, needsEverybody } = this.#config;
    const ready = ctx.view.members.filter((member: Member) => member.ready).map(({ nodeId }) => nodeId);
    if (ctx.leaving || !ctx.leaseValid || !ready.includes(self)) return "not_ready";
    if (ctx.lacking.size > 0) return "not_known_to_all";
    if (others.length > 0) return "somebody_is_absent";
    if (needsEverybody && ready.length < nodeIds.length) return "not_everybody_here";
    return isQuorate(ready.filter((nodeId) => nodeId !== self)) ? undefined : "not_quorate_without";
  }

  #refuse(why: AbsenceRefusal): void {
    if (this.#request === undefined) return;
    this.#request = undefined;
    this.#until_ms.delete(this.#config.self);
    this.#config.onOutcome({ agreed: false, why });
  }

  #learn(absences: readonly Absence[], now_ms: number): void {
    const before = [...this.#until_ms.keys()].sort().join();
    this.#until_ms.clear();
    for (const { nodeId, remaining_ms } of absences) this.#until_ms.set(nodeId, now_ms + remaining_ms);
    if ([...this.#until_ms.keys()].sort().join() !== before) this.#config.onChange();
  }
}

export function encodeAbsences(absences: readonly Absence[]): Uint8Array {
  const w = new Writer().u16(absences.length);
  for (const { nodeId, remaining_ms, known } of absences) {
    w.u16(nodeId).f64(remaining_ms).u16(known.length);
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
      const remaining_ms = r.f64();
      if (!(remaining_ms >= 0)) throw new WireError("a negative time");
      return { nodeId, remaining_ms, known: Array.from({ length: r.count(NODES_MAX) }, () => r.u16()) };
    });
    r.end();
    return new Set(absences.map(({ nodeId }) => nodeId)).size === absences.length ? absences : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
