// The token while this node has it, decoded or still as bytes; and, after it has gone, when it was last here and last sent on, which is all
// that leases and the question whether a group went on without us can go by. Owned by ring.ts, used by the ring's other parts.
import type { Core } from "./core.js";
import type { HandOver } from "./handOver.js";
import { compareViews, findMember, NO_TOKEN, nextSeq, type Token, type TokenId, type ViewId } from "./token.js";

export class Possession {
  readonly #core: Core;
  readonly #handOver: HandOver;
  /** The token was here or was sent: it is not missing. */
  readonly #tokenSeen: () => void;
  #token: Token | undefined;
  /** The same, while nobody has looked into it: of an idle round. */
  #bytes: Uint8Array | undefined;
  #received_ms = 0;
  /** When this node last took a token; unlike `received_ms`, only that. */
  #visited_ms = Number.NEGATIVE_INFINITY;
  #passed_ms = Number.NEGATIVE_INFINITY;
  /** The view in which this node last passed the token on. */
  #passedIn: ViewId = NO_TOKEN;
  /** Has dropped its token for one that it has not seen yet. */
  #hasGivenIn = false;
  /** When this node last had a reason to believe that others had made a token of their own. */
  #forked_ms = Number.NEGATIVE_INFINITY;

  constructor(core: Core, handOver: HandOver, tokenSeen: () => void) {
    this.#core = core;
    this.#handOver = handOver;
    this.#tokenSeen = tokenSeen;
  }

  /** Has the token and may change it. */
  get holding(): boolean {
    return this.busy && !this.#handOver.isPending;
  }

  /** Has the token, or is handing it over and does not know yet that it arrived. */
  get busy(): boolean {
    return this.#token !== undefined || this.#bytes !== undefined;
  }

  /**
   * As far as this node knows, its line of tokens is over, or is had by nobody else: it has dropped the token because another one is in force,
   * or it made the view itself, and the token has not come back since. What it remembers must not outweigh a token that is newer and alive.
   */
  get isLineDoubtful(): boolean {
    const { copy, self } = this.#core;
    if (copy === undefined || this.busy) return false;
    return this.#hasGivenIn || (copy.origin === self && !this.#core.isConfirmed(copy));
  }

  /** When this node last got the token; or when others may have had one of their own, for whatever it waits for is counted from then on. */
  get received_ms(): number {
    return this.#received_ms;
  }

  /** When this node last sent the token on, in this membership. */
  get passed_ms(): number {
    return this.#passed_ms;
  }

  /**
   * Others may have made a token of their own lately and have renewed their leases by it, which this node's line says nothing of. Over when the
   * token has been round since: every member has had it then.
   */
  get mayHaveForked(): boolean {
    return this.#forked_ms > Number.NEGATIVE_INFINITY;
  }

  /** Only while `busy`. */
  get token(): Token {
    if (this.#bytes !== undefined) {
      this.#token = this.#core.copy;
      this.#bytes = undefined;
    }
    if (this.#token === undefined) throw new Error("the ring acts on a token that it does not hold");
    return this.#token;
  }

  /** The token, if it came as bytes and nobody has looked into it since. */
  get bytes(): Uint8Array | undefined {
    return this.#bytes;
  }

  /** The token has been round in its view. */
  get isConfirmed(): boolean {
    const { members } = this.token;
    const isAlone = members.length === 1 && members[0]?.nodeId === this.#core.self;
    return isAlone || this.#core.isConfirmed(this.token);
  }

  /**
   * Whether a token that says when we last sent it does not descend from what we have, last had or last sent: it went round
   * in a group without us, whose decisions cannot be mixed with those of ours.
   */
  isDivergent(passed_ms: number | undefined): boolean {
    return this.holding || (passed_ms ?? Number.NEGATIVE_INFINITY) < Math.max(this.#passed_ms, this.#visited_ms);
  }

  /** The token is this node's now, which makes it a member. */
  take(token: Token): void {
    this.drop();
    if (this.#mayHaveForkedBefore(token)) this.#core.forked();
    // What this visit changes makes a newer token: should this node drop it, a 911 must not prefer the predecessor's copy.
    const held = { ...token, seq: nextSeq(token.seq) };
    this.#token = held;
    this.#core.remember(held);
    this.#arrived(held);
    this.#core.setState("member");
    this.#tokenSeen();
  }

  /** The same for a member that need not look into it. */
  takeBytes(bytes: Uint8Array, id: TokenId): void {
    this.drop();
    this.#bytes = bytes;
    this.#core.rememberBytes(bytes, id);
    this.#arrived(id);
    this.#tokenSeen();
  }

  change(token: Token): void {
    this.#token = token;
    this.#bytes = undefined;
    this.#core.remember(token);
  }

  changeBytes(bytes: Uint8Array, id: TokenId): void {
    this.#bytes = bytes;
    this.#core.rememberBytes(bytes, id);
  }

  /** Sends it on. It stays in this node's hands until it is known to have arrived. */
  handOver(to: number, id: TokenId, bytes: Uint8Array, isQuiet: boolean): void {
    this.#passed(id);
    this.#core.count("token_sent");
    this.#tokenSeen();
    this.#handOver.start(to, id, bytes, isQuiet);
  }

  /** Alone in the group, this node sends it to itself: first it comes back, */
  comeBack(): void {
    this.#arrived(this.token);
  }

  /** then it is sent again. */
  passToSelf(sent: Token): void {
    this.change(sent);
    this.#passed(sent);
    this.#tokenSeen();
  }

  /** Forgets it; another one is, or will be, in force. */
  drop(): void {
    this.#token = undefined;
    this.#bytes = undefined;
    this.#handOver.clear();
  }

  /** A newer token is in force, and will come here. */
  giveIn(): void {
    this.drop();
    this.#hasGivenIn = true;
    this.#tokenSeen();
  }

  /** This node woke late: a token in its hands is worth nothing. */
  doubt(): void {
    this.drop();
    this.#core.forked();
    this.reckonFromNow();
  }

  /** Others may have had a token of their own until now: whatever this node waits for is counted from now on. */
  reckonFromNow(): void {
    this.#received_ms = this.#core.now_ms;
    this.#forked_ms = this.#core.now_ms;
  }

  /** What the token, as it goes on, says of its rest before this round; undefined: what it said. A fork may be younger than that rest. */
  restToTell_ms(isFirst: boolean): number | undefined {
    if (isFirst) return this.#core.now_ms - this.#received_ms;
    return this.mayHaveForked ? 0 : undefined;
  }

  /** Membership is lost. */
  reset(): void {
    this.drop();
    this.#passed_ms = Number.NEGATIVE_INFINITY;
    this.#passedIn = NO_TOKEN;
    this.#visited_ms = Number.NEGATIVE_INFINITY;
    this.#hasGivenIn = false;
    this.#forked_ms = Number.NEGATIVE_INFINITY;
  }

  /**
   * Others may have made a token of their own since this node passed on the one that this descends from: it says another time than that of the hand-over,
   * so somebody made it again; or members have come in, whom a 911 of the others would not have asked.
   */
  #mayHaveForkedBefore(token: Token): boolean {
    const { self, copy } = this.#core;
    if (findMember(token, self)?.passed_ms !== this.#passed_ms || copy === undefined) return true;
    if (compareViews(token, copy) === 0) return false;
    return token.members.some(({ nodeId, incarnation, session }) => {
      const before = findMember(copy, nodeId);
      return before?.incarnation !== incarnation || before.session !== session;
    });
  }

  #arrived(view: ViewId): void {
    this.#hasGivenIn = false;
    if (compareViews(this.#passedIn, view) === 0) this.#core.confirm(view);
    if (this.#passed_ms >= this.#forked_ms) this.#forked_ms = Number.NEGATIVE_INFINITY;
    this.#received_ms = this.#core.now_ms;
    this.#visited_ms = this.#core.now_ms;
  }

  #passed(view: ViewId): void {
    this.#passed_ms = this.#core.now_ms;
    this.#passedIn = view;
  }
}
