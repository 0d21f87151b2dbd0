// What a switch of the lab may be told to drop: nftables rules of the bridge family. Pure; switch.ts installs them.

const TABLE = "rflab";

/** Everything passes again. (Adding first makes the deletion succeed whatever was there.) */
export const NO_RULES = `add table bridge ${TABLE}\ndelete table bridge ${TABLE}\n`;

function forwardRules(sets: string, rules: readonly string[]): string {
  return `${NO_RULES}table bridge ${TABLE} {
${sets}  chain forward {
    type filter hook forward priority filter; policy accept;
${rules.map((rule) => `    ${rule}\n`).join("")}  }
}
`;
}

/** The switch falls into two: the ports named here, and all others. In one transaction, so no frame meets half a cut. */
export function splitRules(farPorts: readonly string[]): string {
  if (farPorts.length === 0) throw new RangeError("a split needs ports on its far side");
  const elements = farPorts.map((port) => `"${port}"`).join(", ");
  return forwardRules(`  set far {\n    type ifname;\n    elements = { ${elements} }\n  }\n`, [
    "iifname @far oifname != @far drop",
    "iifname != @far oifname @far drop",
  ]);
}

/** Only the ring's datagrams are lost; everything else passes. */
export function ringCutRules(ringPort: number): string {
  return forwardRules("", [`ether type ip udp dport ${ringPort} drop`]);
}
