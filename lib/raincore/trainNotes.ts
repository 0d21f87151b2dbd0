// What travels beside the carriages about them, for rings whose nodes do not all have the same modules, or whose token is full: which members
// have no part in a carriage (they have no module for it, or know an older format only), and what a carriage has not been told of, because nobody
// who had the token since could change it. Where all nodes have the same modules there is nothing to say, and nothing travels. Used by
// train.ts only.
import { CARRIAGE_NAME_CHARS_MAX, CARRIAGES_MAX, MEMBERS_MAX } from "./token.js";
import type { View } from "./types.js";
import { Reader, WireError, Writer } from "./wire.js";

export const NOTES_CARRIAGE = "train";
export const NOTES_FORMAT = 1;
const NAME_BYTES_MAX = 2 + CARRIAGE_NAME_CHARS_MAX;
const LACK_BYTES = 2 + 8 + 2;
const UNTOLD_BYTES = 2 + 2;
export const NOTES_BYTES_MAX =
  2 + CARRIAGES_MAX * NAME_BYTES_MAX + 2 + 2 + MEMBERS_MAX * (LACK_BYTES + UNTOLD_BYTES) + 2;

/** A process and the carriages that it has no part in. A process has the same modules all its life, so this holds over views. */
interface Lack {
  readonly incarnation: bigint;
  readonly names: Set<string>;
}

/** The notes of one visit, as they come and as they change. */
export class TrainNotes {
  readonly #lacks = new Map<number, Lack>();
  /** nodeId of a member that was removed: the carriages that have not been told. */
  readonly #untold = new Map<number, Set<string>>();
  /** Carriages that have not been told of a view that was not quorate. */
  readonly #unquorate = new Set<string>();

  /** `names`: the carriages that are on the token; of others, and of nodes and lives that are not in the view, there is nothing to say any more. */
  static read(bytes: Uint8Array | undefined, names: ReadonlySet<string>, view: View): TrainNotes | undefined {
    const notes = new TrainNotes();
    if (bytes === undefined) return notes;
    try {
      notes.#read(new Reader(bytes));
    } catch (error) {
      if (error instanceof WireError) return undefined;
      throw error;
    }
    notes.#forget(names, view);
    return notes;
  }

  get isEmpty(): boolean {
    return this.#lacks.size === 0 && this.#untold.size === 0 && this.#unquorate.size === 0;
  }

  /** The members that have no part in a carriage. */
  lacking(name: string): ReadonlySet<number> {
    return new Set([...this.#lacks].flatMap(([nodeId, { names }]) => (names.has(name) ? [nodeId] : [])));
  }

  /** Removed members that a carriage has not been told of. */
  untold(name: string): number[] {
    return [...this.#untold].flatMap(([nodeId, names]) => (names.has(name) ? [nodeId] : []));
  }

  /** The carriage has not been told that a view was not quorate. */
  missedQuorum(name: string): boolean {
    return this.#unquorate.has(name);
  }

  /** That is what this process has no part in. True: the others did not know. */
  setLacking(nodeId: number, incarnation: bigint, names: ReadonlySet<string>): boolean {
    const known = this.#lacks.get(nodeId)?.names ?? new Set();
    if (known.size === names.size && [...names].every((name) => known.has(name))) return false;
    if (names.size === 0) this.#lacks.delete(nodeId);
    else this.#lacks.set(nodeId, { incarnation, names: new Set(names) });
    return true;
  }

  /** The carriage's module was called, and knows all that there was to tell. */
  tell(name: string): void {
    for (const [nodeId, names] of this.#untold) if (names.delete(name) && names.size === 0) this.#untold.delete(nodeId);
    this.#unquorate.delete(name);
  }

  /** The carriage's module was not called. */
  keep(name: string, removed: readonly { readonly nodeId: number }[], isQuorate: boolean): void {
    for (const { nodeId } of removed) {
      const names = this.#untold.get(nodeId) ?? new Set();
      if (this.#untold.size < MEMBERS_MAX) this.#untold.set(nodeId, names.add(name));
    }
    if (!isQuorate) this.#unquorate.add(name);
  }

  encode(): Uint8Array {
    const said = [...this.#lacks.values()].flatMap((lack) => [...lack.names]);
    const untold = [...this.#untold.values()].flatMap((names) => [...names]);
    const names = [...new Set([...said, ...untold, ...this.#unquorate])].sort();
    const maskOf = (some: ReadonlySet<string>) =>
      names.reduce((mask, name, i) => mask | (some.has(name) ? 1 << i : 0), 0);
    const w = new Writer().u16(names.length);
    for (const name of names) w.text(name);
    w.u16(this.#lacks.size);
    for (const [nodeId, lack] of this.#lacks) w.u16(nodeId).u64(lack.incarnation).u16(maskOf(lack.names));
    w.u16(this.#untold.size);
    for (const [nodeId, some] of this.#untold) w.u16(nodeId).u16(maskOf(some));
    return w.u16(maskOf(this.#unquorate)).finish();
  }

  #read(r: Reader): void {
    const names = Array.from({ length: r.count(CARRIAGES_MAX) }, () => r.text(CARRIAGE_NAME_CHARS_MAX));
    const readNames = () => {
      const mask = r.u16();
      return new Set(names.filter((_, i) => (mask & (1 << i)) !== 0));
    };
    for (let left = r.count(MEMBERS_MAX); left > 0; left--) {
      this.#lacks.set(r.u16(), { incarnation: r.u64(), names: readNames() });
    }
    for (let left = r.count(MEMBERS_MAX); left > 0; left--) this.#untold.set(r.u16(), readNames());
    for (const name of readNames()) this.#unquorate.add(name);
    r.end();
  }

  #forget(names: ReadonlySet<string>, view: View): void {
    const lives = new Map(view.members.map(({ nodeId, incarnation }) => [nodeId, incarnation]));
    for (const [nodeId, lack] of this.#lacks) {
      keepOnly(lack.names, names);
      if (lack.names.size === 0 || lives.get(nodeId) !== lack.incarnation) this.#lacks.delete(nodeId);
    }
    for (const [nodeId, some] of this.#untold) {
      keepOnly(some, names);
      if (some.size === 0) this.#untold.delete(nodeId);
    }
    keepOnly(this.#unquorate, names);
  }
}

function keepOnly(names: Set<string>, wanted: ReadonlySet<string>): void {
  for (const name of names) if (!wanted.has(name)) names.delete(name);
}
