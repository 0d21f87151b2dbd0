// What an operator wants to know of flows: looks at home, and asks the other members, in direct messages of the ring. Used by daemon.ts.

import type {
  ExplainParams,
  FlowExplanation,
  FlowOverview,
  FlowSight,
  FlowsParams,
  KnownSight,
  NodeSight,
} from "../api/flowProtocol.js";
import { connectionSight, knownSight, readSight } from "../api/flowProtocol.js";
import type { Config } from "../config/config.js";
import { RainfrontError } from "../errors.js";
import { explainHandling } from "../flows/explanation.js";
import { FLOW_TEXT_CHARS_MAX, formatFlow, isSameFlow, parseFlow } from "../flows/flowText.js";
import { INQUIRY_KIND as KIND } from "../messageKinds.js";
import type { ConntrackShare, FlowTuple, NativeAddon, PortRanges } from "../native.js";
import type { Raincore } from "../session/raincore.js";
import { buildMaglev } from "../steering/maglev.js";
import { serviceOf } from "../steering/services.js";

/** The kind, and a number. */
const HEAD_BYTES = 5;
const ANSWER_BYTES_MAX = 8_192;
/** Who has not answered by then is shown as such. */
const PATIENCE_MS = 1_000;
/** Of operators' questions at a time: each asks all nodes twice at most. */
const INQUIRIES_MAX = 8;
/** A lookup takes some 0.1 ms; whoever asks more often than people do has a fault, and is not answered. */
const ANSWERS_PER_S = 50;
const IPPROTO_TCP = 6;

/** How the ring's thread steers, now. */
export interface Steering {
  readonly epoch: number;
  /** They may handle flows; here, or absent by agreement. */
  readonly members: readonly number[];
  readonly ready: readonly number[];
  /** The authority of each slot; empty: nobody. */
  readonly slots: Uint16Array;
  readonly portRanges?: PortRanges | undefined;
  readonly hashKey: Uint8Array | undefined;
  /** The handle of the FlowExchange; undefined: the hash decides. */
  readonly flows: number | undefined;
}

export interface FlowInquiryConfig {
  readonly config: Pick<Config, "node" | "nodes" | "assignment" | "stickiness" | "services" | "keepConnections">;
  readonly native: Pick<NativeAddon, "flowLook">;
  readonly steering: () => Promise<Steering>;
  readonly replica: (flow: FlowTuple) => ReturnType<ConntrackShare["replica"]>;
  /** Reliable; rejects when it was not delivered. */
  readonly send: (node: number, bytes: Uint8Array) => Promise<void>;
  readonly now_ms: () => number;
  /** Calls back once, so much later, unless what it returns was called. */
  readonly after: (delay_ms: number, act: () => void) => () => void;
}

interface Question {
  readonly node: number;
  readonly answer: (sight: FlowSight | undefined) => void;
}

/** Over a ring of this process. */
export function flowInquiryOver(
  ring: Pick<Raincore, "call" | "send">,
  config: Pick<FlowInquiryConfig, "config" | "native" | "replica">,
): FlowInquiry {
  return new FlowInquiry({
    ...config,
    steering: async () => (await ring.call("steering", undefined)) as Steering,
    send: (node, bytes) => ring.send(node, bytes),
    now_ms: () => performance.now(),
    after: (delay_ms, act) => {
      const timer = setTimeout(act, delay_ms).unref();
      return () => clearTimeout(timer);
    },
  });
}

const NOTHING: FlowSight = { knows: null, connection: null, replica: null, trouble: null };

export class FlowInquiry {
  readonly #config: FlowInquiryConfig;
  readonly #questions = new Map<number, Question>();
  #nextId = 1;
  #inquiries = 0;
  #known: Pick<Steering, "flows"> | undefined;
  #second = 0;
  #answersInSecond = 0;

  constructor(config: FlowInquiryConfig) {
    this.#config = config;
  }

  /** Throws `RF_USAGE` for a flow that is none, `RF_CONTROL_BUSY`. */
  async explain({ flow: text }: ExplainParams): Promise<FlowExplanation> {
    const flow = parseFlow(text);
    if (this.#inquiries >= INQUIRIES_MAX) {
      throw new RainfrontError("RF_CONTROL_BUSY", `${INQUIRIES_MAX} flows are being looked for already`, {
        fix: "wait for their answers, then try again",
      });
    }
    this.#inquiries += 1;
    try {
      return await this.#explain(flow);
    } finally {
      this.#inquiries -= 1;
    }
  }

  /** What this node remembers. */
  async flows({ node, limit }: FlowsParams): Promise<FlowOverview> {
    const { node: self, nodes, assignment: policy } = this.#config.config;
    const { flows: handle } = await this.#config.steering();
    const options = { flows_max: limit, ...(node !== undefined && { node }) };
    const all =
      handle === undefined ? { flows: [], counts: [] } : await this.#config.native.flowLook.list(handle, options);
    return {
      node: { id: self.id, name: self.name },
      policy,
      names: Object.fromEntries(nodes.map(({ id, name }) => [id, name])),
      counts: [...all.counts],
      flows: all.flows.map(knownSight),
    };
  }

  /** What another node sent. False: it is not about this. */
  receive(from: number, bytes: Uint8Array): boolean {
    const [kind] = bytes;
    if (kind !== KIND.asked && kind !== KIND.told) return false;
    if (bytes.length < HEAD_BYTES) return true;
    const id = idOf(bytes);
    if (kind === KIND.asked) void this.#answer(from, id, bytes.subarray(HEAD_BYTES));
    else this.#hear(from, id, bytes.subarray(HEAD_BYTES));
    return true;
  }

  async #explain(flow: FlowTuple): Promise<FlowExplanation> {
    const { config } = this.#config;
    const { assignment: policy, stickiness } = serviceOf(flow, config.services) ?? config;
    const steering = await this.#config.steering();
    const asked = await this.#lookEverywhere(flow, steering);
    const place = this.#placeOf(flow, steering);
    const isTcp = flow.protocol === IPPROTO_TCP;
    const facts = {
      policy,
      areRemembered: config.assignment !== "authority",
      isSticky: stickiness === "client",
      isTcp,
      isOfOwnPorts: place.authority !== null && place.slot === null,
      authority: place.authority,
      members: steering.members,
    };
    const { handler, why } = explainHandling({ ...facts, nodes: asked });
    const other = otherNameOf(flow, asked, handler);
    const alias = other === undefined ? undefined : await this.#lookEverywhere(other.flow, steering);
    // Copies are kept by the name of the first packets.
    const nodes = other?.isFirst === true && alias ? withReplicasOf(asked, alias) : asked;
    return {
      flow: formatFlow(flow),
      policy,
      epoch: steering.epoch,
      ...place,
      handler,
      why,
      nodes,
      alias:
        other && alias
          ? { ...other, flow: formatFlow(other.flow), ...this.#placeOf(other.flow, steering), knownBy: knownBy(alias) }
          : null,
      backup: this.#backupOf(other?.isFirst === true ? other.flow : flow, handler, nodes, steering),
    };
  }

  #placeOf(
    flow: FlowTuple,
    { slots, portRanges, hashKey }: Steering,
  ): { readonly slot: number | null; readonly authority: number | null } {
    const { flowLook } = this.#config.native;
    if (hashKey === undefined || slots.length === 0) return { slot: null, authority: null };
    // Its port names it.
    const owner = flowLook.portOwner(flow, portRanges);
    if (owner !== 0) return { slot: null, authority: owner };
    const slot = flowLook.slot(flow, Buffer.from(hashKey));
    return { slot, authority: slots[slot] || null };
  }

  /** Who is told of the connection, which begins with `first`: as native/conntrack/successors.h has it. */
  #backupOf(
    first: FlowTuple,
    handler: number | null,
    nodes: readonly NodeSight[],
    steering: Steering,
  ): FlowExplanation["backup"] {
    if (!this.#config.config.keepConnections || handler === null) return null;
    const { hashKey } = steering;
    const { authority } = this.#placeOf(first, steering);
    if (hashKey === undefined || authority === null) return null;
    const others = steering.ready.filter((node) => node !== handler);
    const slot = this.#config.native.flowLook.slot(first, Buffer.from(hashKey));
    const next = others.length === 0 ? undefined : buildMaglev(others)[slot];
    const node = authority === handler ? next : authority;
    if (!node) return null;
    return { node, hasReplica: nodes.some((sight) => sight.node === node && sight.replica?.from === handler) };
  }

  async #lookEverywhere(flow: FlowTuple, steering: Steering): Promise<NodeSight[]> {
    const { node: self, nodes } = this.#config.config;
    const nameOf = (id: number): string => nodes.find((node) => node.id === id)?.name ?? `node ${id}`;
    const ids = [self.id, ...steering.members.filter((node) => node !== self.id)];
    return Promise.all(
      ids.map(async (node) => {
        const sight = node === self.id ? this.#look(flow, steering.flows) : await this.#ask(node, flow);
        // Last, for what others say may have more in it.
        return { ...(sight ?? NOTHING), node, name: nameOf(node), isReachable: sight !== undefined };
      }),
    );
  }

  #look(flow: FlowTuple, handle: number | undefined): FlowSight {
    const { native, replica } = this.#config;
    const troubles: string[] = [];
    const attempt = <T>(look: () => T | undefined): T | null => {
      try {
        return look() ?? null;
      } catch (error) {
        troubles.push(error instanceof Error ? error.message : String(error));
        return null;
      }
    };
    const known = handle === undefined ? null : attempt(() => native.flowLook.known(handle, flow));
    const connection = attempt(() => native.flowLook.connection(flow));
    const kept = attempt(() => replica(flow));
    return {
      knows: known && withoutFlow(knownSight(known)),
      connection: connection && connectionSight(connection),
      replica: kept && { from: kept.from, connection: connectionSight(kept.connection) },
      trouble: troubles.length === 0 ? null : troubles.join("; ").slice(0, 512),
    };
  }

  #ask(node: number, flow: FlowTuple): Promise<FlowSight | undefined> {
    const id = this.#nextId;
    this.#nextId = (this.#nextId + 1) >>> 0;
    return new Promise((resolve) => {
      const answer = (sight: FlowSight | undefined): void => {
        this.#questions.delete(id);
        cancel();
        resolve(sight);
      };
      const cancel = this.#config.after(PATIENCE_MS, () => answer(undefined));
      this.#questions.set(id, { node, answer });
      this.#config.send(node, framed(KIND.asked, id, formatFlow(flow))).catch(() => answer(undefined));
    });
  }

  #hear(from: number, id: number, text: Uint8Array): void {
    const question = this.#questions.get(id);
    if (question?.node !== from) return; // too late, or nobody was asked
    question.answer(text.length > ANSWER_BYTES_MAX ? undefined : readSight(Buffer.from(text).toString("utf8")));
  }

  /** Nothing is said to what is no question: who asked shows that this node did not answer. */
  async #answer(from: number, id: number, text: Uint8Array): Promise<void> {
    if (text.length > FLOW_TEXT_CHARS_MAX || !this.#mayAnswer()) return;
    try {
      const flow = parseFlow(Buffer.from(text).toString("utf8"));
      const sight = this.#look(flow, await this.#handle());
      await this.#config.send(from, framed(KIND.told, id, JSON.stringify(sight)));
    } catch {
      // It is no flow, or one of us is gone.
    }
  }

  /** The same as long as the process lives: others' questions need not wake the ring's thread. */
  async #handle(): Promise<number | undefined> {
    if (this.#known === undefined) {
      const { flows } = await this.#config.steering();
      this.#known = { flows };
    }
    return this.#known.flows;
  }

  #mayAnswer(): boolean {
    const second = Math.floor(this.#config.now_ms() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#answersInSecond = 0;
    }
    this.#answersInSecond += 1;
    return this.#answersInSecond <= ANSWERS_PER_S;
  }
}

function withoutFlow({ flow: _, ...known }: KnownSight & { readonly flow: string }): KnownSight {
  return known as KnownSight;
}

/** Of a translated connection, by whoever knows it; the handler knows best. */
function otherNameOf(
  flow: FlowTuple,
  nodes: readonly NodeSight[],
  handler: number | null,
): { readonly flow: FlowTuple; readonly isFirst: boolean } | undefined {
  const ordered = [...nodes].sort((a, b) => Number(b.node === handler) - Number(a.node === handler));
  const connections = [
    ...ordered.map(({ connection }) => connection),
    ...ordered.map(({ replica }) => replica?.connection),
  ];
  const connection = connections.find((one) => one != null);
  if (connection == null) return undefined;
  const [original, reply] = [parseFlow(connection.original), parseFlow(connection.reply)];
  if (isSameFlow(original, reply)) return undefined;
  return isSameFlow(flow, original) ? { flow: reply, isFirst: false } : { flow: original, isFirst: true };
}

function withReplicasOf(nodes: readonly NodeSight[], alias: readonly NodeSight[]): NodeSight[] {
  return nodes.map((sight) => ({
    ...sight,
    replica: sight.replica ?? alias.find(({ node }) => node === sight.node)?.replica ?? null,
  }));
}

function knownBy(nodes: readonly NodeSight[]): { node: number; handler: number }[] {
  return nodes.flatMap(({ node, knows }) => (knows?.isHeld === true ? [{ node, handler: knows.node }] : []));
}

function framed(kind: number, id: number, text: string): Uint8Array {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(kind, 0);
  head.writeUInt32BE(id, 1);
  return Buffer.concat([head, Buffer.from(text, "utf8")]);
}

function idOf(message: Uint8Array): number {
  return Buffer.from(message.buffer, message.byteOffset, message.byteLength).readUInt32BE(1);
}
