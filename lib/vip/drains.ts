// Nodes that are to have no part in the traffic any more, though they are members: their VIPs and flows go to the others before they are taken out of service. On the token, so that all
// go by the same list. VipModule and the data plane go by `draining`.
import type { Member, TokenContext, TokenModule } from "../raincore/types.js";
import { areEqual, Reader, WireError, Writer } from "../raincore/wire.js";

/** At a time: there has to be room for other things on the token. */
export const DRAINS_MAX = 64;
const DRAIN_BYTES = 2 + 8 + 1;

export interface Drain {
  readonly nodeId: number;
  /** Another life of the node takes part again. */
  readonly incarnation: bigint;
  /** As the node says: it has nothing left that others could take. */
  readonly isDone: boolean;
}

export interface DrainsConfig {
  readonly self: number;
  /** The list, or which of it are in force, has changed. Called before the token goes on. */
  readonly onChange: () => void;
}

export class Drains implements TokenModule {
  readonly carriage = "drains";
  readonly format = 1;
  readonly bytesMax = 2 + DRAINS_MAX * DRAIN_BYTES;
  readonly #config: DrainsConfig;
  readonly #wishes = new Map<number, boolean>();
  #drains: readonly Drain[] = [];
  #draining: ReadonlySet<number> = new Set();
  #isDone = false;

  constructor(config: DrainsConfig) {
    this.#config = config;
  }

  get isIdle(): boolean {
    return this.#wishes.size === 0 && this.#own?.isDone === (this.#own && this.#isDone);
  }

  /** In force: where all ready members drain, none does, for somebody has to serve; nor where a member of an older version does not know of it. */
  get draining(): ReadonlySet<number> {
    return this.#draining;
  }

  get all(): readonly Drain[] {
    return this.#drains;
  }

  /** Done when the token is here; not beyond DRAINS_MAX. */
  request(nodeId: number, isDraining: boolean): void {
    this.#wishes.set(nodeId, isDraining);
  }

  /** Whether this node, which drains, has nothing left that others could take. */
  setDone(isDone: boolean): void {
    this.#isDone = isDone;
  }

  onToken(ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array | undefined {
    const carried = decode(bytes);
    if (carried === undefined) return bytes; // nobody may change what it cannot read
    const isWished = this.#wishes.size > 0;
    const drains = this.#withOwn(this.#withWishes(carried, ctx), ctx);
    this.#wishes.clear();
    const encoded = drains.length === 0 && bytes === undefined ? undefined : encode(drains);
    const isSame = encoded === bytes || (encoded !== undefined && bytes !== undefined && areEqual(encoded, bytes));
    if (isWished && !isSame) ctx.hasten();
    this.#become(drains, inForce(drains, ctx), ctx.view.members);
    return isSame ? bytes : encoded;
  }

  /** Who drains and loses its place asks for it again where it comes in: an operator who was told that it drains is about to stop it. */
  onLost(): void {
    const own = this.#wishes.get(this.#config.self) ?? this.#own !== undefined;
    this.#wishes.clear();
    if (own) this.#wishes.set(this.#config.self, true);
    this.#become([], new Set());
  }

  get #own(): Drain | undefined {
    return this.#drains.find(({ nodeId }) => nodeId === this.#config.self);
  }

  /** Of this view's members; who leaves is none any more, and drains to the end all the same. */
  #withWishes(carried: readonly Drain[], { view, leaving, self }: TokenContext): Drain[] {
    const own = leaving ? carried.filter(({ nodeId }) => nodeId === self) : [];
    const others = view.members.filter(({ nodeId }) => !leaving || nodeId !== self);
    const known = others.flatMap(({ nodeId, incarnation }) => {
      const drain = carried.find((one) => one.nodeId === nodeId && one.incarnation === incarnation);
      const isDraining = this.#wishes.get(nodeId) ?? drain !== undefined;
      return isDraining ? [drain ?? { nodeId, incarnation, isDone: false }] : [];
    });
    return [...own, ...known].slice(0, DRAINS_MAX);
  }

  #withOwn(drains: readonly Drain[], { self }: TokenContext): Drain[] {
    return drains.map((drain) => (drain.nodeId === self ? { ...drain, isDone: this.#isDone } : drain));
  }

  /** Of who is no member any more nothing is told: the view says it, and comes a moment later. */
  #become(drains: readonly Drain[], draining: ReadonlySet<number>, members: readonly Member[] = []): void {
    const before = this.#drains.filter(({ nodeId }) => members.some((member) => member.nodeId === nodeId));
    const inForceBefore = [...this.#draining].filter((node) => members.some((member) => member.nodeId === node));
    const isLost = members.length === 0 && this.#draining.size > 0;
    const isChanged = isLost || keyOf(drains, [...draining]) !== keyOf(before, inForceBefore);
    this.#drains = drains;
    this.#draining = draining;
    // The next drain begins anew.
    if (!draining.has(this.#config.self)) this.#isDone = false;
    if (isChanged) this.#config.onChange();
  }
}

function inForce(drains: readonly Drain[], { view, lacking }: TokenContext): ReadonlySet<number> {
  const draining = new Set(drains.map(({ nodeId }) => nodeId));
  const isSomebodyLeft = view.members.some(({ nodeId, ready }) => ready && !draining.has(nodeId));
  // A member that knows of no drains would go by another table.
  return isSomebodyLeft && lacking.size === 0 ? draining : new Set();
}

function keyOf(drains: readonly Drain[], draining: readonly number[]): string {
  return `${drains.map(({ nodeId, incarnation, isDone }) => `${nodeId}.${incarnation}.${isDone}`).join()}/${draining.join()}`;
}

function encode(drains: readonly Drain[]): Uint8Array {
  const writer = new Writer(2 + drains.length * DRAIN_BYTES).u16(drains.length);
  for (const { nodeId, incarnation, isDone } of drains)
    writer
      .u16(nodeId)
      .u64(incarnation)
      .u8(isDone ? 1 : 0);
  return writer.finish();
}

function decode(bytes: Uint8Array | undefined): Drain[] | undefined {
  if (bytes === undefined) return [];
  try {
    const reader = new Reader(bytes);
    const drains = Array.from({ length: reader.count(DRAINS_MAX) }, () => ({
      nodeId: reader.u16(),
      incarnation: reader.u64(),
      isDone: reader.flag(),
    }));
    reader.end();
    return drains;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
