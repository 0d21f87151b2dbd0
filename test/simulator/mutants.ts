// Mistakes that the simulator must find: each is a small change of the source, which must match exactly once. A mutant
// that is not found means that a checker or a fault is missing. Applied and run by mutantRunner.ts.
import { FLOW_MUTANTS } from "./flowMutants.js";

export interface Change {
  /** Relative to the repository. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant extends Change {
  readonly name: string;
  /** A second rule that would make up for the first one. */
  readonly also?: Change;
  /** It is found in runs with flows. */
  readonly isOfFlows?: boolean;
  /** What the mistake is. */
  readonly what: string;
}

/** By itself this was not found in the seeds of a test: other rules make up for it, and it for them. */
const NOBODY_OUTLIVED = {
  file: "lib/raincore/core.ts",
  find: "if (mayBeGivenUp) this.leaseFrom_ms",
  replace: "if (mayBeGivenUp && this.now_ms < 0) this.leaseFrom_ms",
};

/** Of itself it is shown by joiners.test.ts. */
const SILENT_FORGOTTEN = {
  file: "lib/raincore/joining.ts",
  find: ": now_ms < wish.doubtedFrom_ms + this.#gone_ms;",
  replace: ": now_ms < 0;",
};

const RING = "lib/raincore/ring.ts";
const ACCEPTANCE = "lib/raincore/acceptance.ts";
const RECOVERY = "lib/raincore/recovery.ts";
const CORE = "lib/raincore/core.ts";
const ENGINE = "lib/raincore/engine.ts";
const JOINING = "lib/raincore/joining.ts";
const CHANNEL = "lib/raincore/secureChannel.ts";
const TRANSPORT_RECEIVER = "lib/raincore/transport/receiver.ts";
const SHARED = "lib/raincore/carriages/sharedCarriages.ts";
const QUORUM = "lib/raincore/quorum.ts";
const VIP_POLICY = "lib/vip/policy.ts";
const ABSENCES = "lib/vip/absences.ts";
const IN_ORDER = "lib/raincore/multicast/inOrder.ts";
const LOCK_POLICY = "lib/raincore/locks/policy.ts";

const RING_MUTANTS: readonly Mutant[] = [
  // Only with the second check gone as well: an older token never names this node's last hand-over or visit, so it is refused as diverged, too.
  {
    name: "old-epoch-accepted",
    file: ACCEPTANCE,
    find: "const isNewer = compareTokens(token, core.newest) > 0;",
    replace: 'const isNewer = true;\n    if (core.state === "member") return undefined;',
    what: "a token older than the newest one seen, or of another line, is taken",
  },
  {
    name: "overslept-answers-at-once",
    file: CORE,
    find: "if (this.now_ms < this.leaseFrom_ms) return;",
    replace: "",
    what: "nodes that all overslept answer at once, although one that was no member may have formed a group meanwhile",
  },
  {
    name: "late-wake-trusted",
    file: ENGINE,
    find: "overdue_ms > core.timers.distrust_ms",
    replace: "overdue_ms > 1e9",
    what: "a process that was stopped goes on as if nothing had happened",
  },
  {
    name: "overslept-trusted",
    file: RECOVERY,
    find: "if (core.overslept && round.silent.size > 0) {",
    replace: "if (core.overslept && round.silent.size > 1000) {",
    also: NOBODY_OUTLIVED,
    what: "a node that overslept its lease goes on without those that do not answer",
  },
  {
    name: "asking-takes-no-time",
    file: ENGINE,
    find: "core.leaseLost_ms = Math.max(core.leaseLost_ms, core.leaseUntil_ms);",
    replace: "core.leaseLost_ms = core.leaseValid ? Number.MAX_VALUE : 0;",
    also: NOBODY_OUTLIVED,
    what: "a lease that ends while the others are asked does not count as overslept, and who may have been given up outlives nobody",
  },
  {
    name: "ack-skipped",
    file: CORE,
    find: "this.transmit(to, path, encode(message));",
    replace: 'if (message.type !== "ack") this.transmit(to, path, encode(message));',
    what: "a hand-over that is to be answered is not acknowledged by its receiver",
  },
  {
    name: "token-kept-and-passed",
    file: RING,
    find: "    this.drop();\n    // An answer to a quiet one",
    replace:
      "    this.#handOver.clear();\n    this.#holdUntil_ms = this.#core.now_ms + 1e6;\n    // An answer to a quiet one",
    what: "after the acknowledgement both have the token",
  },
  {
    name: "911-always-granted",
    file: RECOVERY,
    find: `if (core.state !== "member") return "absent";`,
    replace: `if (core.state !== "member") return "absent";\n    if (this.#core.self > 0) return "grant";`,
    what: "whoever asks may make the token again, even while another one has it",
  },
  {
    name: "lease-too-long",
    file: CORE,
    find: "passed_ms + this.timers.leaseOwn_ms",
    replace: "passed_ms + 1.2 * this.timers.leaseOwn_ms",
    what: "a node gives itself a fifth more than the others wait",
  },
  {
    name: "lease-from-arrival",
    file: CORE,
    find: "0 : passed_ms + this.timers.leaseOwn_ms",
    replace: "0 : this.now_ms + this.timers.leaseOwn_ms",
    what: "a lease runs from the token's arrival instead of from when it was last passed on",
  },
  {
    name: "takeover-without-wait",
    file: VIP_POLICY,
    find: "if (lease_ms !== undefined) return orphan(settled, lease_ms);",
    replace: "if (lease_ms !== undefined) return orphan(settled, 0);",
    what: "a dead owner's VIP is answered for at once",
  },
  {
    name: "silent-members-kept-no-lease",
    file: RECOVERY,
    find: "...lost.map((nodeId) => ({ nodeId, leaseEnd_ms: leaseEnd_ms(nodeId) })),",
    replace: "...lost.map((nodeId) => ({ nodeId, leaseEnd_ms: round.started_ms })),",
    what: "whoever makes the token again does not wait for the leases of those that are silent",
  },
  {
    name: "stale-session-accepted",
    file: ACCEPTANCE,
    find: "own?.incarnation === core.config.incarnation && own.session === core.session",
    replace: "own !== undefined",
    what: "a token that names an earlier life or membership of this node is taken",
  },
  {
    name: "startup-without-lease-wait",
    file: JOINING,
    find: "this.#waitUntil(core.now_ms + this.#startupWait_ms);",
    replace: "this.#waitUntil(core.now_ms + 1);",
    what: "a node that starts forms a group while leases of an earlier one may run",
  },
  {
    name: "missed-lease-not-waited",
    file: JOINING,
    find: "this.#waitUntil(now_ms + timers.startupWaitMin_ms);",
    replace: "",
    what: "a joiner that was stopped forms a group while leases run of one that others formed meanwhile",
  },
  {
    name: "unheard-answers-ignored",
    file: JOINING,
    find: "if (gap_ms <= MISSED_UNITS * timers.unit_ms) return;",
    replace: "if (gap_ms >= 0) return;",
    also: SILENT_FORGOTTEN,
    what: "a joiner forms a group although it was stopped whenever the others answered it",
  },
  {
    name: "lower-not-waited-for",
    file: JOINING,
    find: "? nodeId < self && isLowerWaitedFor",
    replace: "? nodeId < self && isLowerWaitedFor && now_ms < 0",
    what: "two that find no group form one each, at the same moment",
  },
  {
    name: "quorum-off-by-one",
    file: QUORUM,
    find: "return surplus > 0 ||",
    replace: "return surplus >= 0 ||",
    what: "exactly half of the nodes are a majority on both sides",
  },
  {
    name: "quorum-counts-unready",
    file: CORE,
    find: "token.members.filter((member) => member.ready).map(",
    replace: "token.members.map(",
    what: "members that were put in and may never come make a majority",
  },
  {
    name: "quorum-regained-at-once",
    file: VIP_POLICY,
    find: "return at.absent.has(currentHost) && !at.returning.has(currentHost) ? settled : orphan(settled, at.lease_ms);",
    replace: "return orphan(settled, 0);",
    what: "a group with a new majority does not wait for the leases of the one that has lost it",
  },
  {
    name: "absence-not-waited-for",
    file: VIP_POLICY,
    find: "if (currentHost === 0 || at.absent.has(currentHost)) return settled;",
    replace: "if (currentHost === 0) return settled;",
    what: "the others take the VIPs of a node that is away by agreement before its time is over",
  },
  {
    name: "absent-owner-moves",
    file: VIP_POLICY,
    find: "if (at.leaving || at.absent.has(at.self)) return assigned;",
    replace: "if (at.leaving) return assigned;",
    what: "a node that has been let go gives a VIP away, though its data plane does not hear of it",
  },
  {
    name: "absence-not-bounded",
    file: ABSENCES,
    find: "until_ms: ctx.now_ms + own.remaining_ms - request.for_ms * CLOCK_MARGIN",
    replace: "until_ms: ctx.now_ms + 1e6",
    what: "the data plane of a node that is away goes on for longer than was agreed on",
  },
  {
    name: "lock-without-lease-wait",
    file: LOCK_POLICY,
    find: "if (wait_ms <= table.calm.wait_ms) return table;",
    replace: "if (wait_ms >= 0) return table;",
    what: "a removed holder's lock is acted on before its lease has ended",
  },
  {
    name: "two-lock-holders",
    file: LOCK_POLICY,
    find: "if (record.holder !== undefined || next === undefined) return record;",
    replace: "if (next === undefined) return record;",
    what: "a lock that has a holder is given to the next in the queue",
  },
  {
    name: "fencing-reset",
    file: LOCK_POLICY,
    find: "return at.confirmed ? greater(next, at.base) : next;",
    replace: "return table.locks.length > 1 ? next : BigInt(table.locks.length + 1);",
    what: "fencing numbers begin anew when the table is nearly empty",
  },
  {
    name: "own-delivered-at-once",
    file: IN_ORDER,
    find: `(own === undefined && guarantee === "agreed")`,
    replace: `guarantee === "agreed"`,
    what: "a sender delivers its own message, and is told so, before anybody else has it",
  },
  {
    name: "safe-delivered-at-once",
    file: IN_ORDER,
    find: `(own === undefined && guarantee === "agreed")`,
    replace: "own === undefined",
    what: "a safe message is delivered before every member has it",
  },
  {
    name: "delivered-out-of-order",
    file: IN_ORDER,
    find: "if (this.#items.length === 0 && this.#isRipe(delivery, own)) this.#deliver(delivery, own);",
    replace: "if (this.#isRipe(delivery, own)) this.#deliver(delivery, own);",
    what: "a message overtakes one that is not safe yet",
  },
  {
    name: "replay-accepted",
    file: CHANNEL,
    find: `if (sender.window.has(counterHigh, counterLow)) return refused("replayed");`,
    replace: `if (sender.window.has(counterHigh, 0)) sender.challenged_ms = 0;`,
    what: "a recorded datagram is opened again",
  },
  {
    name: "life-believed-without-proof",
    file: CHANNEL,
    find: "if (this.#isAnswer(sender, datagram, body)) this.#prove(sender);",
    replace: "if (!this.#isAnswer(sender, datagram, body) || body > 0) this.#prove(sender);",
    what: "any handshake proves a life, so that recorded ones do",
  },
  {
    name: "parts-delivered-twice",
    file: TRANSPORT_RECEIVER,
    find: "channel.done[reassembly.id % ID_WINDOW] = 1;",
    replace: "channel.done[reassembly.id % ID_WINDOW] = 0;",
    what: "parts of a message that was delivered make it once more",
  },
  {
    name: "lives-ordered-by-number",
    file: TRANSPORT_RECEIVER,
    find: "if (known?.life === life) return known;",
    replace: "if (known !== undefined && known.life >= life) return known.life === life ? known : undefined;",
    what: "a node whose clock was set back is not heard as long as those that knew it live",
  },
  {
    name: "shared-compare-ignored",
    file: SHARED,
    find: "if (version !== update.ifVersion) {",
    replace: "if (version < 0) {",
    what: "a shared carriage is changed whatever version the change is for",
  },
];

export const MUTANTS: readonly Mutant[] = [...RING_MUTANTS, ...FLOW_MUTANTS];

/** The files that a mutant changes, with their texts then. `read`: a file of the repository. Throws where the mistake has no place: the sources have changed since it was written. */
export function mutated(
  { name, file, find, replace, also }: Mutant,
  read: (file: string) => string,
): Map<string, string> {
  const texts = new Map<string, string>();
  for (const change of [{ file, find, replace }, ...(also === undefined ? [] : [also])]) {
    const source = texts.get(change.file) ?? read(change.file);
    const matches = source.split(change.find).length - 1;
    if (matches !== 1) throw new Error(`mutant ${name} matches ${matches} times in ${change.file}, not once`);
    texts.set(
      change.file,
      source.replace(change.find, () => change.replace),
    );
  }
  return texts;
}
