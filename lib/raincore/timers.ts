// Every timer of the ring follows from the one figure the operator sets, failoverTarget_ms. Called by whoever builds a
// RaincoreConfig.
import { RainfrontError } from "../errors.js";

/** Parts of one unit u = failoverTarget / 28. */
export interface Timers {
  readonly failoverTarget_ms: number;
  readonly unit_ms: number;
  /** R: one round of an idle token, nearly all of it spent at rest at the first member. */
  readonly rotation_ms: number;
  /** D: a hand-over that was not answered by then has failed. (A quiet one is called for before: handOver.ts.) */
  readonly handOverFail_ms: number;
  /** A member that saw no token for this long (plus up to `callSpread_ms`) calls 911, unless it waits for the answer to a quiet hand-over. */
  readonly callAfter_ms: number;
  readonly callSpread_ms: number;
  readonly callFail_ms: number;
  /** After a denial, ask again after this (plus up to one unit). */
  readonly callRetry_ms: number;
  /** L: what everybody else waits for after a lease could last have been renewed. */
  readonly lease_ms: number;
  /** What a node gives itself: L less a margin for clock rates and the data plane's own resolution. */
  readonly leaseOwn_ms: number;
  /** Called later than its deadline by more than this, a node distrusts itself. */
  readonly distrust_ms: number;
  readonly joinInterval_ms: number;
  readonly beaconInterval_ms: number;
  /** Whoever forms a group has asked for at least so long: a lease after a question that may have been the second one, since the first may be lost. */
  readonly startupWaitMin_ms: number;
  /** L, two rounds without rest, and what the new owner's machine may take: the longest time without an owner after one node died. */
  readonly bound_ms: number;
}

export const FAILOVER_TARGET_DEFAULT_MS = 150;
export const FAILOVER_TARGET_MIN_MS = 50;
export const FAILOVER_TARGET_MAX_MS = 60_000;

const ROTATION_U = 4;
const LEASE_U = 21.75;
// At most two rounds without rest: the one in which the owner died may have come back to the first member, whose receipt counts, and in
// another the new owner hears of it.
const ROUNDS = 2;
const ROUNDS_U = 3;
// The new owner's threads may be kept waiting, and its announcement has to arrive.
const TAKEOVER_U = 3.25;
const BOUND_U = LEASE_U + ROUNDS_U + TAKEOVER_U;
const HAND_OVER_FAIL_U = 9;
// A lease that a member renewed at its last visit still runs LEASE - ROTATION after it passed the token on. In that time
// a token that died with its holder has to be called for and regenerated, or a dead member found: at most 4 (the rest) + 6 + 0.5 + 4, or 4 + 9 + 9 where two died together.
// In a calm ring that is 4 + 5.5 + 4 for any number.
const CALL_AFTER_U = 6;
const CALL_SPREAD_U = 0.5;
const CALL_FAIL_U = 4;
const CALL_RETRY_U = 4;
const LEASE_MARGIN_U = 0.125;
const DISTRUST_U = 10;
const JOIN_U = 6;

/** What one hand-over takes at least on a busy machine; a round without rest makes one per node. */
const HOP_MS = 0.25;

/**
 * All timers for a fail-over target and a number of configured nodes. Throws `RF_CONFIG_FAILOVER_TARGET` for a target that cannot be met, with
 * the arithmetic.
 */
export function deriveTimers(failoverTarget_ms: number, nodes = 2): Timers {
  const least_ms = leastTarget_ms(nodes);
  if (!(failoverTarget_ms >= least_ms && failoverTarget_ms <= FAILOVER_TARGET_MAX_MS)) {
    throw targetError(failoverTarget_ms, nodes, least_ms);
  }
  const u = failoverTarget_ms / BOUND_U;
  return {
    failoverTarget_ms,
    unit_ms: u,
    rotation_ms: ROTATION_U * u,
    handOverFail_ms: HAND_OVER_FAIL_U * u,
    callAfter_ms: CALL_AFTER_U * u,
    callSpread_ms: CALL_SPREAD_U * u,
    callFail_ms: CALL_FAIL_U * u,
    callRetry_ms: CALL_RETRY_U * u,
    lease_ms: LEASE_U * u,
    leaseOwn_ms: (LEASE_U - LEASE_MARGIN_U) * u,
    distrust_ms: DISTRUST_U * u,
    joinInterval_ms: JOIN_U * u,
    startupWaitMin_ms: (LEASE_U + JOIN_U + 1) * u,
    beaconInterval_ms: 10 * u,
    bound_ms: BOUND_U * u,
  };
}

/**
 * The longest time without an owner where so many nodes (1 or more) are gone at once. Of the last one the holder knows only that it had no token after
 * the hand-over to it began: after a rest of the token, and a failed hand-over for each of the others. A 911, which asks all at once, is sooner done.
 */
export function boundOfSeveral_ms(timers: Timers, gone: number): number {
  const { bound_ms, rotation_ms, handOverFail_ms } = timers;
  return gone === 1 ? bound_ms : bound_ms + rotation_ms + (gone - 1) * handOverFail_ms;
}

/** What a token needs for its way past so many nodes, none of which keeps it. */
export function roundWithoutRest_ms(nodes: number): number {
  return nodes * HOP_MS;
}

/** The smallest fail-over target for so many nodes, in whole milliseconds. */
export function leastTarget_ms(nodes: number): number {
  return Math.max(FAILOVER_TARGET_MIN_MS, Math.ceil((ROUNDS * roundWithoutRest_ms(nodes) * BOUND_U) / ROUNDS_U));
}

function targetError(failoverTarget_ms: number, nodes: number, least_ms: number): RainfrontError {
  const unit_ms = (failoverTarget_ms / BOUND_U).toFixed(2);
  const arithmetic =
    `a lease lasts ${LEASE_U}u, the rounds that find a dead node and tell the new owner ${ROUNDS_U}u, and it may take ${TAKEOVER_U}u, so the VIPs ` +
    `answer again after at most ${LEASE_U}u + ${ROUNDS_U}u + ${TAKEOVER_U}u = ${BOUND_U}u, and u = ${failoverTarget_ms} / ${BOUND_U} = ${unit_ms} ms; ` +
    `${ROUNDS} rounds of ${nodes} nodes take up to ${ROUNDS} x ${nodes} x ${HOP_MS} ms, which must be within ${ROUNDS_U}u`;
  const limits = `${least_ms}..${FAILOVER_TARGET_MAX_MS} ms`;
  return new RainfrontError(
    "RF_CONFIG_FAILOVER_TARGET",
    `failoverTarget_ms ${failoverTarget_ms} is outside ${limits}: ${arithmetic}`,
    { fix: `set failoverTarget_ms to a value of ${limits}` },
  );
}
