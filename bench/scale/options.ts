// What `bench scale` does by default. Pure.

import type { ScaleOptions } from "./benchScale.js";

export interface ScaleFlags {
  readonly quick: boolean;
  readonly nodes?: readonly number[];
  readonly seconds?: number;
  readonly mbit: number;
  readonly backend: ScaleOptions["backend"];
  readonly peer: ScaleOptions["peer"];
}

/** All sizes carry the same load, and the smallest ones come first: they are what the others are compared with. */
export function scaleOptions({ quick, nodes, seconds, mbit, backend, peer }: ScaleFlags): ScaleOptions {
  const sizes = nodes ?? (quick ? [1, 2] : [1, 2, 4, 8]);
  return {
    nodes: [...new Set(sizes)].sort((a, b) => a - b),
    seconds: seconds ?? (quick ? 2 : 10),
    mbit_per_s: mbit,
    backend,
    peer,
  };
}
