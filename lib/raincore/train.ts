// The carriages behind the token (the patent's figure 14): lets every module see and change its own. Called by visits.ts
// while this node holds the token. Carriages without a module here, or of a newer format than it knows, travel on untouched.
//
// What a module does in a visit it may act on at once, so it must be certain before the visit that the result can be put on the token: a module
// is called only if there is room for the largest that it may return. One that is not called acts on nothing new, and its carriage stays as it is;
// what it was not told of meanwhile is noted on the token, and told to whoever has that module called first (trainNotes.ts).
import { RainfrontError } from "../errors.js";
import type { Core } from "./core.js";
import {
  CARRIAGE_NAME_CHARS_MAX,
  CARRIAGES_MAX,
  type Carriage,
  isCarriageName,
  MEMBERS_MAX,
  TOKEN_BYTES_MAX,
  type Token,
} from "./token.js";
import { NOTES_BYTES_MAX, NOTES_CARRIAGE, NOTES_FORMAT, TrainNotes } from "./trainNotes.js";
import type { Removed, TokenContext, TokenModule } from "./types.js";
import { areEqual } from "./wire.js";

export interface Visit {
  readonly removed: readonly Removed[];
  readonly tokenReceived_ms: number;
  readonly confirmed: boolean;
}

/** Why a module is not called. */
type Standstill = "no_room" | "newer";

// Head and member records of the largest view.
const TOKEN_HEAD_BYTES_MAX = 25 + MEMBERS_MAX * 24;
// Name, format, version and length.
const CARRIAGE_HEAD_BYTES_MAX = 11 + CARRIAGE_NAME_CHARS_MAX;
const NOBODY: ReadonlySet<number> = new Set();

/** Throws `RF_ARGUMENT` when the modules' carriages could outgrow the token together: one of them would not be called any more. */
export function checkModules(modules: readonly TokenModule[]): void {
  const names = modules.map((module) => module.carriage);
  const bad = modules.find(({ carriage, format }) => !isFreeName(carriage) || !(format >= 0 && format <= 0xff));
  if (bad !== undefined || new Set(names).size < names.length || names.length >= CARRIAGES_MAX) {
    throw new RainfrontError(
      "RF_ARGUMENT",
      `modules: the carriages ${names.join(", ")} are not ${CARRIAGES_MAX - 1} different ones at most`,
      {
        fix: `give every module a name of 1 to 32 of a-z 0-9 . - of its own, not "${NOTES_CARRIAGE}", and a format of 0 to 255`,
      },
    );
  }
  const bytes = modules.reduce((sum, module) => sum + sizeOf(module.bytesMax), bytesWith([]));
  if (bytes <= TOKEN_BYTES_MAX) return;
  throw new RainfrontError(
    "RF_ARGUMENT",
    `modules: their carriages may have ${bytes} bytes together, a token ${TOKEN_BYTES_MAX}`,
    {
      fix: "lower bytesMax of some of them",
    },
  );
}

function isFreeName(name: string): boolean {
  return isCarriageName(name) && name !== NOTES_CARRIAGE;
}

export class Train {
  readonly #core: Core;
  readonly #modules: ReadonlyMap<string, TokenModule>;
  /** Modules that were not called at the last visit: that is logged once. */
  readonly #standing = new Map<TokenModule, Standstill>();

  constructor(core: Core) {
    this.#core = core;
    this.#modules = new Map(core.config.modules.map((module) => [module.carriage, module]));
  }

  /** Membership is lost. */
  reset(): void {
    this.#standing.clear();
  }

  visit(token: Token, visit: Visit): Token {
    const core = this.#core;
    let isHastened = false;
    const ctx: TokenContext = {
      now_ms: core.now_ms,
      self: core.self,
      view: core.viewOf(token),
      confirmed: visit.confirmed,
      tokenReceived_ms: visit.tokenReceived_ms,
      removed: visit.removed,
      missedQuorum: false,
      lacking: NOBODY,
      leaving: core.leaving,
      lease_ms: core.timers.lease_ms,
      leaseValid: core.leaseValid,
      mayBeServedOutside: core.mayBeServedOutside,
      hasten: () => {
        isHastened = true;
      },
    };
    const carriages = this.#visitAll(ctx, token.carriages);
    if (carriages === token.carriages && !isHastened) return token;
    return { ...token, carriages, hurry: isHastened ? token.members.length : token.hurry };
  }

  #visitAll(ctx: TokenContext, before: readonly Carriage[]): readonly Carriage[] {
    const written = before.find(({ name }) => name === NOTES_CARRIAGE);
    const others = written === undefined ? before : before.filter((carriage) => carriage !== written);
    const notes = this.#readNotes(ctx, written, others);
    const room = new Room(others, written);
    const told = new Set<string>();
    let carriages = others;
    for (const module of this.#core.config.modules) {
      carriages = this.#visitModule(module, contextFor(module, ctx, notes), carriages, { room, told });
    }
    if (notes === undefined) return carriages === others ? before : withCarriage(carriages, written);
    for (const { name } of carriages) {
      if (told.has(name)) notes.tell(name);
      else notes.keep(name, ctx.removed, ctx.view.quorate);
    }
    const after = notesCarriage(notes, written);
    return carriages === others && after === written ? before : withCarriage(carriages, after);
  }

  /** With what this node has no part in. Undefined: nobody may change what it cannot read. */
  #readNotes(ctx: TokenContext, written: Carriage | undefined, others: readonly Carriage[]): TrainNotes | undefined {
    if (written !== undefined && written.format > NOTES_FORMAT) return undefined;
    const notes = TrainNotes.read(written?.bytes, new Set(others.map(({ name }) => name)), ctx.view);
    const own = ctx.view.members.find(({ nodeId }) => nodeId === ctx.self);
    if (notes === undefined || own === undefined) return notes;
    const lacked = others.filter(({ name, format }) => format > (this.#modules.get(name)?.format ?? -1));
    // Others may have waited for this node.
    if (notes.setLacking(ctx.self, own.incarnation, new Set(lacked.map(({ name }) => name)))) ctx.hasten();
    return notes;
  }

  #visitModule(
    module: TokenModule,
    ctx: TokenContext,
    carriages: readonly Carriage[],
    { room, told }: { readonly room: Room; readonly told: Set<string> },
  ): readonly Carriage[] {
    const core = this.#core;
    const before = carriages.find((carriage) => carriage.name === module.carriage);
    if (before !== undefined && before.format > module.format) {
      this.#standStill(module, "newer", () => module.onLost(ctx.now_ms));
      this.#call(module, () => module.onOutdated?.(ctx));
      return carriages;
    }
    if (!room.take(module, before)) {
      this.#standStill(module, "no_room");
      this.#call(module, () => module.onPassedBy?.(ctx, before?.bytes));
      return carriages;
    }
    if (this.#standing.delete(module)) core.log("info", "ring_carriage_goes_on", { carriage: module.carriage });
    const result = this.#call(module, () => module.onToken(ctx, before?.bytes));
    if (!result.ok) return carriages;
    const bytes = result.value;
    if (bytes !== undefined && bytes.length > module.bytesMax) {
      core.count("carriage_too_large");
      core.log("warn", "ring_carriage_too_large", { carriage: module.carriage, bytes: bytes.length });
      return carriages;
    }
    told.add(module.carriage);
    return bytes === before?.bytes ? carriages : withBytes(carriages, module, before, bytes);
  }

  #standStill(module: TokenModule, cause: Standstill, begin: () => void = () => {}): void {
    const { carriage } = module;
    this.#core.count(`carriage_${cause}`);
    if (this.#standing.get(module) === cause) return;
    this.#standing.set(module, cause);
    this.#core.log("warn", `ring_carriage_${cause}`, { carriage });
    this.#call(module, begin);
  }

  #call<T>(module: TokenModule, act: () => T): { readonly ok: true; readonly value: T } | { readonly ok: false } {
    try {
      return { ok: true, value: act() };
    } catch (error) {
      this.#core.count("module_failed");
      this.#core.log("warn", "ring_module_failed", { carriage: module.carriage, error: String(error) });
      return { ok: false };
    }
  }
}

/**
 * What the token can still carry, if all modules that have been called return the largest that they may. What is not called, or not from
 * here, counts as it is; the notes count with their largest size.
 */
class Room {
  #bytes: number;
  #carriages: number;

  constructor(carriages: readonly Carriage[], notes: Carriage | undefined) {
    // Notes of a newer format, which stay as they are, may be longer.
    this.#bytes = bytesWith(carriages) + Math.max(0, (notes?.bytes.length ?? 0) - NOTES_BYTES_MAX);
    this.#carriages = carriages.length + 1;
  }

  /** False: the module's largest carriage would not fit. */
  take(module: TokenModule, before: Carriage | undefined): boolean {
    const present = before === undefined ? 0 : sizeOf(before.bytes.length);
    const bytes = this.#bytes - present + Math.max(present, sizeOf(module.bytesMax));
    const carriages = this.#carriages + (before === undefined ? 1 : 0);
    if (bytes > TOKEN_BYTES_MAX || carriages > CARRIAGES_MAX) return false;
    this.#bytes = bytes;
    this.#carriages = carriages;
    return true;
  }
}

function bytesWith(carriages: readonly Carriage[]): number {
  const fixed = TOKEN_HEAD_BYTES_MAX + sizeOf(NOTES_BYTES_MAX);
  return carriages.reduce((sum, { bytes }) => sum + sizeOf(bytes.length), fixed);
}

function sizeOf(bytes: number): number {
  return CARRIAGE_HEAD_BYTES_MAX + bytes;
}

function contextFor({ carriage }: TokenModule, ctx: TokenContext, notes: TrainNotes | undefined): TokenContext {
  if (notes === undefined || notes.isEmpty) return ctx;
  const known = new Set(ctx.removed.map(({ nodeId }) => nodeId));
  // Their leases have ended long ago, most likely; for certain in one lease.
  const leaseEnd_ms = ctx.now_ms + ctx.lease_ms;
  const untold = notes.untold(carriage).flatMap((nodeId) => (known.has(nodeId) ? [] : [{ nodeId, leaseEnd_ms }]));
  return {
    ...ctx,
    removed: [...ctx.removed, ...untold],
    missedQuorum: notes.missedQuorum(carriage),
    lacking: notes.lacking(carriage),
  };
}

function notesCarriage(notes: TrainNotes, before: Carriage | undefined): Carriage | undefined {
  if (notes.isEmpty) return undefined;
  const bytes = notes.encode();
  if (before !== undefined && areEqual(bytes, before.bytes)) return before;
  return { name: NOTES_CARRIAGE, format: NOTES_FORMAT, version: nextVersion(before), bytes };
}

function withBytes(
  carriages: readonly Carriage[],
  { carriage: name, format }: TokenModule,
  before: Carriage | undefined,
  bytes: Uint8Array | undefined,
): readonly Carriage[] {
  const others = carriages.filter((carriage) => carriage !== before);
  return bytes === undefined ? others : withCarriage(others, { name, format, version: nextVersion(before), bytes });
}

function withCarriage(carriages: readonly Carriage[], added: Carriage | undefined): readonly Carriage[] {
  return added === undefined ? carriages : [...carriages, added].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function nextVersion(before: Carriage | undefined): number {
  return ((before?.version ?? 0) + 1) >>> 0;
}
