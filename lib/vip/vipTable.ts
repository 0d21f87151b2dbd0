// The VIP table that travels on the token (the patent's Group Composition field, Table 1), and this node's part in it:
// which VIPs it answers for, and from when. The daemon reads `answers` and tells the data plane on every change.
import type { Member, TokenContext, TokenModule } from "../raincore/types.js";
import { areEqual } from "../raincore/wire.js";
import { decodeTable, encodeTable, fitting, TABLE_BYTES_MAX } from "./codec.js";
import { decide, type Situation, type VipConfig, type VipRecord } from "./policy.js";

export type { Persistence, VipConfig, VipRecord } from "./policy.js";

/** The right to answer for a VIP. */
export interface VipAnswer {
  /** Own clock: an earlier owner may answer until then. */
  readonly from_ms: number;
}

/** Who this is, the VIPs of the configuration, and whom to tell. */
export interface VipModuleConfig {
  readonly self: number;
  readonly vips: readonly VipConfig[];
  /** Who is absent by agreement, and for how long at most; default: nobody. Asked during a visit. */
  readonly absent?: (now_ms: number) => ReadonlyMap<number, number>;
  /** Of these, whose next process is a ready member already; default: nobody. */
  readonly returning?: () => ReadonlySet<number>;
  /** Of whose absence this visit has told the group; default: nobody's. */
  readonly recalled?: () => ReadonlySet<number>;
  /** Members that are to own no VIPs any more; default: none. */
  readonly draining?: () => ReadonlySet<number>;
  /** Called when `answers` or the table changed, before the token (or anything else) is sent: stop answering at once. */
  readonly onChange?: () => void;
}

/** An assignment to this node. */
interface Own extends VipAnswer {
  readonly version: number;
  /** It was seen in a confirmed view. */
  readonly confirmed: boolean;
  /** The token was here when its time was near. */
  readonly near: boolean;
}

/**
 * A right that begins later is given to the data plane only so long before, in leases: two rounds of an idle token. The data plane goes on where
 * this process is stopped, and those whom it has removed may have woken since, gone on without it, and keep what it was to have.
 */
const NEAR_LEASES = 0.5;

/** The VIP table as a module of the engine, and which VIPs this node answers for. */
export class VipModule implements TokenModule {
  readonly carriage = "vip";
  readonly format = 1;
  readonly bytesMax = TABLE_BYTES_MAX;
  readonly #self: number;
  readonly #configured: readonly VipRecord[];
  readonly #absent: (now_ms: number) => ReadonlyMap<number, number>;
  readonly #returning: () => ReadonlySet<number>;
  readonly #recalled: () => ReadonlySet<number>;
  readonly #draining: () => ReadonlySet<number>;
  readonly #onChange: () => void;
  readonly #own = new Map<string, Own>();
  #answers: ReadonlyMap<string, VipAnswer> = new Map();
  /** The highest version of every VIP that was seen in this membership. */
  readonly #versions = new Map<string, number>();
  /** The version of every VIP that was last seen in a view that all its members had. */
  readonly #confirmed = new Map<string, number>();
  readonly #wishes = new Map<string, number>();
  #table: readonly VipRecord[];
  #malformed = 0;
  /** The table and view of a visit that changed nothing and left no wait running. */
  #settled: { readonly bytes: Uint8Array; readonly view: string } | undefined;

  constructor(config: VipModuleConfig) {
    this.#self = config.self;
    this.#configured = config.vips.map((vip) => ({ ...vip, currentHost: 0, version: 0, wait_ms: 0 }));
    this.#absent = config.absent ?? (() => new Map());
    this.#returning = config.returning ?? (() => new Set());
    this.#recalled = config.recalled ?? (() => new Set());
    this.#draining = config.draining ?? (() => new Set());
    this.#onChange = config.onChange ?? (() => {});
    this.#table = this.#configured;
  }

  get isIdle(): boolean {
    return this.#settled !== undefined && this.#wishes.size === 0;
  }

  /** The VIPs this node may answer for while its lease is valid. */
  get answers(): ReadonlyMap<string, VipAnswer> {
    return this.#answers;
  }

  /** It has begun to answer, or its data plane will by itself, for all that is this node's. */
  get isServing(): boolean {
    return this.#answers.size === this.#own.size;
  }

  /** How often a carriage was not a VIP table. */
  get malformedCarriages(): number {
    return this.#malformed;
  }

  /** The table as last seen on the token; before that, as configured. */
  table(): readonly VipRecord[] {
    return this.#table;
  }

  /** Asks for a VIP to go to a node; done when the token is here and that node is ready. False: no such VIP. */
  requestMove(address: string, nodeId: number): boolean {
    if (!this.#table.some((record) => record.address === address)) return false;
    this.#wishes.set(address, nodeId);
    return true;
  }

  onToken(ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array {
    if (bytes !== undefined && this.#isSettledOn(bytes, ctx)) return bytes;
    const carried = bytes === undefined ? [] : decodeTable(bytes);
    if (carried === undefined) {
      // Nobody may change what it cannot read: every owner stays what it is until the carriage is mended.
      this.#malformed += 1;
      return bytes ?? new Uint8Array(0);
    }
    const known = this.#withConfigured(carried, ctx.now_ms).map((record) => this.#mendRegression(record, ctx.lease_ms));
    const at = this.#situation(ctx);
    const wished = known.map((record) => this.#applyWish(this.#givenBack(record, at)));
    const settled = decide(ctx.missedQuorum ? decide(wished, { ...at, quorate: false }) : wished, at);
    const decided = settled.map((record, index) => this.#withLaterRemovals(record, known[index], ctx));
    if (ctx.confirmed) for (const { address, version } of decided) this.#confirmed.set(address, version);
    this.#wishes.clear();
    // A new owner waits for nothing so much as for the token.
    if (decided.some((record, index) => record.version !== known[index]?.version)) ctx.hasten();
    const changed = this.#updateAnswers(decided, ctx);
    const isUnconfirmed = [...this.#own.values()].some((own) => !own.confirmed);
    if (isUnconfirmed) ctx.hasten();
    const table = decided.map((record) => this.#withRemainingWait(record, ctx.now_ms));
    const encoded = encodeTable(table);
    const isSame = bytes !== undefined && areEqual(encoded, bytes);
    this.#table = table;
    const isWaiting = table.some((record) => record.currentHost !== 0 && record.wait_ms > 0);
    const isSettled = isSame && !changed && !ctx.leaving && !isWaiting && !isUnconfirmed;
    this.#settled = isSettled ? { bytes, view: this.#viewKey(ctx) } : undefined;
    if (changed || !isSame) this.#onChange();
    return isSame ? bytes : encoded;
  }

  /** Nobody takes a VIP from a live owner, but this node may have missed that it is none any more. */
  onPassedBy(ctx: TokenContext, bytes: Uint8Array | undefined): void {
    this.#settled = undefined;
    const table = bytes === undefined ? [] : decodeTable(bytes);
    const mayServe = ctx.view.quorate && !ctx.leaving;
    if (mayServe && table === undefined) return;
    const own = (table ?? []).filter(({ currentHost }) => mayServe && currentHost === this.#self);
    const versions = new Map(own.map(({ address, version }) => [address, version]));
    const before = this.#own.size;
    for (const [address, { version }] of this.#own) {
      if (versions.get(address) !== version) this.#own.delete(address);
    }
    if (this.#own.size === before) return;
    this.#answers = answeredOf(this.#own);
    this.#onChange();
  }

  onLost(_now_ms: number): void {
    this.#own.clear();
    this.#answers = new Map();
    this.#versions.clear();
    this.#confirmed.clear();
    this.#settled = undefined;
    this.#onChange();
  }

  /** Nothing is asked and nothing has changed since a visit that changed nothing: the rules would come to the same again. */
  #isSettledOn(bytes: Uint8Array, ctx: TokenContext): boolean {
    const settled = this.#settled;
    if (settled === undefined || this.#wishes.size > 0 || ctx.removed.length > 0 || ctx.leaving) return false;
    return !ctx.missedQuorum && this.#viewKey(ctx) === settled.view && areEqual(bytes, settled.bytes);
  }

  /** VIPs that only this node's configuration has come in without an owner, as long as the table can be carried. */
  #withConfigured(carried: readonly VipRecord[], now_ms: number): VipRecord[] {
    const addresses = new Set(carried.map((record) => record.address));
    const missing = this.#configured.filter((record) => !addresses.has(record.address));
    const added = missing.map((record) => this.#ofAbsentOwner(record, now_ms));
    const known = carried.map((record) => this.#withOwnFlag(record));
    return added.length === 0 ? known : [...fitting([...known, ...added])];
  }

  /** In a group that begins anew, a node that is away has what it had when this one last heard of it. */
  #ofAbsentOwner(configured: VipRecord, now_ms: number): VipRecord {
    const last = this.#table.find(({ address }) => address === configured.address);
    return last !== undefined && this.#absent(now_ms).has(last.currentHost) ? last : configured;
  }

  /**
   * A group that had not heard of an absence takes the absent node's VIPs for orphans; one that had no quorum waits for a lease before anybody answers for
   * them. The node goes on by what it had when this one last saw the table: nobody gives or takes what is an absent node's. Its next life, if it is here,
   * waits as any owner.
   */
  #givenBack(record: VipRecord, at: Situation): VipRecord {
    const recalled = this.#recalled();
    if (recalled.size === 0) return record;
    const last = this.#table.find(({ address }) => address === record.address);
    if (last === undefined || last.currentHost === record.currentHost || !recalled.has(last.currentHost)) return record;
    return {
      ...last,
      version: (Math.max(last.version, record.version) + 1) >>> 0,
      wait_ms: at.members.has(last.currentHost) ? record.wait_ms : 0,
    };
  }

  /** The owner's configuration says how its VIP sticks, so a changed one takes effect when its node has been restarted. */
  #withOwnFlag(record: VipRecord): VipRecord {
    if (record.currentHost !== this.#self) return record;
    const persistence = this.#configured.find(({ address }) => address === record.address)?.persistence;
    return persistence === undefined || persistence === record.persistence ? record : { ...record, persistence };
  }

  /**
   * A version older than one we have seen means that this table comes from before an assignment that some node may act
   * on (its token was fenced off). Whoever owns the VIP here begins anew, after every lease has run out.
   */
  #mendRegression(record: VipRecord, lease_ms: number): VipRecord {
    const seen = this.#versions.get(record.address) ?? 0;
    if (record.version >= seen) return record;
    return { ...record, version: (seen + 1) >>> 0, wait_ms: Math.max(record.wait_ms, lease_ms) };
  }

  /**
   * A member that is removed before all had heard of an assignment may have gone on in the view before, together with those that were removed then, whose
   * leases it has renewed: they are waited for as it is. The host is told by a new version, for it has not answered yet.
   */
  #withLaterRemovals(record: VipRecord, before: VipRecord | undefined, ctx: TokenContext): VipRecord {
    const isOlder = record.currentHost !== 0 && record.version === before?.version;
    if (ctx.removed.length === 0 || !isOlder || record.version === this.#confirmed.get(record.address)) return record;
    const leaseEnd_ms = Math.max(...ctx.removed.map((removed) => removed.leaseEnd_ms));
    const wait_ms = Math.max(this.#ownWait_ms(record, ctx.now_ms), leaseEnd_ms - ctx.now_ms);
    return { ...record, version: (record.version + 1) >>> 0, wait_ms };
  }

  #applyWish(record: VipRecord): VipRecord {
    const preferredHost = this.#wishes.get(record.address);
    return preferredHost === undefined ? record : { ...record, preferredHost };
  }

  #situation(ctx: TokenContext): Situation {
    // To a node without this table a VIP is nothing; one that had some, and knows an older table only, answers for none of them any more.
    const members = ctx.view.members.filter(({ nodeId }) => !ctx.lacking.has(nodeId));
    const draining = this.#draining();
    const takers = members.filter(({ nodeId, ready }) => ready && !draining.has(nodeId));
    return {
      self: this.#self,
      members: new Set(members.map((member) => member.nodeId)),
      ready: new Set(takers.map((member) => member.nodeId)),
      removed: new Map(ctx.removed.map(({ nodeId, leaseEnd_ms }) => [nodeId, Math.max(0, leaseEnd_ms - ctx.now_ms)])),
      absent: this.#absent(ctx.now_ms),
      returning: this.#returning(),
      leaving: ctx.leaving || draining.has(this.#self),
      quorate: ctx.view.quorate,
      lease_ms: ctx.lease_ms,
      // Who may have no lease yet waits for nodes that it cannot name.
      ownWait_ms: (record) => (ctx.mayBeServedOutside ? ctx.lease_ms : this.#ownWait_ms(record, ctx.now_ms)),
    };
  }

  /** An assignment that we see for the first time has its whole wait ahead. */
  #ownWait_ms(record: VipRecord, now_ms: number): number {
    const own = this.#own.get(record.address);
    return own?.version === record.version ? Math.max(0, own.from_ms - now_ms) : record.wait_ms;
  }

  /**
   * The first sight of a version that names us starts its wait; whatever names another is not answered any more. It is answered once the view is
   * confirmed: in one that is not, a member that it lists may have gone on in another, and make a majority there as well; and once its time
   * is near. True: `answers` changed.
   */
  #updateAnswers(records: readonly VipRecord[], { now_ms, confirmed, lease_ms }: TokenContext): boolean {
    const near_ms = now_ms + NEAR_LEASES * lease_ms;
    let changed = false;
    for (const { address, currentHost, version, wait_ms } of records) {
      this.#versions.set(address, version);
      const own = this.#own.get(address);
      if (currentHost !== this.#self) {
        changed = this.#own.delete(address) || changed;
      } else if (own?.version !== version) {
        const from_ms = now_ms + wait_ms;
        this.#own.set(address, { version, from_ms, confirmed, near: from_ms <= near_ms });
        changed = true;
      } else if ((confirmed && !own.confirmed) || (own.from_ms <= near_ms && !own.near)) {
        const near = own.near || own.from_ms <= near_ms;
        this.#own.set(address, { ...own, confirmed: own.confirmed || confirmed, near });
        changed = true;
      }
    }
    if (changed) this.#answers = answeredOf(this.#own);
    return changed;
  }

  /** All that decisions depend on beside the table itself. */
  #viewKey({ view, lacking, now_ms }: TokenContext): string {
    const state = ({ nodeId, ready }: Member) => (lacking.has(nodeId) ? "x" : ready ? "+" : "-");
    const readiness = view.members.map((member) => `${member.nodeId}${state(member)}`);
    const absent = [...this.#absent(now_ms).keys()];
    const draining = [...this.#draining()];
    return `${view.epoch}/${view.origin}/${view.quorate}/${readiness.join()}/${absent.join()}/${draining.join()}`;
  }

  #withRemainingWait(record: VipRecord, now_ms: number): VipRecord {
    const own = this.#own.get(record.address);
    return own === undefined ? record : { ...record, wait_ms: Math.max(0, own.from_ms - now_ms) };
  }
}

function answeredOf(all: ReadonlyMap<string, Own>): ReadonlyMap<string, VipAnswer> {
  return new Map([...all].filter(([, own]) => own.confirmed && own.near));
}
