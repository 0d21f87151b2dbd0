// Offloads that are off on every cable of the lab: with them veth hands over merged packets with unfinished checksums,
// which no wire would carry.

export const LAB_OFFLOADS: readonly string[] = ["tso", "off", "gso", "off", "tx", "off", "rx", "off"];
