// On the healed core: connections of all kinds meet at one node each, and stay there while other nodes die, come back and leave, and VIPs move; where connections are kept, those of
// the node that died go on as well. Run at the end, by run.ts.
import { describe as describeEnds } from "../checkers/flows.js";
import type { SimNode } from "../node.js";
import type { Random } from "../random.js";
import type { World } from "../world.js";
import type { Connection } from "./connection.js";
import { FLOW_KINDS, type FlowKind, type Flows } from "./flows.js";
import { isTranslated, originalName, type Protocol, replyName } from "./packet.js";
import { ENDED_MS, FORGOTTEN_MS } from "./plane.js";

/** Of each kind and protocol, so many. */
const OPENED = 2;
/** So long everybody is given to say something and hear the answer, in units. */
const PATIENCE_U = 250;
/** What was said of connections to other nodes is there. */
const TOLD_MS = 30;
const TOLD_U = 10;

type Loss = "crash" | "leave" | "restart";
const LOSSES: readonly Loss[] = ["crash", "leave", "restart"];
/** Before each, and opened again behind it. */
const CLOSED = 4;
/** Of a run. */
const LOSSES_MAX = 2;
/** Who asks so often that he is told speaks so often. */
const HEARD_TURNS = 3;

export interface TrialHost {
  /** The most that the ring may take. */
  readonly bound_ms: number;
  readonly isQuorate: (core: readonly SimNode[]) => boolean;
}

export class Trial {
  readonly #world: World;
  readonly #flows: Flows;
  readonly #core: readonly SimNode[];
  readonly #random: Random;
  readonly #host: TrialHost;
  /** Those that must go on, and where; undefined: at any one node. */
  readonly #wanted = new Map<Connection, number | undefined>();
  /** Over: their ends may open others. */
  #closed: Connection[] = [];
  #failure: string | undefined;

  constructor(world: World, flows: Flows, core: readonly SimNode[], random: Random, host: TrialHost) {
    this.#world = world;
    this.#flows = flows;
    this.#core = core;
    this.#random = random;
    this.#host = host;
  }

  /** What does not go on, if anything does not. */
  run(): string | undefined {
    this.#flows.segments.visible = this.#core;
    this.#adoptEarlier();
    this.#open();
    this.#forget();
    this.#reopen("after the faults");
    this.#speak("after the faults");
    this.#close();
    this.#reopen("at once");
    this.#speak("at once");
    if (this.#core.length === 1) return this.#failure;
    for (const how of this.#random.shuffled(LOSSES).slice(0, LOSSES_MAX)) if (this.#goesOn) this.#loseOne(how);
    if (this.#goesOn) this.#moveVips();
    if (this.#goesOn) this.#crossWays();
    return this.#failure;
  }

  get #goesOn(): boolean {
    return this.#failure === undefined && this.#world.checker.violations.length === 0;
  }

  /** Connections whose handler lived through the faults, as a member of all views that anybody had. */
  #adoptEarlier(): void {
    for (const connection of this.#flows.connections) {
      const { handler, established_ms } = connection;
      if (this.#flows.isReopenable(connection)) this.#closed.push(connection);
      if (handler === undefined || established_ms === undefined || !connection.isOpen) continue;
      const lived = this.#core.some(({ nodeId }) => nodeId === handler);
      const isPromised =
        lived && this.#flows.wasThereSince(handler, established_ms) && connection.ends.protocol === "tcp";
      this.#flows.count(isPromised ? "flows_lived_through" : "flows_not_promised");
      if (isPromised) this.#wanted.set(connection, handler);
    }
  }

  #open(): void {
    const protocols: readonly Protocol[] = ["tcp", "udp"];
    for (const kind of FLOW_KINDS) {
      for (const protocol of protocols) {
        for (let n = 0; n < OPENED; n++) this.#openOne(kind, protocol);
      }
    }
    this.#await(() => [...this.#wanted.keys()].filter(({ isOpen }) => !isOpen), "opened after the faults");
    // Of a translated datagram flow an answer may come before its authority has heard of it.
    for (const connection of this.#wanted.keys())
      if (connection.ends.protocol === "udp" && isTranslated(connection.ends)) connection.handlings = [];
  }

  #openOne(kind: FlowKind, protocol: Protocol): void {
    const connection = this.#flows.open(kind, protocol);
    if (connection !== undefined) this.#wanted.set(connection, undefined);
  }

  /** Some connections come to their end. */
  #close(): void {
    if (!this.#goesOn) return;
    const all = [...this.#wanted.keys()].filter(({ ends }) => ends.protocol === "tcp");
    const closing = this.#random.shuffled(all).slice(0, CLOSED);
    for (const connection of closing) {
      this.#wanted.delete(connection);
      this.#closed.push(connection);
      connection.say("close", this.#random.chance(0.5) ? "client" : "server");
    }
    this.#await(() => closing.filter(({ state }) => state !== "over"), "closing");
  }

  /** Views are the same until then, but VIPs may move. */
  #forget(): void {
    if (this.#goesOn) this.#world.run(FORGOTTEN_MS);
  }

  /** Their clients use the same ports again. */
  #reopen(when: string): void {
    if (!this.#goesOn) return;
    const opening = this.#closed.map((connection) => this.#flows.reopen(connection));
    this.#closed = [];
    for (const connection of opening) this.#wanted.set(connection, undefined);
    this.#await(() => opening.filter(({ isOpen }) => !isOpen), `opened between the ends of others, ${when}`);
  }

  /** Both sides say something on every connection, and are answered. */
  #speak(when: string): void {
    if (!this.#goesOn) return;
    const silent = new Set(this.#wanted.keys());
    for (const connection of silent) {
      if (this.#wanted.get(connection) !== undefined) connection.handlings = [];
      const first = this.#random.chance(0.5) ? "client" : "server";
      connection.say("data", first, () =>
        connection.say("data", first === "client" ? "server" : "client", () => silent.delete(connection)),
      );
    }
    this.#await(() => [...silent], when);
    if (!this.#goesOn) return;
    for (const [connection, handler] of this.#wanted) {
      this.#flows.paths.meets(connection, handler, when);
      this.#wanted.set(connection, connection.handler);
      this.#flows.count("flows_tried");
    }
  }

  #await(silent: () => readonly Connection[], when: string): void {
    const world = this.#world;
    const isOver = (): boolean => silent().length === 0 || world.checker.violations.length > 0;
    if (isOver() || world.runUntil(isOver, PATIENCE_U * world.unit_ms) !== undefined) return;
    const [one] = silent();
    this.#failure = `flows: nobody is heard on ${one === undefined ? "any" : this.#describe(one)}, ${when}`;
  }

  #describe(connection: Connection): string {
    const handler = this.#wanted.get(connection);
    const said = connection.handlings.map(
      ({ node, sentBy, isAccepted }) => `${sentBy}'s at ${node}${isAccepted ? "" : " (invalid)"}`,
    );
    return `${describeEnds(connection.ends)}, handled by ${handler ?? "nobody yet"}: ${said.join(", ") || "no packet came"}`;
  }

  /** One node goes, the others go on; it comes back, and nothing moves to it. */
  #loseOne(how: Loss): void {
    const world = this.#world;
    const lost = this.#random.pick(this.#core);
    const rest = this.#core.filter((node) => node !== lost);
    if (!this.#host.isQuorate(rest)) return;
    this.#close();
    if (!this.#goesOn) return;
    world.run(TOLD_MS + TOLD_U * world.unit_ms);
    this.#bereave(lost.nodeId, how);
    world.say(`trial: ${how} of node ${lost.nodeId}`);
    if (how === "leave") lost.leave();
    else lost.crash();
    if (how !== "restart") {
      if (!this.#becomesWhole(rest, `without node ${lost.nodeId}`)) return;
      this.#speak(`right behind the ${how} of node ${lost.nodeId}`);
      this.#forget();
      this.#reopen(`behind the ${how} of node ${lost.nodeId}`);
      this.#speak(`behind the ${how} of node ${lost.nodeId}`);
      if (!this.#goesOn) return;
    }
    world.say(`trial: node ${lost.nodeId} comes back`);
    lost.start();
    if (!this.#becomesWhole(this.#core, `with node ${lost.nodeId} again`)) return;
    this.#forget();
    this.#reopen(`with node ${lost.nodeId} again`);
    this.#speak(`with node ${lost.nodeId} again`);
  }

  /** Connections of a node that goes are over, unless somebody has a copy; or its firewall has, and it is back at once. */
  #bereave(nodeId: number, how: Loss): void {
    for (const [connection, handler] of this.#wanted) {
      if (this.#flows.isMistaken(connection)) {
        this.#flows.count("flows_not_promised");
        this.#wanted.delete(connection);
      }
      if (handler !== nodeId) continue;
      const isFirewallThere = how === "restart" && this.#flows.machinesLive && this.#flows.isOnlyAt(connection, nodeId);
      const isCopied = this.#flows.policy.keepConnections && this.#flows.isCopied(connection);
      // Of two firewalls that know it nobody can tell which is right.
      const isCertain = how !== "restart" || this.#flows.isOnlyAt(connection, nodeId);
      const survives = (isCopied || isFirewallThere) && isCertain;
      this.#flows.count(survives ? "flows_taken_over" : "flows_lost");
      if (survives) this.#wanted.set(connection, undefined);
      else this.#wanted.delete(connection);
      connection.handlings = [];
    }
  }

  /** An authority that has not heard of a datagram flow for longer than it asks the others takes it for a new one: see decision 18. */
  #moveVips(): void {
    const world = this.#world;
    for (const connection of this.#wanted.keys()) {
      if (connection.ends.protocol === "tcp") continue;
      this.#wanted.delete(connection);
      this.#flows.count("flows_not_promised");
    }
    this.#forget();
    for (const address of world.addresses) {
      const asked = this.#random.pick(this.#core);
      if (asked.vip.requestMove(address, this.#random.pick(this.#core).nodeId)) asked.wake();
    }
    world.run(PATIENCE_U * world.unit_ms * 0.2);
    if (this.#becomesWhole(this.#core, "behind moves of VIPs")) this.#speak("behind moves of VIPs");
  }

  /** Nodes that have heard of connections, and of their ends nothing, get packets of the next ones between the same ends. */
  #crossWays(): void {
    const { segments } = this.#flows;
    const [here, there] = [this.#drawWays(), this.#drawWays()];
    segments.ways = here;
    for (let turn = 0; turn < HEARD_TURNS; turn++) this.#speak("by other nodes");
    segments.ways = there;
    this.#close();
    for (const connection of this.#closed) this.#driveOut(connection);
    if (this.#goesOn) this.#world.run(ENDED_MS);
    this.#reopen("by other nodes");
    this.#speak("between the ends of others");
    segments.ways = here;
    this.#speak("where others were heard of");
    segments.ways = new Map();
  }

  #drawWays(): ReadonlyMap<string, SimNode> {
    return new Map(this.#world.addresses.map((address) => [address, this.#random.pick(this.#core)]));
  }

  /** Some nodes know it no more. */
  #driveOut({ ends }: Connection): void {
    for (const node of this.#core) {
      if (this.#random.chance(0.5)) continue;
      for (const name of [originalName(ends), replyName(ends)]) this.#flows.planeOf(node).process.driveOut(name);
    }
  }

  #becomesWhole(core: readonly SimNode[], when: string): boolean {
    const world = this.#world;
    const isOver = (): boolean => world.isWhole(core) || world.checker.violations.length > 0;
    if (isOver() || world.runUntil(isOver, this.#host.bound_ms) !== undefined) return this.#goesOn;
    this.#failure = `flows: not whole ${when}`;
    return false;
  }
}
