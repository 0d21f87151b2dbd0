// What all parts of one node's ring share: configuration, the clock of the current call, the newest token seen, the
// lease, counters, and the list of effects that the current call will return. Owned by Raincore.

import { Lateness } from "./lateness.js";
import type { Message } from "./messages.js";
import { decode, encode } from "./messages.js";
import { isQuorate } from "./quorum.js";
import type { Timers } from "./timers.js";
import type { Group, Token, TokenId, ViewId } from "./token.js";
import { compareViews, findMember, groupOf, NO_TOKEN } from "./token.js";
import type { Effect, PeerAddress, QuorumPolicy, RaincoreConfig, RaincoreEnv, RaincoreState, View } from "./types.js";

type LogLevel = "debug" | "info" | "warn";

export class Core {
  readonly config: RaincoreConfig;
  readonly timers: Timers;
  readonly self: number;
  readonly counters: Record<string, number> = {};
  now_ms = 0;
  state: RaincoreState = "joining";
  /** How often this process has asked to come in. */
  session = 0;
  /** The newest token that was accepted or sent; older ones are refused. Survives the loss of membership. */
  newest: TokenId = NO_TOKEN;
  leaseUntil_ms = 0;
  leaving = false;
  /** Woke late: the others may have gone on without this node. Until a token proves the opposite, it acts on none. */
  doubting = false;
  /** When the lease that was given up in doubt would have ended. */
  leaseLost_ms = 0;
  /** Until then a node outside of the view may answer for this node's VIPs, if it overslept. */
  outsiders_ms = 0;
  /** It may have no lease before that. */
  leaseFrom_ms = 0;
  readonly lateness: Lateness;
  /** Set by Raincore: this node is out of the group and has to ask for a place again. */
  onLost: (reason: string) => void = () => {};
  readonly #random: () => number;
  readonly #peers: ReadonlyMap<number, PeerAddress>;
  readonly #quorum: QuorumPolicy;
  #copy: Token | undefined;
  /** Newer than `#copy`, and not decoded yet. */
  #copyBytes: Uint8Array | undefined;
  #greatestEpoch: number;
  #confirmed: ViewId = NO_TOKEN;
  readonly #suspectUntil_ms = new Map<number, number>();
  #effects: Effect[] = [];
  #forked_ms = Number.NEGATIVE_INFINITY;

  constructor(config: RaincoreConfig, env: RaincoreEnv) {
    this.config = config;
    this.timers = config.timers;
    this.lateness = new Lateness(config.timers);
    this.self = config.nodeId;
    this.#random = () => env.random();
    this.#peers = new Map(config.peers.map((peer) => [peer.nodeId, peer]));
    this.#quorum = config.quorum ?? { policy: "available" };
    this.#greatestEpoch = config.epochFloor ?? 0;
  }

  get peerIds(): Iterable<number> {
    return this.#peers.keys();
  }

  pathsOf(nodeId: number): number {
    return this.#peers.get(nodeId)?.paths ?? 0;
  }

  isPeer(nodeId: number): boolean {
    return this.#peers.has(nodeId);
  }

  /** Nobody is left to be looked for. */
  peersListed(token: Token): boolean {
    return token.members.length === this.#peers.size + 1;
  }

  isListed(nodeId: number): boolean {
    return this.copy !== undefined && findMember(this.copy, nodeId) !== undefined;
  }

  /** Uniform in [0, limit_ms). */
  jitter(limit_ms: number): number {
    return this.#random() * limit_ms;
  }

  randomSeq(): number {
    return Math.floor(this.#random() * 0x1_0000_0000);
  }

  get group(): Group {
    return groupOf(this.copy);
  }

  /** The view that a token stands for. */
  viewOf(token: Token): View {
    const members = token.members.map(({ nodeId, incarnation, ready }) => ({ nodeId, incarnation, ready }));
    return { epoch: token.epoch, origin: token.origin, members, self: this.self, quorate: this.isQuorate(token) };
  }

  /** Only ready members count: one that was put in and has not had a whole round yet may have joined another group meanwhile. */
  isQuorate(token: Token): boolean {
    const nodeIds = token.members.filter((member) => member.ready).map((member) => member.nodeId);
    return isQuorate(this.#quorum, nodeIds, this.#peers.size + 1);
  }

  see(epoch: number): void {
    if (epoch > this.#greatestEpoch) this.#greatestEpoch = epoch;
  }

  get greatestEpoch(): number {
    return this.#greatestEpoch;
  }

  /** The identity of a view that this node makes now: newer than all it has seen. */
  newView(): ViewId {
    this.#greatestEpoch += 1;
    return { epoch: this.#greatestEpoch, origin: this.self };
  }

  /** The newest token itself while this node is a member; its member list is this node's view. */
  get copy(): Token | undefined {
    if (this.#copyBytes !== undefined) {
      const decoded = decode(this.#copyBytes, true);
      if (!decoded.ok || decoded.message.type !== "token") throw new Error("the copy of the token is none");
      this.#copy = decoded.message.token;
      this.#copyBytes = undefined;
    }
    return this.#copy;
  }

  /** No member any more. */
  forgetCopy(): void {
    this.#copy = undefined;
    this.#copyBytes = undefined;
  }

  /** A token of the current view, as a message; it is decoded when it is asked for. */
  rememberBytes(bytes: Uint8Array, id: TokenId): void {
    this.newest = id;
    this.#copyBytes = bytes;
  }

  remember(token: Token): void {
    this.newest = { epoch: token.epoch, origin: token.origin, seq: token.seq };
    this.#copy = token;
    this.#copyBytes = undefined;
    this.see(token.epoch);
  }

  /** The token came back to where it had been passed on in this view: all members know of it. */
  confirm({ epoch, origin }: ViewId): void {
    this.#confirmed = { epoch, origin };
  }

  isConfirmed(view: ViewId): boolean {
    return compareViews(view, this.#confirmed) === 0;
  }

  count(name: string): void {
    this.counters[name] = (this.counters[name] ?? 0) + 1;
  }

  emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  log(level: LogLevel, code: string, fields: Record<string, unknown> = {}): void {
    this.emit({ type: "log", level, code, fields });
  }

  takeEffects(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  transmit(to: number, path: number, bytes: Uint8Array): void {
    this.count("sent");
    this.emit({ type: "send", to, path, bytes });
  }

  reply(to: number, path: number, message: Message): void {
    this.transmit(to, path, encode(message));
  }

  sendOnEveryPath(to: number, message: Message): void {
    const bytes = encode(message);
    for (let path = 0; path < this.pathsOf(to); path++) this.transmit(to, path, bytes);
  }

  probe(to: number): void {
    for (let path = 0; path < this.pathsOf(to); path++) this.emit({ type: "probe", to, path });
  }

  /** Its process may have ended; that is forgotten when it would have been found out without. */
  suspect(nodeId: number): void {
    this.#suspectUntil_ms.set(nodeId, this.now_ms + this.timers.handOverFail_ms);
  }

  isSuspect(nodeId: number): boolean {
    return (this.#suspectUntil_ms.get(nodeId) ?? 0) > this.now_ms;
  }

  setState(state: RaincoreState): void {
    if (state === this.state) return;
    this.state = state;
    this.emit({ type: "state", state });
  }

  get leaseValid(): boolean {
    return this.leaseUntil_ms > this.now_ms;
  }

  /** In doubt for so long that others may answer for its VIPs by now: it may have woken in time, but asking takes time as well. */
  get overslept(): boolean {
    return this.doubting && this.now_ms >= this.leaseLost_ms;
  }

  /** A lease only ever grows, until it is void. One that has already run out changes nothing. */
  renewLease(until_ms: number): void {
    if (until_ms <= this.leaseUntil_ms || until_ms <= this.now_ms) return;
    if (this.overslept) this.leaseFrom_ms = Math.max(this.leaseFrom_ms, this.outsiders_ms);
    else if (this.#ranOut && this.mayBeServedOutside) this.leaseFrom_ms = this.now_ms + this.timers.lease_ms;
    if (this.now_ms < this.leaseFrom_ms) return;
    this.#setLease(until_ms);
  }

  /** It had one, which ended, and the wait for others that is due since then has not begun. */
  get #ranOut(): boolean {
    return this.leaseUntil_ms > 0 && this.leaseUntil_ms <= this.now_ms && this.leaseFrom_ms <= this.leaseUntil_ms;
  }

  /** Others may have made a token of their own: it was made again, members came in, or this node has heard of another group or woke late. */
  forked(): void {
    this.#forked_ms = this.now_ms;
  }

  /**
   * This node has no lease, and nodes outside of its view may have waited for the end of the last one: they answer for its VIPs until they have heard
   * of it. Not if the lease ended only because several that are gone were found out one after the other: the line of tokens is the one
   * by which the lease was had, and whoever made another meanwhile was cut off until then.
   */
  get mayBeServedOutside(): boolean {
    if (this.leaseValid) return false;
    if (this.copy === undefined || !this.#ranOut) return true;
    if (this.peersListed(this.copy) || !isQuorate(this.#quorum, [...this.peerIds], this.#peers.size + 1)) return false;
    const { leaseUntil_ms, timers } = this;
    return this.#forked_ms >= leaseUntil_ms - timers.lease_ms || this.now_ms > leaseUntil_ms + timers.lease_ms;
  }

  /** The end that a token's evidence gives the lease: L after this node last sent the token (or an ancestor of it) on. */
  leaseEndBy(token: Token): number {
    const passed_ms = findMember(token, this.self)?.passed_ms;
    return passed_ms === undefined || passed_ms > this.now_ms ? 0 : passed_ms + this.timers.leaseOwn_ms;
  }

  voidLease(): void {
    this.#setLease(0);
  }

  /**
   * A member is taken out. Where it may have given this node up, it, or whom it has taken in since, answers for this node's VIPs once the last lease that
   * it knows of has ended, for as long as its own lasts: this node may have that lease, but no other before then.
   */
  outlive(leaseEnd_ms: number, mayBeGivenUp = this.lateness.mayBeGivenUp): void {
    if (mayBeGivenUp) this.leaseFrom_ms = Math.max(this.leaseFrom_ms, leaseEnd_ms);
  }

  #setLease(until_ms: number): void {
    this.leaseUntil_ms = until_ms;
    this.emit({ type: "lease", until_ms });
    for (const module of this.config.modules) module.onLease?.(until_ms, this.now_ms);
  }
}
