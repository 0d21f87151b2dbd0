// The table that names the authoritative node of a flow: slot = keyed hash of the flow modulo the table's size. Built by
// the daemon from the ready members of a view and handed to the data plane. Every node must build the same table from
// the same members, whatever their order (after Eisenbud et al., "Maglev", NSDI 2016, section 3.4).

/** A prime, so that every node's walk visits all slots. */
export const MAGLEV_SLOTS = 65_537;

/**
 * nodeIds by slot; all zero if there is no node. Duplicates count once. `weightOf`: how many slots a node takes when it is its turn, a whole number from 1 on; by default all take one.
 */
export function buildMaglev(nodeIds: readonly number[], weightOf: (nodeId: number) => number = () => 1): Uint16Array {
  const slots = new Uint16Array(MAGLEV_SLOTS);
  const nodes = [...new Set(nodeIds)].sort((a, b) => a - b);
  if (nodes.length === 0) return slots;
  const skips = Uint32Array.from(nodes, (id) => 1 + (mix(id, 0x9e3779b9) % (MAGLEV_SLOTS - 1)));
  const weights = Uint8Array.from(nodes, weightOf);
  const cursors = Uint32Array.from(nodes, (id) => mix(id, 0x7f4a7c15) % MAGLEV_SLOTS);
  let free = MAGLEV_SLOTS;
  // The nodes take turns; each takes the next slots of its own walk that are still free.
  for (;;) {
    for (let n = 0; n < nodes.length; n++) {
      const skip = skips[n] as number;
      let slot = cursors[n] as number;
      for (let turns = weights[n] as number; turns > 0; turns--) {
        while (slots[slot] !== 0) slot = (slot + skip) % MAGLEV_SLOTS;
        slots[slot] = nodes[n] as number;
        slot = (slot + skip) % MAGLEV_SLOTS;
        free -= 1;
        if (free === 0) return slots;
      }
      cursors[n] = slot;
    }
  }
}

/** A 32-bit finalizer (murmur3's), good enough to scatter small integers. */
function mix(value: number, seed: number): number {
  let h = (value ^ seed) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
  return (h ^ (h >>> 16)) >>> 0;
}
