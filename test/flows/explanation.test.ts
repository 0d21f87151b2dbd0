// Who handles a flow, by what its nodes say of it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ConnectionSight, KnownSight, NodeSight } from "../../lib/api/flowProtocol.js";
import { explainHandling, type FlowFacts } from "../../lib/flows/explanation.js";

const known = (node: number, more: Partial<KnownSight> = {}): KnownSight => ({
  node,
  epoch: 7,
  place: "established",
  life: "stream",
  isHeld: true,
  isAnswered: true,
  isAlias: false,
  isGuessed: false,
  idle_ms: 0,
  ...more,
});
const connection: ConnectionSight = {
  original: "tcp 192.0.2.7:4444 > 198.51.100.10:80",
  reply: "tcp 198.51.100.10:80 > 192.0.2.7:4444",
  state: "established",
  isAssured: true,
  timeout_s: 300,
};
const sight = (node: number, more: Partial<NodeSight> = {}): NodeSight => ({
  node,
  name: `gw${node}`,
  isReachable: true,
  knows: null,
  connection: null,
  replica: null,
  trouble: null,
  ...more,
});
/** Of a view of the nodes 1, 2 and 3; 2 is the authority. */
const facts = (more: Partial<FlowFacts> = {}): FlowFacts => ({
  policy: "receiver",
  areRemembered: true,
  isSticky: false,
  isTcp: true,
  isOfOwnPorts: false,
  authority: 2,
  members: [1, 2, 3],
  nodes: [sight(1), sight(2), sight(3)],
  ...more,
});

const cases: readonly (readonly [what: string, facts: FlowFacts, handler: number | null, why: RegExp])[] = [
  [
    "where the hash decides, its authority",
    facts({ policy: "authority", areRemembered: false }),
    2,
    /^the hash names it/,
  ],
  [
    "who took it over, though new ones of its service go by the hash",
    facts({ policy: "authority", nodes: [sight(1, { knows: known(1) }), sight(2, { knows: known(1) })] }),
    1,
    /^its authority, gw2, says so/,
  ],
  [
    "nobody: by the hash next, for its service is such",
    facts({ policy: "authority", isTcp: false }),
    null,
    /goes to its authority \(assignment: authority\)$/,
  ],
  [
    "nobody: by its port next",
    facts({ policy: "balanced", isTcp: false, isOfOwnPorts: true }),
    null,
    /goes to its authority, to whose ports it goes \(portRanges\)$/,
  ],
  ["without a view nobody", facts({ authority: null }), null, /in no group that serves/],
  [
    "whom its authority says",
    facts({ nodes: [sight(1, { knows: known(1) }), sight(2, { knows: known(1) }), sight(3)] }),
    1,
    /^its authority, gw2, says so, as of view 7$/,
  ],
  [
    "its authority itself",
    facts({ nodes: [sight(2, { knows: known(2) })] }),
    2,
    /^its authority, gw2, handles it itself/,
  ],
  [
    "whose firewall knew it",
    facts({ nodes: [sight(1), sight(2, { knows: known(1, { isGuessed: true }) })] }),
    1,
    /^gw1's firewall knew its connection when all were asked, in view 7$/,
  ],
  [
    "whom its authority says, though another goes by who had it before",
    facts({ nodes: [sight(1), sight(2, { knows: known(1) }), sight(3, { knows: known(2) })] }),
    1,
    /says so, as of view 7; gw3 still goes by gw2$/,
  ],
  [
    "who says so itself, while its authority does not know",
    facts({ nodes: [sight(1, { knows: known(1) }), sight(2), sight(3, { knows: known(1) })] }),
    1,
    /^gw1 handles it, as it says itself; its authority, gw2, learns it/,
  ],
  [
    "who says so itself, while its authority does not answer",
    facts({ nodes: [sight(1, { knows: known(1) }), sight(2, { isReachable: false })] }),
    1,
    /its authority, gw2, did not answer$/,
  ],
  [
    "nobody, where its authority does not answer",
    facts({ nodes: [sight(1), sight(2, { isReachable: false })] }),
    null,
    /did not answer, and nobody/,
  ],
  [
    "nobody, for who did is gone",
    facts({ nodes: [sight(1), sight(2, { knows: known(4, { isHeld: false }) })] }),
    null,
    /^node 4 handled it, and is gone: its authority, gw2, takes it over at the next packet$/,
  ],
  [
    "nobody, for who did is gone, and had translated it",
    facts({ nodes: [sight(2, { knows: known(4, { isHeld: false, isAlias: true }) })] }),
    null,
    /is gone: its authority, gw2, asks all others at the next packet$/,
  ],
  [
    "nobody, for who did was away",
    facts({ nodes: [sight(1, { connection }), sight(2, { knows: known(3, { isHeld: false }) }), sight(3)] }),
    null,
    /^gw3 handled it, and has been away since: .* asks all others at the next packet, and gw1's firewall knows its connection$/,
  ],
  [
    "nobody yet, though a firewall knows it",
    facts({ nodes: [sight(1, { connection }), sight(2)] }),
    null,
    /^no node's packet path knows it, and gw1's firewall knows its connection: its authority, gw2, finds that out/,
  ],
  [
    "nobody, when all were asked",
    facts({ nodes: [sight(2, { knows: known(0) })] }),
    null,
    /^nobody handled it when all were asked, in view 7: /,
  ],
  [
    "nobody: its receiver next",
    facts(),
    null,
    /^nobody knows it: .* the node that receives it \(assignment: receiver\), and one amidst .* gw2$/,
  ],
  [
    "nobody: by weights next",
    facts({ policy: "balanced", isTcp: false }),
    null,
    /a node by its share \(assignment: balanced\)$/,
  ],
  [
    "nobody: by its host next",
    facts({ isSticky: true, isTcp: false }),
    null,
    /its host beyond the layer \(stickiness: client\)$/,
  ],
];

describe("a flow is handled by", () => {
  for (const [what, said, handler, why] of cases) {
    test(what, () => {
      const handling = explainHandling(said);
      assert.equal(handling.handler, handler);
      assert.match(handling.why, why);
    });
  }
});
