// Small named values that the members share on the token, for users of the library: changed by compare-and-set, and
// every change reported on every member, in the same order, none left out. The host calls update and remove, wakes the ring,
// and hears of changes and outcomes by call-back. The ring calls the rest while it holds the token.
//
// One carriage holds all of them, so that there is one limit and one order: a version is the number of a change among
// those of all names, and never comes back. A name changes only when every member has reported its last change, so nobody skips
// one, but for members that are known to have no part in this carriage (`lacking`); a member reports its own change when all others have seen it, that is, when it is certain to last. If the
// ring went on from a copy without this member's last visit, the change is not there, and is tried again.
//
// A node that comes in gets everything that is there, in the order of versions. After a merge the greater group's state is
// everybody's: members of the other hear of its values as if they were new, and of the removal of what is not in it.
import { RainfrontError } from "../../errors.js";
import type { TokenContext, TokenModule, View } from "../types.js";
import { areEqual } from "../wire.js";
import {
  decodeShared,
  encodeShared,
  entryBytes,
  isAtVersion,
  NAME_PATTERN,
  NAMES_MAX,
  SHARED_FORMAT,
  SHARED_HEAD_BYTES_MAX,
  type SharedEntry,
  type SharedTable,
} from "./codec.js";

export const SHARED_CARRIAGE = "shared";
const BYTES_MAX_DEFAULT = 16 * 1024;
/** Room for the head of the largest view and for some values. */
const BYTES_MAX_LEAST = 4096;
const BYTES_MAX_MOST = 64 * 1024 - 1;
const QUEUE_MAX = 256;

/**
 * version: the name is at `version` (0: it does not exist). limit: too many names or bytes. lost: not done, for this
 * node lost its membership. unknown: done here, but membership was lost before it was certain that others have it.
 */
export type UpdateResult =
  | { readonly ok: true; readonly version: number }
  | { readonly ok: false; readonly cause: "version"; readonly version: number }
  | { readonly ok: false; readonly cause: "limit" | "lost" | "unknown" };

/** None of the call-backs may block, throw or call the ring; they may update. */
export interface SharedCarriagesConfig {
  readonly self: number;
  /** `bytes` undefined: removed. */
  readonly onChange: (name: string, version: number, bytes: Uint8Array | undefined) => void;
  readonly onSettled?: (id: number, result: UpdateResult) => void;
  /** Of all of them together, as carried; the same on every member. */
  readonly bytesMax?: number;
  readonly names_max?: number;
}

/** A value and the number of the change that made it. */
export interface SharedValue {
  readonly version: number;
  readonly bytes: Uint8Array;
}

interface Update {
  readonly id: number;
  readonly name: string;
  readonly ifVersion: number;
  readonly bytes: Uint8Array | undefined;
}

/** On the token since this node's visit, and not reported yet. */
interface Applied {
  readonly update: Update;
  readonly version: number;
}

/** The table as this visit changes it. */
interface Draft {
  last: number;
  readonly seen: Map<number, number>;
  readonly entries: Map<string, SharedEntry>;
}

/** Shared values as a module of the engine. `Raincore` has one. */
export class SharedCarriages implements TokenModule {
  readonly carriage = SHARED_CARRIAGE;
  readonly format = SHARED_FORMAT;
  readonly bytesMax: number;
  readonly #config: SharedCarriagesConfig;
  readonly #namesMax: number;
  readonly #values = new Map<string, SharedValue>();
  readonly #counters: Record<string, number> = {};
  #queue: Update[] = [];
  #applied: Applied[] = [];
  #nextId = 1;
  #isMember = false;
  /** The carriage is of a newer format: this node has no part in it. */
  #isOutdated = false;
  /** Every change up to this version has been reported here. */
  #reported = 0;
  /** A carriage of this length and of the version reported last needs nothing in this view. */
  #idle: { readonly length: number; readonly epoch: number; readonly origin: number } | undefined;

  constructor(config: SharedCarriagesConfig) {
    this.#config = config;
    this.bytesMax = config.bytesMax ?? BYTES_MAX_DEFAULT;
    this.#namesMax = config.names_max ?? NAMES_MAX;
    checkRange("bytesMax", this.bytesMax, BYTES_MAX_LEAST, BYTES_MAX_MOST);
    checkRange("names_max", this.#namesMax, 1, NAMES_MAX);
  }

  /** Sets `name` if it is at `ifVersion`; 0: if it does not exist. Undefined: too many updates wait. The bytes are copied. */
  update(name: string, ifVersion: number, bytes: Uint8Array): number | undefined {
    if (bytes.length > this.bytesMax) {
      throw new RainfrontError("RF_ARGUMENT", `bytes: at most ${this.bytesMax}, not ${bytes.length}`);
    }
    return this.#enqueue(name, ifVersion, new Uint8Array(bytes));
  }

  /** Removes `name` if it is at `ifVersion`. Undefined: too many updates wait. */
  remove(name: string, ifVersion: number): number | undefined {
    if (ifVersion === 0) throw new RainfrontError("RF_ARGUMENT", "ifVersion: what does not exist cannot be removed");
    return this.#enqueue(name, ifVersion, undefined);
  }

  /** As last reported; while this node is in no group, as it was then. The bytes are not to be changed. */
  get(name: string): SharedValue | undefined {
    return this.#values.get(name);
  }

  names(): string[] {
    return [...this.#values.keys()].sort();
  }

  /** Whether the host has a reason to wake the ring. */
  get hasWork(): boolean {
    return this.#queue.length > 0;
  }

  get isIdle(): boolean {
    return (this.#idle !== undefined || this.#isOutdated) && this.#queue.length === 0;
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  onToken(ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array | undefined {
    if (this.#isIdle(ctx, bytes)) return bytes;
    this.#idle = undefined;
    this.#isOutdated = false;
    const table = bytes === undefined ? this.#emptyTable() : decodeShared(bytes);
    if (table === undefined) {
      // Nobody may change what it cannot read.
      this.#count("carriage_malformed");
      return bytes;
    }
    if (!this.#isMember || table.last < this.#reported) this.#enter(table);
    const draft = draftOf(table, ctx);
    this.#report(draft);
    if (ctx.leaving) this.#giveUp();
    else this.#change(ctx, draft);
    const after = hasContent(draft) ? encodeShared(draft) : undefined;
    const result = after !== undefined && bytes !== undefined && areEqual(after, bytes) ? bytes : after;
    this.#noteIdle(ctx.view, draft, result);
    return result;
  }

  /** Until this node is upgraded, nothing can be changed here. */
  onOutdated(): void {
    this.#isOutdated = true;
    this.#giveUp();
  }

  onLost(_now_ms: number): void {
    this.#giveUp();
    this.#isOutdated = false;
    this.#isMember = false;
    this.#reported = 0;
    this.#idle = undefined;
  }

  #enqueue(name: string, ifVersion: number, bytes: Uint8Array | undefined): number | undefined {
    if (!NAME_PATTERN.test(name))
      throw new RainfrontError("RF_ARGUMENT", `name: 1 to 32 of a-z 0-9 . -, not "${name}"`);
    if (!Number.isSafeInteger(ifVersion) || ifVersion < 0) {
      throw new RainfrontError("RF_ARGUMENT", `ifVersion: a version or 0, not ${ifVersion}`);
    }
    if (this.#queue.length >= QUEUE_MAX) {
      this.#count("refused_queue_full");
      return undefined;
    }
    const id = this.#nextId++;
    this.#queue.push({ id, name, ifVersion, bytes });
    return id;
  }

  #isIdle(ctx: TokenContext, bytes: Uint8Array | undefined): boolean {
    const idle = this.#idle;
    if (idle === undefined || this.#queue.length > 0 || ctx.leaving) return false;
    if (idle.epoch !== ctx.view.epoch || idle.origin !== ctx.view.origin) return false;
    if (bytes === undefined) return idle.length === 0;
    return bytes.length === idle.length && isAtVersion(bytes, this.#reported);
  }

  #noteIdle(view: View, draft: Draft, bytes: Uint8Array | undefined): void {
    if (this.#queue.length > 0 || this.#applied.length > 0 || lowestSeen(draft) < draft.last) return;
    if ([...draft.entries.values()].some((entry) => entry.bytes === undefined)) return;
    this.#idle = { length: bytes?.length ?? 0, epoch: view.epoch, origin: view.origin };
  }

  /** If there was a carriage and is none, versions go on from where they were. */
  #emptyTable(): SharedTable {
    return { last: this.#reported, seen: new Map(), entries: new Map() };
  }

  /** First sight of this group's state: all of it is news, and what is not in it is gone. */
  #enter(table: SharedTable): void {
    if (this.#isMember) this.#count("order_broken");
    this.#isMember = true;
    this.#reported = 0;
    for (const { update } of this.#applied.splice(0)) this.#settle(update, { ok: false, cause: "unknown" });
    // Versions that the host knew before it came in are another group's.
    const blind = this.#queue.filter((update) => update.ifVersion > 0);
    this.#queue = this.#queue.filter((update) => update.ifVersion === 0);
    for (const update of blind) this.#settle(update, { ok: false, cause: "lost" });
    for (const name of this.names()) {
      if (table.entries.get(name)?.bytes === undefined) this.#tell(name, table.last, undefined);
    }
  }

  /** In the order of versions; up to an own change of which it is not certain yet that it lasts. */
  #report(draft: Draft): void {
    this.#takeBackLost(draft);
    const others = lowestSeen(draft, this.#config.self);
    const news = [...draft.entries.values()].filter((entry) => entry.version > this.#reported);
    for (const { name, version, bytes } of news.sort((a, b) => a.version - b.version)) {
      const own = this.#applied[0];
      if (own?.version === version) {
        if (others < version) return;
        this.#applied.shift();
      }
      this.#reported = version;
      this.#tell(name, version, bytes);
      if (own?.version === version) this.#settle(own.update, { ok: true, version });
    }
    this.#reported = draft.last;
  }

  /** This node's last visit is not on this token: what it changed then never was, and is tried again. */
  #takeBackLost(draft: Draft): void {
    const isThere = ({ update, version }: Applied) => {
      const entry = draft.entries.get(update.name);
      return entry?.version === version && entry.writer === this.#config.self;
    };
    const lost = this.#applied.filter((applied) => !isThere(applied));
    if (lost.length === 0) return;
    this.#count("rewound");
    this.#applied = this.#applied.filter(isThere);
    this.#queue.unshift(...lost.map(({ update }) => update));
  }

  #change(ctx: TokenContext, draft: Draft): void {
    const { self } = this.#config;
    draft.seen.set(self, this.#reported);
    const seenByAll = lowestSeen(draft);
    for (const entry of [...draft.entries.values()]) {
      if (entry.bytes === undefined && entry.version <= seenByAll) draft.entries.delete(entry.name);
    }
    const before = draft.last;
    const queue = this.#queue;
    this.#queue = [];
    for (const update of queue) if (!this.#tryUpdate(update, draft, seenByAll)) this.#queue.push(update);
    if (ctx.view.members.length === 1 && this.#applied.length > 0) {
      this.#report(draft);
      draft.seen.set(self, this.#reported);
    }
    if (draft.last > before || this.#queue.length > 0) ctx.hasten();
  }

  /** False: not all members have seen the name's last change; later. */
  #tryUpdate(update: Update, draft: Draft, seenByAll: number): boolean {
    const { name, bytes } = update;
    const entry = draft.entries.get(name);
    const version = entry?.bytes === undefined ? 0 : entry.version;
    if (version !== update.ifVersion) {
      this.#settle(update, { ok: false, cause: "version", version });
      return true;
    }
    if (entry !== undefined && entry.version > seenByAll) return false;
    if (!this.#fits(update, draft, entry)) {
      this.#count("refused_limit");
      this.#settle(update, { ok: false, cause: "limit" });
      return true;
    }
    draft.last += 1;
    draft.entries.set(name, { name, version: draft.last, writer: this.#config.self, bytes });
    this.#applied.push({ update, version: draft.last });
    return true;
  }

  #fits(update: Update, draft: Draft, before: SharedEntry | undefined): boolean {
    if (before === undefined && draft.entries.size >= this.#namesMax) return false;
    let bytes = SHARED_HEAD_BYTES_MAX + entryBytes(update) - (before === undefined ? 0 : entryBytes(before));
    for (const entry of draft.entries.values()) bytes += entryBytes(entry);
    return bytes <= this.bytesMax;
  }

  #giveUp(): void {
    for (const { update } of this.#applied.splice(0)) this.#settle(update, { ok: false, cause: "unknown" });
    for (const update of this.#queue.splice(0)) this.#settle(update, { ok: false, cause: "lost" });
  }

  #tell(name: string, version: number, bytes: Uint8Array | undefined): void {
    if (bytes === undefined) this.#values.delete(name);
    else this.#values.set(name, { version, bytes });
    this.#call(() => this.#config.onChange(name, version, bytes && new Uint8Array(bytes)));
  }

  #settle({ id }: Update, result: UpdateResult): void {
    this.#call(() => this.#config.onSettled?.(id, result));
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

/** With the view's members that have a part in it; one that is new will see all that is there at once. */
function draftOf(table: SharedTable, ctx: TokenContext): Draft {
  const members = ctx.view.members.filter(({ nodeId }) => !ctx.lacking.has(nodeId));
  const seen = new Map(members.map(({ nodeId }) => [nodeId, table.seen.get(nodeId) ?? table.last]));
  return { last: table.last, seen, entries: new Map(table.entries) };
}

/** What all of them (but `except`) have reported. */
function lowestSeen(draft: Draft, except?: number): number {
  let lowest = draft.last;
  for (const [nodeId, version] of draft.seen) if (nodeId !== except) lowest = Math.min(lowest, version);
  return lowest;
}

/** A group that never shared anything has no carriage. */
function hasContent(draft: Draft): boolean {
  return draft.last > 0;
}

function checkRange(field: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return;
  throw new RainfrontError("RF_ARGUMENT", `${field}: ${min} to ${max}, not ${value}`);
}
