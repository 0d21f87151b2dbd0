// Which failed requests may be blamed on a transition (a takeover, a rejoin), and which were begun in quiet times and must not
// have failed. Pure.

import { connectionKey } from "./conntrack.js";
import type { RequestResult } from "./loadProtocol.js";
import { rounded } from "./statistics.js";

export type TransitionKind = "takeover" | "rejoin";

export interface Transition {
  readonly kind: TransitionKind;
  /** Requests begun earlier had ended, or should have: see rounds.ts. */
  readonly settled_ms: number;
  readonly from_ms: number;
  readonly to_ms: number;
}

/** A time in which the lab's machine stood still for so long that nothing can be said about the layer. */
export interface Standing {
  readonly from_ms: number;
  readonly to_ms: number;
  readonly why: string;
}

export interface RequestFigures {
  readonly ok: number;
  /** Open when a transition began, or begun during it. */
  readonly failed_in_transition: number;
  readonly failed_in_takeover: number;
  readonly failed_in_rejoin: number;
  /** Open when no transition was going on, and the machine did not stand still: always a fault. */
  readonly failed_after_takeover: number;
  /** Open in no transition either, but in a time in which the machine stood still. */
  readonly failed_at_standstill: number;
  readonly errors: Readonly<Record<string, number>>;
  /** For how long the client was kept from working during one request. */
  readonly client_missed_ms_max: number;
  /** The first few of those that failed in quiet times. */
  readonly quiet_failures: readonly QuietFailure[];
}

export interface QuietFailure {
  readonly connection: string;
  readonly error: string;
  readonly begin_ms: number;
  readonly after: TransitionKind | "start";
  /** How long after the end of that it was begun. */
  readonly after_ms: number;
}

const QUIET_FAILURES_SHOWN = 8;

/** A healthy request takes a few milliseconds. One that is open for longer than this has lost a packet, or has failed already. */
export const HEALTHY_REQUEST_MS = 100;

export function judgeRequests(
  results: readonly RequestResult[],
  transitions: readonly Transition[],
  standings: readonly Standing[] = [],
): RequestFigures {
  const failed = { takeover: 0, rejoin: 0, standstill: 0, none: 0 };
  const errors: Record<string, number> = {};
  const quiet: QuietFailure[] = [];
  for (const result of results) {
    const { error } = result;
    if (error === undefined) continue;
    errors[error] = (errors[error] ?? 0) + 1;
    const during = transitions.find((transition) => wasDuring(result, transition))?.kind;
    const cause = during ?? (standings.some((standing) => wasOpenIn(result, standing)) ? "standstill" : "none");
    failed[cause]++;
    if (cause === "none") quiet.push(quietFailure(result, error, transitions));
  }
  const inTransition = failed.takeover + failed.rejoin;
  return {
    ok: results.length - inTransition - failed.standstill - failed.none,
    failed_in_transition: inTransition,
    failed_in_takeover: failed.takeover,
    failed_in_rejoin: failed.rejoin,
    failed_after_takeover: failed.none,
    failed_at_standstill: failed.standstill,
    errors,
    client_missed_ms_max: rounded(results.reduce((most, result) => Math.max(most, result.missed_ms), 0)),
    quiet_failures: quiet.slice(0, QUIET_FAILURES_SHOWN),
  };
}

function wasDuring({ begin_ms, end_ms }: RequestResult, { settled_ms, from_ms, to_ms }: Transition): boolean {
  return begin_ms >= settled_ms && begin_ms <= to_ms && end_ms >= from_ms;
}

function wasOpenIn({ begin_ms, end_ms }: RequestResult, { from_ms, to_ms }: Standing): boolean {
  return begin_ms <= to_ms && end_ms >= from_ms;
}

function quietFailure(result: RequestResult, error: string, transitions: readonly Transition[]): QuietFailure {
  const last = transitions.filter((transition) => transition.to_ms < result.begin_ms).at(-1);
  return {
    connection: connectionKey(result),
    error,
    begin_ms: rounded(result.begin_ms),
    after: last?.kind ?? "start",
    after_ms: rounded(result.begin_ms - (last?.to_ms ?? result.begin_ms)),
  };
}
