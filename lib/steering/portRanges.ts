// Ports of the addresses under which the layer's firewalls translate connections, in equal parts, one for each node: the answers then name the node that handles them. What each part is, and
// whose it is now. Pure; used by the data plane and by `rainfront nat-rules`.

import type { PortRanges } from "../native.js";

/** `first` to `last` of an address, for all nodes together. */
export interface PortRange {
  readonly address: string;
  readonly first: number;
  readonly last: number;
}

/** Ports of each part, of `nodes` parts. What does not divide is nobody's, and is not used. */
export function partSize({ first, last }: Pick<PortRange, "first" | "last">, nodes: number): number {
  return Math.floor((last - first + 1) / nodes);
}

/** The ports of one node. `nodeIds`: of the configuration, ascending. */
export function partOf(range: PortRange, nodeIds: readonly number[], nodeId: number): PortRange {
  const size = partSize(range, nodeIds.length);
  const first = range.first + nodeIds.indexOf(nodeId) * size;
  return { address: range.address, first, last: first + size - 1 };
}

/** As the data plane takes it. `there`: who serves, also those that are given no new flows; answers to the others' ports have the authority that their hash names. */
export function portRangesFor(
  ranges: readonly PortRange[],
  nodeIds: readonly number[],
  there: readonly number[],
): PortRanges | undefined {
  if (ranges.length === 0) return undefined;
  return {
    ranges: ranges.map((range) => ({
      address: range.address,
      first: range.first,
      size: partSize(range, nodeIds.length),
    })),
    owners: nodeIds.map((id) => (there.includes(id) ? id : 0)),
  };
}
