// What the token in this node's hands says of leases: how long the own one runs, and when that of a member that is taken out has ended for
// certain. Both go by this node's clock alone. Called by the ring's parts while they hold the token, and for one that is made again.
import type { Core } from "./core.js";
import type { Possession } from "./possession.js";
import { findMember, type Token, withMember } from "./token.js";

/**
 * Only a token that came back renews (or one that this node sent to itself): whoever removes this node got the token
 * after `passed_ms`, and waits L from then. With a valid lease this node doubts itself no more, and is ready.
 */
export function renewLease(core: Core, possession: Possession): void {
  const end_ms = core.leaseEndBy(possession.token);
  core.renewLease(end_ms);
  if (end_ms <= core.now_ms) return;
  core.doubting = false;
  const { token } = possession;
  if (findMember(token, core.self)?.ready === false) possession.change(withMember(token, core.self, { ready: true }));
}

/**
 * L from when a member that does not answer, or has lost its place, can last have passed the token on. That was before this node got it; and if both come after the
 * first member in the ring, it was before the token rested there. Transit only makes that earlier. Also for a member that says itself that it has no
 * lease any more: where the token has forked, both lines hear that, and would both give its VIPs away at once. Where it may have forked and this node
 * not know, the member may have been in the other line until it did not take this one's token; and so it may if this is the second that does not: the
 * others may have given this node up meanwhile.
 */
export function leaseEndOfDead(core: Core, possession: Possession, token: Token, nodeId: number): number {
  const { received_ms, passed_ms } = possession;
  const isSecond = token.origin === core.self && !core.isConfirmed(token);
  if (possession.mayHaveForked || isSecond) return Math.max(received_ms, passed_ms) + core.timers.lease_ms;
  const { members, rested_ms } = token;
  const own = members.findIndex((member) => member.nodeId === core.self);
  const dead = members.findIndex((member) => member.nodeId === nodeId);
  const rested = own > 0 && dead > own ? rested_ms : 0;
  return received_ms - rested + core.timers.lease_ms;
}

/** A member of another group is alive, and may renew its lease until it hears of us. */
export function leaseEndOfLiving(core: Core): number {
  return core.now_ms + core.timers.lease_ms;
}
