// Which failed requests may be blamed on a transition (a takeover, a rejoin), or on the lab's machine, and which were begun in quiet times and
// must not have failed. Pure.

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

export interface RequestFigures {
  readonly ok: number;
  /** Open when a transition began, or begun during it. */
  readonly failed_in_transition: number;
  readonly failed_in_takeover: number;
  readonly failed_in_rejoin: number;
  /** To be blamed on no transition, and on no standstill of the machine: always a fault. */
  readonly failed_after_takeover: number;
  /** To be blamed on no transition, but open when the machine stood still, or shortly after. */
  readonly failed_at_standstill: number;
  /** What those have to say for themselves. */
  readonly excuses: readonly string[];
  readonly errors: Readonly<Record<string, number>>;
  /** For how long the client was kept from working during one request. */
  readonly client_missed_ms_max: number;
  /** The first few of those that are to be blamed on no transition. */
  readonly quiet_failures: readonly QuietFailure[];
}

export interface QuietFailure {
  readonly connection: string;
  readonly error: string;
  readonly begin_ms: number;
  readonly after: TransitionKind | "start";
  /** How long after the end of that it was begun. */
  readonly after_ms: number;
  /** The standstill that excuses it. */
  readonly excuse?: string;
}

const QUIET_FAILURES_SHOWN = 8;

/** A healthy request takes a few milliseconds. One that is open for longer than this has lost a packet, or has failed already. */
export const HEALTHY_REQUEST_MS = 100;

export function judgeRequests(
  results: readonly RequestResult[],
  transitions: readonly Transition[],
  excuseFor: (from_ms: number, to_ms: number) => string | undefined = () => undefined,
): RequestFigures {
  const failed = { takeover: 0, rejoin: 0, standstill: 0, none: 0 };
  const errors: Record<string, number> = {};
  const quiet: QuietFailure[] = [];
  for (const result of results) {
    const { error } = result;
    if (error === undefined) continue;
    errors[error] = (errors[error] ?? 0) + 1;
    const during = transitions.find((transition) => wasDuring(result, transition))?.kind;
    if (during !== undefined) {
      failed[during]++;
      continue;
    }
    const excuse = excuseFor(result.begin_ms, result.end_ms);
    failed[excuse === undefined ? "none" : "standstill"]++;
    const failure = quietFailure(result, error, transitions);
    quiet.push(excuse === undefined ? failure : { ...failure, excuse });
  }
  const inTransition = failed.takeover + failed.rejoin;
  return {
    ok: results.length - inTransition - failed.standstill - failed.none,
    failed_in_transition: inTransition,
    failed_in_takeover: failed.takeover,
    failed_in_rejoin: failed.rejoin,
    failed_after_takeover: failed.none,
    failed_at_standstill: failed.standstill,
    excuses: [...new Set(quiet.flatMap(({ excuse }) => excuse ?? []))],
    errors,
    client_missed_ms_max: rounded(results.reduce((most, result) => Math.max(most, result.missed_ms), 0)),
    // Those that nothing excuses first.
    quiet_failures: quiet
      .sort((a, b) => Number(a.excuse !== undefined) - Number(b.excuse !== undefined))
      .slice(0, QUIET_FAILURES_SHOWN),
  };
}

function wasDuring({ begin_ms, end_ms }: RequestResult, { settled_ms, from_ms, to_ms }: Transition): boolean {
  return begin_ms >= settled_ms && begin_ms <= to_ms && end_ms >= from_ms;
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
