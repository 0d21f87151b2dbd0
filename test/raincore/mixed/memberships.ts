// What the memberships of the mixed rings have seen of the multicast, and what has to be the same for two of them.
import assert from "node:assert/strict";
import { compareViews, type ViewId } from "../../../lib/raincore/token.js";

type Entry =
  | { readonly type: "view"; readonly view: ViewId }
  | { readonly type: "message"; readonly key: number; readonly view: ViewId; readonly order: number };

/** What one membership of one process in the multicast has seen. */
export interface Membership {
  readonly node: number;
  readonly entries: Entry[];
  isOver: boolean;
}

/** Names of the messages, in the order in which they came. */
export function keysOf({ entries }: Membership): number[] {
  return entries.flatMap((entry) => (entry.type === "message" ? [entry.key] : []));
}

/**
 * Two memberships that both reported a view have the same messages of all views that both were in before; if both go on, of all later ones, too: but for
 * what is on its way to one of them, unless all is at rest.
 */
export function checkTogether(p: Membership, q: Membership, isAtRest: boolean): void {
  const viewsOf = ({ entries }: Membership) => entries.flatMap((entry) => (entry.type === "view" ? [entry.view] : []));
  const [firstP, firstQ] = [viewsOf(p)[0], viewsOf(q)[0]];
  const common = viewsOf(p).filter((view) => viewsOf(q).some((other) => compareViews(view, other) === 0));
  const last = common.at(-1);
  if (firstP === undefined || firstQ === undefined || last === undefined) return;
  const from = compareViews(firstP, firstQ) > 0 ? firstP : firstQ;
  const isGoingOn = !p.isOver && !q.isOver;
  const inCommon = ({ entries }: Membership) =>
    entries.flatMap((entry) => {
      if (entry.type === "view" || compareViews(entry.view, from) < 0) return [];
      return isGoingOn || compareViews(entry.view, last) < 0 ? [`${entry.key} in ${entry.view.epoch}`] : [];
    });
  const [ofP, ofQ] = [inCommon(p), inCommon(q)];
  const length = isGoingOn && !isAtRest ? Math.min(ofP.length, ofQ.length) : Number.POSITIVE_INFINITY;
  assert.deepEqual(ofP.slice(0, length), ofQ.slice(0, length), `nodes ${p.node} and ${q.node} have the same`);
}
