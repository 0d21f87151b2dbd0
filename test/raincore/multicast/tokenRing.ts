// The smallest ring that can carry a token module: a token goes from member to member, and members crash, lose their
// membership, leave, come back, part and merge, by the ring's rules (a token that is lost is made again from the newest copy
// of those that are left; groups that part go on each with its own). No time, no messages: who does what when is the
// test's to say. Used by the tests of modules that travel on the token.
import { compareViews } from "../../../lib/raincore/token.js";
import type { Removed, TokenContext, TokenModule, View } from "../../../lib/raincore/types.js";

interface Token {
  readonly epoch: number;
  readonly origin: number;
  readonly seq: number;
  readonly members: readonly number[];
  readonly bytes: Uint8Array | undefined;
}

/** What a test wants to know of one membership of one node, from when it came in until it is over. */
export interface Life<M> {
  readonly node: number;
  readonly module: M;
  /** The view that brought it in. */
  readonly from: { readonly epoch: number; readonly origin: number };
  /** Still going on. */
  live: boolean;
}

interface Node<M> {
  readonly id: number;
  module: M;
  /** running: a member. absent: it lost its membership, which its ring does not know yet. out: known to be out. */
  state: "running" | "crashed" | "absent" | "out";
  wantsToLeave: boolean;
  copy: Token | undefined;
  greatestEpoch: number;
  ring: Ring | undefined;
  life: Life<M> | undefined;
}

interface Ring {
  token: Token;
  holder: number;
}

export interface TokenRingHooks<M> {
  /** A process starts. */
  readonly create: (nodeId: number) => M;
  readonly onLife?: (life: Life<M>) => void;
  /** Before each visit, with the carriage as it comes. */
  readonly onVisit?: (nodeId: number, bytes: Uint8Array | undefined) => void;
}

export class TokenRing<M extends TokenModule> {
  readonly lives: Life<M>[] = [];
  readonly #hooks: TokenRingHooks<M>;
  readonly #nodes = new Map<number, Node<M>>();
  #rings: Ring[] = [];
  #now_ms = 0;
  #isHastened = false;

  constructor(nodeIds: readonly number[], hooks: TokenRingHooks<M>) {
    this.#hooks = hooks;
    for (const id of nodeIds) {
      const module = hooks.create(id);
      this.#nodes.set(id, {
        id,
        module,
        state: "out",
        wantsToLeave: false,
        copy: undefined,
        greatestEpoch: 0,
        ring: undefined,
        life: undefined,
      });
    }
    for (const id of nodeIds) this.join(id);
  }

  get rings(): number {
    return this.#rings.length;
  }

  get running(): number[] {
    return [...this.#nodes.values()].filter((node) => node.state === "running").map((node) => node.id);
  }

  module(id: number): M {
    return this.#node(id).module;
  }

  membersAround(id: number): readonly number[] {
    return this.#node(id).ring?.token.members ?? [];
  }

  carriageAt(id: number): Uint8Array | undefined {
    return this.#node(id).ring?.token.bytes;
  }

  /** Puts other bytes on the token that is going round with this node. */
  corrupt(id: number, change: (bytes: Uint8Array | undefined) => Uint8Array | undefined): void {
    const ring = this.#node(id).ring;
    if (ring !== undefined) ring.token = { ...ring.token, bytes: change(ring.token.bytes) };
  }

  /** The ring calls its holder again. Returns whether it wants the token to go on without rest. */
  wake(id: number): boolean {
    const ring = this.#node(id).ring;
    if (ring === undefined || this.#node(ring.holder).ring !== ring) return false;
    this.#isHastened = false;
    this.#visit(ring, []);
    return this.#isHastened;
  }

  /** Every ring's token makes so many hops. Returns whether any visit asked for haste. */
  hop(count = 1): boolean {
    this.#isHastened = false;
    for (let i = 0; i < count; i++) for (const ring of [...this.#rings]) this.#passOn(ring);
    return this.#isHastened;
  }

  crash(id: number): void {
    const node = this.#node(id);
    if (node.state === "running" || node.state === "absent") this.#end(node, "crashed");
  }

  /** The node loses its membership (it was stopped too long, say) and is alive. */
  lose(id: number): void {
    const node = this.#node(id);
    if (node.state !== "running") return;
    node.module.onLost(this.#now_ms);
    this.#end(node, "absent");
  }

  /** The holder drops the token in doubt: its predecessor, whose copy is as new, makes it again. */
  doubt(id: number): void {
    const ring = this.#node(id).ring;
    if (ring !== undefined) this.#regenerate(ring, ring.holder);
  }

  leave(id: number): void {
    const node = this.#node(id);
    if (node.state === "running") node.wantsToLeave = true;
  }

  /** A node that is in no group comes in at the first ring's holder, as a new process if it had crashed. */
  join(id: number): void {
    const node = this.#node(id);
    if (node.state === "running") return;
    if (node.state === "crashed") node.module = this.#hooks.create(id);
    const ring = this.#rings[0];
    if (ring === undefined) {
      const view = this.#newView(node);
      const formed: Ring = { token: { ...view, seq: 0, members: [id], bytes: undefined }, holder: id };
      this.#rings.push(formed);
      this.#begin(node, formed);
      this.#visit(formed, []);
      return;
    }
    const holder = this.#node(ring.holder);
    if (holder.state !== "running") {
      this.#regenerate(ring);
      this.join(id);
      return;
    }
    const { members } = ring.token;
    const isRelisted = members.includes(id);
    const others = members.filter((member) => member !== id);
    const at = others.indexOf(ring.holder) + 1;
    ring.token = {
      ...ring.token,
      ...this.#newView(holder),
      members: [...others.slice(0, at), id, ...others.slice(at)],
    };
    this.#begin(node, ring);
    this.#visit(ring, isRelisted ? [id] : []);
  }

  /** These nodes can reach each other and nobody else. */
  part(ids: readonly number[]): void {
    for (const ring of [...this.#rings]) {
      const inside = ring.token.members.filter((id) => ids.includes(id));
      const outside = ring.token.members.filter((id) => !ids.includes(id));
      if (inside.length === 0 || outside.length === 0) continue;
      const staying = inside.includes(ring.holder) ? inside : outside;
      const going = staying === inside ? outside : inside;
      const runners = going.map((id) => this.#node(id)).filter((node) => node.ring === ring && node.copy !== undefined);
      const newest = runners.sort((a, b) => compareTokens(b.copy, a.copy))[0];
      if (newest?.copy === undefined) continue;
      const other: Ring = { token: newest.copy, holder: newest.id };
      for (const node of runners) node.ring = other;
      this.#rings.push(other);
      this.#remake(other, newest, going);
    }
  }

  /** All groups meet; the smaller ones yield and their members join the greatest. */
  merge(): void {
    this.#rings.sort((a, b) => b.token.members.length - a.token.members.length);
    const yielding = [...this.#nodes.values()].filter(
      (node) => node.state === "running" && node.ring !== this.#rings[0],
    );
    for (const node of yielding) this.lose(node.id);
    this.#rings = this.#rings.slice(0, 1);
    for (const node of yielding) this.join(node.id);
  }

  #node(id: number): Node<M> {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  #begin(node: Node<M>, ring: Ring): void {
    const { epoch, origin } = ring.token;
    node.state = "running";
    node.wantsToLeave = false;
    node.copy = undefined;
    node.ring = ring;
    node.life = { node: node.id, module: node.module, from: { epoch, origin }, live: true };
    this.lives.push(node.life);
    this.#hooks.onLife?.(node.life);
  }

  #end(node: Node<M>, state: "crashed" | "absent" | "out"): void {
    const { ring } = node;
    node.state = state;
    node.ring = undefined;
    node.copy = undefined;
    if (node.life !== undefined) node.life.live = false;
    if (ring !== undefined && !ring.token.members.some((id) => this.#node(id).ring === ring)) {
      this.#rings = this.#rings.filter((other) => other !== ring);
    }
  }

  #newView(node: Node<M>): { epoch: number; origin: number } {
    node.greatestEpoch += 1;
    return { epoch: node.greatestEpoch, origin: node.id };
  }

  #passOn(ring: Ring): void {
    if (!this.#rings.includes(ring)) return;
    const holder = this.#node(ring.holder);
    if (holder.ring !== ring) {
      this.#regenerate(ring);
      return;
    }
    for (;;) {
      const { members } = ring.token;
      const next = members[(members.indexOf(holder.id) + 1) % members.length];
      if (next === undefined) return;
      const successor = this.#node(next);
      if (successor.ring === ring) break;
      ring.token = { ...ring.token, ...this.#newView(holder), members: members.filter((id) => id !== next) };
      this.#visit(ring, [next]);
    }
    this.#hand(ring, holder);
  }

  #hand(ring: Ring, holder: Node<M>): void {
    const { members } = ring.token;
    const next = members[(members.indexOf(holder.id) + 1) % members.length] ?? holder.id;
    ring.token = { ...ring.token, seq: ring.token.seq + 1 };
    holder.copy = ring.token;
    ring.holder = next;
    const successor = this.#node(next);
    if (successor.wantsToLeave) this.#depart(ring, successor);
    else this.#visit(ring, []);
  }

  #depart(ring: Ring, node: Node<M>): void {
    const { members, epoch } = ring.token;
    node.greatestEpoch = Math.max(node.greatestEpoch, epoch);
    const next = members[(members.indexOf(node.id) + 1) % members.length] ?? node.id;
    ring.token = { ...ring.token, ...this.#newView(node), members: members.filter((id) => id !== node.id) };
    this.#visit(ring, [], true);
    node.module.onLost(this.#now_ms);
    this.#end(node, "out");
    if (!this.#rings.includes(ring)) return;
    ring.token = { ...ring.token, seq: ring.token.seq + 1 };
    ring.holder = next;
    const successor = this.#node(next);
    if (successor.ring !== ring) this.#regenerate(ring);
    else if (successor.wantsToLeave) this.#depart(ring, successor);
    else this.#visit(ring, []);
  }

  /** Of equal copies, that of somebody else than `inDoubt` is taken. */
  #regenerate(ring: Ring, inDoubt?: number): void {
    const { members } = ring.token;
    const alive = members.map((id) => this.#node(id)).filter((node) => node.ring === ring && node.copy !== undefined);
    alive.sort((a, b) => compareTokens(b.copy, a.copy) || Number(a.id === inDoubt) - Number(b.id === inDoubt));
    const newest = alive[0];
    if (newest === undefined) {
      // Nobody is left that ever had the token.
      for (const id of members) if (this.#node(id).ring === ring) this.lose(id);
      this.#rings = this.#rings.filter((other) => other !== ring);
      return;
    }
    this.#remake(ring, newest, members);
  }

  #remake(ring: Ring, maker: Node<M>, among: readonly number[]): void {
    const copy = maker.copy;
    if (copy === undefined) throw new Error("made from nothing");
    // Whoever came in after the copy was made has lost its place.
    for (const id of among) {
      const { life, ring: at } = this.#node(id);
      const isOn = copy.members.includes(id) && life !== undefined && compareViews(copy, life.from) >= 0;
      if (at === ring && !isOn) this.lose(id);
    }
    const members = copy.members.filter((id) => among.includes(id) && this.#node(id).ring === ring);
    const gone = copy.members.filter((id) => !members.includes(id));
    ring.token = { ...copy, ...this.#newView(maker), members, seq: copy.seq + 1 };
    ring.holder = maker.id;
    this.#visit(ring, gone);
  }

  #visit(ring: Ring, removed: readonly number[], leaving = false): void {
    this.#now_ms += 1;
    const node = this.#node(ring.holder);
    const { epoch, origin, members, bytes } = ring.token;
    node.greatestEpoch = Math.max(node.greatestEpoch, epoch);
    const view: View = {
      epoch,
      origin,
      members: members.map((nodeId) => ({ nodeId, incarnation: 1n, ready: true })),
      self: node.id,
      quorate: true,
    };
    const ctx: TokenContext = {
      now_ms: this.#now_ms,
      self: node.id,
      view,
      confirmed: true,
      tokenReceived_ms: this.#now_ms,
      removed: removed.map((nodeId): Removed => ({ nodeId, leaseEnd_ms: this.#now_ms })),
      missedQuorum: false,
      lacking: new Set(),
      leaving,
      hasten: () => {
        this.#isHastened = true;
      },
      lease_ms: 100,
      leaseValid: true,
      mayBeServedOutside: false,
    };
    this.#hooks.onVisit?.(node.id, bytes);
    const after = node.module.onToken(ctx, bytes);
    if (after !== undefined && after.length > node.module.bytesMax) throw new Error("the carriage is too large");
    ring.token = { ...ring.token, bytes: after };
    node.copy = ring.token;
  }
}

function compareTokens(a: Token | undefined, b: Token | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return compareViews(a, b) || a.seq - b.seq;
}
