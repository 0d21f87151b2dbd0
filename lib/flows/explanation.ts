// Who handles a flow, and why: from what its nodes said of it, by the rules of docs/packet-path.md (22 to 32). Pure. Called by lib/gateway/flowInquiry.ts.

import type { NodeSight } from "../api/flowProtocol.js";

export interface FlowFacts {
  /** What new ones of its service are given by. */
  readonly policy: "authority" | "receiver" | "balanced";
  /** Nodes remember who handles which flow; not where the hash alone decides. */
  readonly areRemembered: boolean;
  readonly isSticky: boolean;
  readonly isTcp: boolean;
  /** Its authority is the node of whose ports (portRanges) it is. */
  readonly isOfOwnPorts: boolean;
  /** Null: nobody shares flows, as far as this node knows. */
  readonly authority: number | null;
  /** Who may handle flows, now. */
  readonly members: readonly number[];
  readonly nodes: readonly NodeSight[];
}

export interface Handling {
  /** Null: nobody, or it cannot be told. */
  readonly handler: number | null;
  /** One sentence, without its full stop. */
  readonly why: string;
}

export function explainHandling(facts: FlowFacts): Handling {
  const { authority } = facts;
  if (authority === null)
    return {
      handler: null,
      why: "this node is in no group that serves, so it steers nothing and knows of no authority",
    };
  if (!facts.areRemembered) return { handler: authority, why: "the hash names it (assignment: authority)" };
  const handling = byItsAuthority(facts, authority) ?? byAnother(facts, authority) ?? nobodys(facts, authority);
  return { ...handling, why: [handling.why, ...disagreements(facts, handling.handler)].join("; ") };
}

/** The authority's word counts: the others ask it, or go by what it once said. */
function byItsAuthority(facts: FlowFacts, authority: number): Handling | undefined {
  const known = sightOf(facts, authority)?.knows;
  if (known == null || !known.isHeld || known.node === 0) return undefined;
  const { node, epoch } = known;
  const name = nameIn(facts);
  const whose =
    node === authority
      ? `its authority, ${name(authority)}, handles it itself`
      : `its authority, ${name(authority)}, says so`;
  const why = known.isGuessed
    ? `${name(node)}'s firewall knew its connection when all were asked, in view ${epoch}`
    : `${whose}, as of view ${epoch}`;
  return { handler: node, why };
}

/** Who handles it says so, and its authority does not know, or could not be asked. */
function byAnother(facts: FlowFacts, authority: number): Handling | undefined {
  const claimant = facts.nodes.find(({ node, knows }) => knows?.isHeld === true && knows.node === node);
  if (claimant === undefined) return undefined;
  const name = nameIn(facts);
  const learns =
    sightOf(facts, authority)?.isReachable === true ? "learns it when it asks or is told" : "did not answer";
  return {
    handler: claimant.node,
    why: `${claimant.name} handles it, as it says itself; its authority, ${name(authority)}, ${learns}`,
  };
}

function nobodys(facts: FlowFacts, authority: number): Handling {
  const name = nameIn(facts);
  const of = name(authority);
  const authoritySight = sightOf(facts, authority);
  if (authoritySight?.isReachable !== true)
    return { handler: null, why: `its authority, ${of}, did not answer, and nobody else handles it` };
  const known = authoritySight.knows;
  const holder = facts.nodes.find(({ connection }) => connection !== null);
  const firewall = holder === undefined ? "" : `, and ${holder.name}'s firewall knows its connection`;
  if (known != null && known.node !== 0) {
    const gone = `${name(known.node)} handled it, and`;
    if (facts.members.includes(known.node))
      return {
        handler: null,
        why: `${gone} has been away since: its authority, ${of}, asks all others at the next packet${firewall}`,
      };
    const next = known.isAlias ? "asks all others" : "takes it over";
    return { handler: null, why: `${gone} is gone: its authority, ${of}, ${next} at the next packet${firewall}` };
  }
  if (holder !== undefined && facts.isTcp)
    return {
      handler: null,
      why: `no node's packet path knows it${firewall}: its authority, ${of}, finds that out at the next packet amidst the connection`,
    };
  const state = known == null ? "nobody knows it" : `nobody handled it when all were asked, in view ${known.epoch}`;
  const amidst = facts.isTcp ? `, and one amidst a connection that nobody knows to its authority, ${of}` : "";
  return {
    handler: null,
    why: `${state}${firewall}: its next packet, if it is a first one, goes to ${nextOf(facts)}${amidst}`,
  };
}

const NEXT: Readonly<Record<FlowFacts["policy"], string>> = {
  authority: "its authority (assignment: authority)",
  receiver: "the node that receives it (assignment: receiver)",
  balanced: "a node by its share (assignment: balanced)",
};

function nextOf({ isSticky, isTcp, isOfOwnPorts, policy }: FlowFacts): string {
  // TCP's answers are not first packets.
  if (isOfOwnPorts && !isTcp) return "its authority, to whose ports it goes (portRanges)";
  return isSticky ? "the node of its host beyond the layer (stickiness: client)" : NEXT[policy];
}

function disagreements(facts: FlowFacts, handler: number | null): string[] {
  if (handler === null) return [];
  const name = nameIn(facts);
  return facts.nodes.flatMap((sight) => {
    const known = sight.knows;
    // Of a connection that is over the next packet is asked for again.
    if (known == null || !known.isHeld || known.life === "closing") return [];
    if (known.node === 0 || known.node === handler) return [];
    return [`${sight.name} still goes by ${name(known.node)}`];
  });
}

function sightOf(facts: FlowFacts, node: number): NodeSight | undefined {
  return facts.nodes.find((sight) => sight.node === node);
}

function nameIn(facts: FlowFacts): (node: number) => string {
  return (node) => sightOf(facts, node)?.name ?? `node ${node}`;
}
