// Ordered multicast as its users see it: one total order per view, the same set of messages for all members that go on
// together, every sender's messages in its own order, none twice, none that nobody sent, a safe one nowhere before
// every member has had the token since it was sent, and none told to its sender as delivered that others go on without.
import type { ViewId } from "../../../lib/raincore/token.js";
import type { SimNode } from "../node.js";
import { nameOf, readPayload } from "../payload.js";
import type { Checker, Watched } from "./checker.js";

export type Guarantee = "agreed" | "safe";

/** A view as it is named on messages. */
type ViewLabel = ViewId;

interface Sent {
  readonly at_ms: number;
  readonly guarantee: Guarantee;
}

/** One node's membership from when it came in until it is lost. */
interface Membership {
  readonly life: number;
  /** Names of what was delivered under each view's label, in order. */
  readonly delivered: Map<string, string[]>;
  /** Name of what was delivered → its view's label. */
  readonly all: Map<string, string>;
  /** Sender and life → number of its latest delivered message. */
  readonly latest: Map<string, number>;
  /** Views as reported to the user, in order. */
  readonly views: string[];
}

/** What is known of a view over all nodes. */
interface ViewHistory {
  /** When it was first heard of. */
  readonly since_ms: number;
  /** The longest sequence that any member delivered. */
  order: string[];
  /** Messages that nobody may go on without → why. */
  readonly promised: Map<string, string>;
  /** Next view → how many messages each member that went on to it had delivered. */
  readonly ends: Map<string, { readonly count: number; readonly node: number }>;
}

export class MulticastOrder implements Checker {
  readonly #watched: Watched;
  readonly #sent = new Map<string, Sent>();
  readonly #memberships = new Map<number, Membership>();
  readonly #views = new Map<string, ViewHistory>();
  readonly #tokenVisit_ms = new Map<number, number>();
  /** Safe deliveries of the step that is not over: its effects are not applied yet. */
  readonly #fresh: { readonly node: SimNode; readonly label: string; readonly name: string; readonly sent: Sent }[] =
    [];

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /** A user handed in a message. */
  sent(name: string, guarantee: Guarantee): void {
    this.#sent.set(name, { at_ms: this.#watched.now_ms(), guarantee });
  }

  /** The service saw the token at this node. */
  visited(node: SimNode): void {
    this.#tokenVisit_ms.set(node.nodeId, this.#watched.now_ms());
  }

  /** A new life, or membership was lost: nothing that went before counts. */
  beganAnew(node: SimNode): void {
    const fresh: Membership = { life: node.life, delivered: new Map(), all: new Map(), latest: new Map(), views: [] };
    this.#memberships.set(node.nodeId, fresh);
    this.#tokenVisit_ms.delete(node.nodeId);
  }

  /** Every member that knows itself in the message's view has had the token since it was sent. */
  stepped(): void {
    for (const { node, label, name, sent } of this.#fresh) {
      for (const { nodeId } of node.visiting?.members ?? []) {
        if (this.#memberships.get(nodeId)?.views.includes(label) !== true) continue;
        if ((this.#tokenVisit_ms.get(nodeId) ?? Number.NEGATIVE_INFINITY) >= sent.at_ms) continue;
        this.#violate(
          node,
          `was delivered ${name} as safe, but node ${nodeId} has not had the token since it was sent`,
        );
      }
    }
    this.#fresh.length = 0;
  }

  /** The message's name, if it has one. */
  deliveredTo(
    node: SimNode,
    from: number,
    view: ViewLabel,
    guarantee: Guarantee,
    bytes: Uint8Array,
  ): string | undefined {
    const id = readPayload(bytes);
    if (id === undefined) {
      this.#violate(node, `was delivered ${bytes.length} bytes that nobody sent`);
      return undefined;
    }
    const name = nameOf(id);
    const sent = this.#sent.get(name);
    if (sent === undefined || id.nodeId !== from) {
      this.#violate(node, `was delivered ${name}, which ${from} never sent`);
      return undefined;
    }
    if (sent.guarantee !== guarantee)
      this.#violate(node, `was delivered ${name} as ${guarantee}, but it was sent as ${sent.guarantee}`);
    const membership = this.#membershipOf(node);
    if (membership.all.has(name)) this.#violate(node, `was delivered ${name} twice`);
    this.#historyOf(labelOf(view), node);
    membership.all.set(name, labelOf(view));
    const sender = `${id.nodeId}.${id.life}`;
    if ((membership.latest.get(sender) ?? -1) >= id.number)
      this.#violate(node, `was delivered ${name} after a later one of its sender`);
    membership.latest.set(sender, id.number);
    this.#checkOrder(node, membership, labelOf(view), name);
    // One that comes to be safe only because somebody was removed says nothing of those that were.
    if (guarantee === "safe" && node.visiting !== undefined && labelOf(node.visiting) === labelOf(view)) {
      this.#historyOf(labelOf(view), node).promised.set(name, "was delivered as safe");
      this.#fresh.push({ node, label: labelOf(view), name, sent });
    }
    return name;
  }

  viewReported(node: SimNode, view: ViewLabel): void {
    const membership = this.#membershipOf(node);
    const before = membership.views.at(-1);
    const label = labelOf(view);
    this.#historyOf(label, node);
    membership.views.push(label);
    if (before === undefined || before === label) return;
    const history = this.#historyOf(before, node);
    const count = membership.delivered.get(before)?.length ?? 0;
    const other = history.ends.get(label);
    if (other === undefined) history.ends.set(label, { count, node: node.nodeId });
    else if (other.count !== count) {
      const what = `went on from view ${before} to ${label} with ${count} messages, node ${other.node} with ${other.count}`;
      this.#violate(node, what);
    }
    for (const [name, why] of history.promised) {
      if (!membership.all.has(name)) this.#violate(node, `went on to view ${label} without ${name}, which ${why}`);
    }
  }

  settled(node: SimNode, name: string | undefined, outcome: "delivered" | "unknown" | "unsent"): void {
    if (name === undefined) {
      this.#violate(node, "was told twice what became of a message, or of one it never sent");
      return;
    }
    const label = this.#membershipOf(node).all.get(name);
    const has = label !== undefined;
    if (has !== (outcome === "delivered"))
      this.#violate(node, `was told that ${name} is ${outcome}, and ${has ? "has" : "has not"} got it itself`);
    // Whoever sends may act on that, and die: the others follow if they stay. Those that were removed meanwhile did not stay.
    if (has && node.visiting !== undefined && labelOf(node.visiting) === label)
      this.#historyOf(label, node).promised.set(name, "its sender was told is delivered");
  }

  /** Every sequence is the beginning of the longest one. */
  #checkOrder(node: SimNode, membership: Membership, label: string, name: string): void {
    const current = membership.views.at(-1);
    // Views may be skipped, so its label may be newer than what was told last, or told never.
    if (current !== label && membership.views.includes(label)) {
      this.#violate(node, `was delivered ${name} of view ${label} after it was told view ${current}`);
    }
    const { order } = this.#historyOf(label, node);
    const own = membership.delivered.get(label) ?? [];
    membership.delivered.set(label, own);
    own.push(name);

    if (order.length < own.length) order.push(name);
    else if (order[own.length - 1] !== name) {
      this.#violate(
        node,
        `was delivered ${name} in view ${label} where others were delivered ${order[own.length - 1]}`,
      );
    }
  }

  #membershipOf(node: SimNode): Membership {
    const known = this.#memberships.get(node.nodeId);
    if (known?.life === node.life) return known;
    this.beganAnew(node);
    return this.#membershipOf(node);
  }

  /**
   * `node` uses the name. A life whose clock was set back may give a view the name of one of an earlier life, if nobody could tell it: those that have
   * seen that one have begun anew as well, or were stopped since.
   */
  #historyOf(label: string, node: SimNode): ViewHistory {
    const known = this.#views.get(label);
    const { setBack_ms = Number.NEGATIVE_INFINITY } = node;
    const couldTell = (other: SimNode) => {
      const { views = [], all } = this.#memberships.get(other.nodeId) ?? {};
      const hasSeen = views.includes(label) || [...(all?.values() ?? [])].includes(label);
      return hasSeen && other.stopped_ms(setBack_ms) === 0;
    };
    const isNamedAgain =
      known !== undefined &&
      label.endsWith(`/${node.nodeId}`) &&
      known.since_ms < setBack_ms &&
      !this.#watched.nodes.some(couldTell);
    if (known !== undefined && !isNamedAgain) return known;
    const history = { since_ms: this.#watched.now_ms(), order: [], promised: new Map(), ends: new Map() };
    this.#views.set(label, history);
    return history;
  }

  #violate(node: SimNode, what: string): void {
    this.#watched.report("multicast", `node ${node.nodeId} ${what}`);
  }
}

function labelOf(view: ViewLabel): string {
  return `${view.epoch}/${view.origin}`;
}
