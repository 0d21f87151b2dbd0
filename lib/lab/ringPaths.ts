// What a daemon's status says about the paths of its ring. Pure. Read loosely: a daemon may say more, less, or nothing.

import { RING_SEGMENTS, SEGMENTS, type Segment } from "./plan.js";

export interface PathCount {
  readonly up: number;
  readonly down: number;
}

/** Peers by the state of their path on each segment; undefined where the status has neither `ring.paths` nor `paths`. */
export function pathCounts(status: {
  readonly ring: unknown;
  readonly paths?: unknown;
}): Readonly<Record<Segment, PathCount>> | undefined {
  const paths = (status.ring as { readonly paths?: unknown } | undefined)?.paths ?? status.paths;
  if (paths === undefined) return undefined;
  const counts = { external: { up: 0, down: 0 }, internal: { up: 0, down: 0 } };
  for (const { segment, up } of leaves(paths, undefined)) counts[segment][up ? "up" : "down"]++;
  return counts;
}

/** Objects with a boolean `isUp` (or `up`), on the segment that they, or the key that leads to them, name. */
function leaves(value: unknown, around: Segment | undefined): { segment: Segment; up: boolean }[] {
  if (typeof value !== "object" || value === null) return [];
  const { isUp, up = isUp, segment: name, path } = value as Readonly<Record<string, unknown>>;
  const segment = segmentOf(name) ?? segmentOf(path) ?? around;
  if (typeof up === "boolean") return segment === undefined ? [] : [{ segment, up }];
  return Object.entries(value).flatMap(([key, below]) => {
    // An array's index is a path's number only where nothing else has named the segment.
    const named = segmentOf(key) ?? (Array.isArray(value) ? segmentOf(Number(key)) : undefined);
    return leaves(below, named ?? segment);
  });
}

function segmentOf(name: unknown): Segment | undefined {
  if (typeof name === "number") return RING_SEGMENTS[name];
  return SEGMENTS.find((segment) => segment === name);
}
