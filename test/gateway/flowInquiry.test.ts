// What nodes find out together of a flow: each test's nodes are in this process, over a network that the test holds.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FLOWS_DEFAULT } from "../../lib/api/flowProtocol.js";
import { RainfrontError } from "../../lib/errors.js";
import { formatFlow, isSameFlow, parseFlow } from "../../lib/flows/flowText.js";
import { FlowInquiry, type FlowInquiryConfig, type Steering } from "../../lib/gateway/flowInquiry.js";
import type { FlowTuple, KnownConnection, KnownFlow } from "../../lib/native.js";
import { MAGLEV_SLOTS } from "../../lib/steering/maglev.js";

const FLOW = "tcp 192.0.2.7:4444 > 198.51.100.10:80";
const ANSWERS = "tcp 10.77.0.20:80 > 10.77.0.1:1025";
const NAMES = [1, 2, 3].map((id) => ({ id, name: `gw${id}` }));

interface Knowledge {
  readonly known?: readonly KnownFlow[];
  readonly connections?: readonly KnownConnection[];
  readonly replicas?: readonly { readonly from: number; readonly connection: KnownConnection }[];
  readonly firewallFails?: boolean;
  readonly portOwner?: number;
}

/** The authority of FLOW is node 2, of ANSWERS node 3, of all else node 1. */
const slotOf = (flow: FlowTuple): number => [FLOW, ANSWERS].findIndex((text) => isSameFlow(parseFlow(text), flow)) + 1;

class Network {
  readonly inquiries = new Map<number, FlowInquiry>();
  /** Of questions that wait for answers. */
  readonly patiences = new Set<() => void>();
  readonly sent: { readonly from: number; readonly to: number; readonly bytes: Uint8Array }[] = [];
  /** Whoever is silent reads nothing; who is gone takes nothing. */
  silent = new Set<number>();
  gone = new Set<number>();
  now_ms = 0;

  constructor(knowledge: Readonly<Record<number, Knowledge>>, steering: Partial<Steering> = {}, more: object = {}) {
    for (const { id } of NAMES)
      this.inquiries.set(id, new FlowInquiry(this.#configOf(id, knowledge[id] ?? {}, steering, more)));
  }

  #configOf(id: number, knowledge: Knowledge, steering: Partial<Steering>, more: object): FlowInquiryConfig {
    const slots = new Uint16Array(MAGLEV_SLOTS).fill(1);
    slots.set([1, 2, 3]);
    const config = {
      nodes: NAMES,
      node: NAMES[id - 1],
      assignment: "receiver",
      stickiness: "none",
      services: [],
      keepConnections: true,
    };
    const of = <T extends { readonly flow: FlowTuple }>(all: readonly T[] | undefined, flow: FlowTuple) =>
      all?.find((one) => isSameFlow(one.flow, flow));
    const native = {
      flowLook: {
        slot: slotOf,
        portOwner: () => knowledge.portOwner ?? 0,
        known: (_: number, flow: FlowTuple) => of(knowledge.known, flow),
        connection: (flow: FlowTuple) => {
          if (knowledge.firewallFails) throw new Error("no netlink");
          return knowledge.connections?.find((one) => isSameFlow(one.original, flow) || isSameFlow(one.reply, flow));
        },
        list: async (_: number, { node, flows_max }: { node?: number; flows_max: number }) => ({
          flows: (knowledge.known ?? []).filter((one) => node === undefined || one.node === node).slice(0, flows_max),
          counts: [{ node: 1, flows: knowledge.known?.length ?? 0 }],
        }),
      },
    };
    return {
      config: { ...config, ...more } as unknown as FlowInquiryConfig["config"],
      native: native as unknown as FlowInquiryConfig["native"],
      steering: async () => ({
        epoch: 7,
        members: [1, 2, 3],
        ready: [1, 2, 3],
        slots,
        hashKey: new Uint8Array(16),
        flows: 1,
        ...steering,
      }),
      replica: (flow) => knowledge.replicas?.find((one) => isSameFlow(one.connection.original, flow)),
      send: async (to, bytes) => {
        if (this.gone.has(to)) throw new Error("not delivered");
        this.sent.push({ from: id, to, bytes });
        if (!this.silent.has(to)) this.inquiries.get(to)?.receive(id, bytes);
      },
      now_ms: () => this.now_ms,
      after: (_, act) => {
        this.patiences.add(act);
        return () => this.patiences.delete(act);
      },
    };
  }

  explain(flow: string) {
    return (this.inquiries.get(1) as FlowInquiry).explain({ flow });
  }

  /** All others that were asked have had their time. */
  loseAllPatience(): void {
    for (const act of this.patiences) act();
  }
}

const known = (flow: string, node: number, more: Partial<KnownFlow> = {}): KnownFlow => ({
  flow: parseFlow(flow),
  node,
  epoch: 7,
  place: "established",
  life: "stream",
  isHeld: true,
  isAnswered: true,
  isAlias: false,
  isGuessed: false,
  idle_ms: 1200,
  ...more,
});
const connectionOf = (original: string, reply: string): KnownConnection => ({
  original: parseFlow(original),
  reply: parseFlow(reply),
  state: "established",
  isAssured: true,
  timeout_s: 432_000,
});
const plain = connectionOf(FLOW, "tcp 198.51.100.10:80 > 192.0.2.7:4444");
const translated = connectionOf(FLOW, ANSWERS);
/** Until all that is under way has been read. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("a flow is explained", () => {
  test("by its port, where that is of a node's part of a range, and its copy is looked for by the hash", async () => {
    const network = new Network({
      1: { portOwner: 3, known: [known(FLOW, 3)] },
      2: { replicas: [{ from: 3, connection: plain }] },
      3: { known: [known(FLOW, 3)] },
    });
    const { slot, authority, handler, why } = await network.explain(FLOW);
    assert.deepEqual([slot, authority, handler], [null, 3, 3]);
    assert.match(why, /its authority, gw3, handles it itself/);
  });

  test("by the policy of its service", async () => {
    const services = [
      { address: "198.51.100.10", protocol: "tcp", port: 80, assignment: "balanced", stickiness: "none" },
    ];
    const network = new Network({ 1: {}, 2: {}, 3: {} }, {}, { services });
    const { policy, why } = await network.explain(FLOW);
    assert.equal(policy, "balanced");
    assert.match(why, /a node by its share \(assignment: balanced\)/);
    assert.equal((await network.explain("tcp 192.0.2.7:4444 > 198.51.100.10:81")).policy, "receiver");
  });

  test("by what nodes remember, though new ones of its service go by the hash", async () => {
    const services = [{ address: "198.51.100.10", assignment: "authority", stickiness: "none" }];
    const network = new Network(
      { 1: {}, 2: { known: [known(FLOW, 3)] }, 3: { known: [known(FLOW, 3)] } },
      {},
      { services },
    );
    const { policy, handler } = await network.explain(FLOW);
    assert.deepEqual([policy, handler], ["authority", 3]);
  });

  test("by what all nodes know of it", async () => {
    const network = new Network({
      1: { known: [known(FLOW, 3)] },
      2: { known: [known(FLOW, 3)], replicas: [{ from: 3, connection: plain }] },
      3: { known: [known(FLOW, 3)], connections: [plain] },
    });
    const { nodes, ...explanation } = await network.explain("tcp 198.51.100.10:80 > 192.0.2.7:4444");
    assert.deepEqual(explanation, {
      flow: "tcp 198.51.100.10:80 > 192.0.2.7:4444",
      policy: "receiver",
      epoch: 7,
      slot: 1,
      authority: 2,
      handler: 3,
      why: "its authority, gw2, says so, as of view 7",
      alias: null,
      backup: { node: 2, hasReplica: true },
    });
    assert.deepEqual(
      nodes.map(({ name, isReachable, knows, connection, replica }) => [
        name,
        isReachable,
        knows?.node,
        connection?.state,
        replica?.from,
      ]),
      [
        ["gw1", true, 3, undefined, undefined],
        ["gw2", true, 3, undefined, 3],
        ["gw3", true, 3, "established", undefined],
      ],
    );
    assert.equal(network.patiences.size, 0);
  });

  for (const asked of [FLOW, ANSWERS]) {
    test(`with the other name of its connection, asked as ${asked}`, async () => {
      const network = new Network({
        1: { known: [known(FLOW, 1), known(ANSWERS, 1, { isAlias: true })], connections: [translated] },
        2: { known: [known(FLOW, 1)], replicas: [{ from: 1, connection: translated }] },
        3: { known: [known(ANSWERS, 1, { isAlias: true })] },
      });
      const { authority, handler, alias, backup, nodes } = await network.explain(asked);
      const isFirst = asked !== FLOW;
      assert.equal(handler, 1);
      assert.equal(authority, isFirst ? 3 : 2);
      assert.deepEqual(alias, {
        flow: isFirst ? FLOW : ANSWERS,
        isFirst,
        slot: isFirst ? 1 : 2,
        authority: isFirst ? 2 : 3,
        knownBy: [
          { node: 1, handler: 1 },
          { node: isFirst ? 2 : 3, handler: 1 },
        ],
      });
      // The copy is kept by the name of the first packets, and its authority has it.
      assert.deepEqual(backup, { node: 2, hasReplica: true });
      assert.equal(nodes[1]?.replica?.from, 1);
    });
  }

  test("with who would take it over where its authority handles it itself", async () => {
    const network = new Network({ 2: { known: [known(FLOW, 2)], connections: [plain] } }, { ready: [1, 2] });
    assert.deepEqual((await network.explain(FLOW)).backup, { node: 1, hasReplica: false });
    const alone = new Network({ 2: { known: [known(FLOW, 2)] } }, { ready: [2] });
    assert.equal((await alone.explain(FLOW)).backup, null);
    const notKept = new Network({ 2: { known: [known(FLOW, 2)] } }, {}, { keepConnections: false });
    assert.equal((await notKept.explain(FLOW)).backup, null);
  });

  test("from the slots alone where the hash decides", async () => {
    const network = new Network({}, { flows: undefined }, { assignment: "authority" });
    const { handler, authority, why, nodes } = await network.explain(FLOW);
    assert.deepEqual([handler, authority, why], [2, 2, "the hash names it (assignment: authority)"]);
    assert.ok(nodes.every(({ knows, isReachable }) => knows === null && isReachable));
  });

  test("also where nobody is in a group", async () => {
    const network = new Network({}, { members: [], slots: new Uint16Array(0), hashKey: undefined });
    const { handler, authority, slot, nodes } = await network.explain(FLOW);
    assert.deepEqual([handler, authority, slot], [null, null, null]);
    assert.deepEqual(
      nodes.map(({ node }) => node),
      [1],
    );
  });

  test("without those that are gone or say nothing, who are shown as such; what they say later is nobody's", async () => {
    const network = new Network({ 1: { known: [known(FLOW, 1)] }, 3: { known: [known(FLOW, 3)] } });
    network.gone.add(2);
    network.silent.add(3);
    const explaining = network.explain(FLOW);
    await turn();
    network.loseAllPatience();
    const { nodes, handler, why } = await explaining;
    assert.deepEqual(
      nodes.map(({ isReachable }) => isReachable),
      [true, false, false],
    );
    assert.equal(handler, 1);
    assert.match(why, /its authority, gw2, did not answer/);
    const question = network.sent.find(({ to }) => to === 3);
    assert.ok(question);
    network.silent.clear();
    network.inquiries.get(3)?.receive(1, question.bytes);
    await turn();
  });

  test("with what kept a node from looking", async () => {
    const network = new Network({ 2: { firewallFails: true, known: [known(FLOW, 2)] } });
    const { nodes, handler } = await network.explain(FLOW);
    assert.equal(handler, 2);
    assert.equal(nodes[1]?.trouble, "no netlink");
  });

  test("not if it is none", async () => {
    const network = new Network({});
    const isUsage = (error: unknown) => error instanceof RainfrontError && error.code === "RF_USAGE";
    await assert.rejects(network.explain("tcp 192.0.2.7 > 192.0.2.8"), isUsage);
    assert.deepEqual(network.sent, []);
  });
});

describe("other nodes' words", () => {
  const framed = (kind: number, id: number, text: string) =>
    Buffer.concat([Buffer.of(kind, 0, 0, 0, id), Buffer.from(text)]);

  test("say nothing of who they are, nor to a terminal", async () => {
    const network = new Network({});
    network.silent = new Set([2, 3]);
    const explaining = network.explain(FLOW);
    await turn();
    const inquiry = network.inquiries.get(1) as FlowInquiry;
    const [toTwo, toThree] = network.sent.map(({ bytes }) => bytes[4] ?? 0);
    const sight = { knows: null, connection: null, replica: null, trouble: "a\u001b[2Jb" };
    const odd = { ...plain, original: FLOW, reply: FLOW, state: "\u001b[2J" };
    inquiry.receive(2, framed(8, toTwo ?? 0, JSON.stringify({ ...sight, node: 1, name: "gw9", isReachable: false })));
    inquiry.receive(3, framed(8, toThree ?? 0, JSON.stringify({ ...sight, connection: odd })));
    const [, two, three] = (await explaining).nodes;
    assert.deepEqual([two?.node, two?.name, two?.isReachable, two?.trouble], [2, "gw2", true, "a [2Jb"]);
    assert.equal(three?.isReachable, false);
  });

  test("are not taken from who was not asked, nor when they are not understood", async () => {
    const network = new Network({ 2: { known: [known(FLOW, 2)] } });
    network.silent = new Set([2, 3]);
    const explaining = network.explain(FLOW);
    await turn();
    const [, toThree] = network.sent;
    assert.ok(toThree);
    const inquiry = network.inquiries.get(1) as FlowInquiry;
    const empty = JSON.stringify({ knows: null, connection: null, replica: null, trouble: null });
    const id = toThree.bytes[4] ?? 0;
    assert.ok(inquiry.receive(2, framed(8, id, empty)));
    assert.equal(network.patiences.size, 2);
    const hostile = { from: 2, connection: { ...plain, original: "tcp nonsense", reply: FLOW } };
    assert.ok(inquiry.receive(3, framed(8, id, JSON.stringify({ ...JSON.parse(empty), replica: hostile }))));
    assert.equal(network.patiences.size, 1);
    assert.ok(inquiry.receive(2, framed(8, id - 1, `${empty}${" ".repeat(9000)}`)));
    const { nodes } = await explaining;
    assert.deepEqual(
      nodes.map(({ isReachable }) => isReachable),
      [true, false, false],
    );
  });

  test("that are others' business, or cut off, or no flow's, are not answered", async () => {
    const network = new Network({});
    const inquiry = network.inquiries.get(1) as FlowInquiry;
    for (const kind of [1, 2, 3, 4, 5, 6]) assert.equal(inquiry.receive(2, Buffer.of(kind, 0, 0, 0, 1)), false);
    assert.equal(inquiry.receive(2, Buffer.alloc(0)), false);
    assert.ok(inquiry.receive(2, Buffer.of(7, 0)));
    assert.ok(inquiry.receive(2, framed(7, 1, "tcp nonsense")));
    assert.ok(inquiry.receive(2, framed(7, 1, `tcp ${" ".repeat(200)}`)));
    await turn();
    assert.deepEqual(network.sent, []);
  });

  test("are answered so often in a second, and no more", async () => {
    const network = new Network({});
    const inquiry = network.inquiries.get(1) as FlowInquiry;
    const flood = async () => {
      for (let i = 0; i < 200; i++) inquiry.receive(2, framed(7, i, FLOW));
      await turn();
    };
    await flood();
    assert.equal(network.sent.length, 50);
    network.now_ms = 1000;
    await flood();
    assert.equal(network.sent.length, 100);
  });

  test("are waited for by so many operators, and no more", async () => {
    const network = new Network({});
    network.silent = new Set([2, 3]);
    const explaining = Array.from({ length: 8 }, () => network.explain(FLOW));
    const isBusy = (error: unknown) => error instanceof RainfrontError && error.code === "RF_CONTROL_BUSY";
    await assert.rejects(network.explain(FLOW), isBusy);
    await turn();
    network.loseAllPatience();
    await Promise.all(explaining);
    network.silent.clear();
    await network.explain(FLOW);
  });
});

test("a node's flows are listed, all or one node's", async () => {
  const network = new Network({ 1: { known: [known(FLOW, 1), known(ANSWERS, 3)] } });
  const inquiry = network.inquiries.get(1) as FlowInquiry;
  const all = await inquiry.flows({ limit: FLOWS_DEFAULT });
  assert.deepEqual(
    all.flows.map(({ flow, node }) => [flow, node]),
    [
      [FLOW, 1],
      [ANSWERS, 3],
    ],
  );
  assert.deepEqual(
    [all.node.name, all.policy, all.names["3"], all.counts],
    ["gw1", "receiver", "gw3", [{ node: 1, flows: 2 }]],
  );
  const [one, ...others] = (await inquiry.flows({ node: 3, limit: 1 })).flows;
  assert.deepEqual([one?.flow, others.length], [formatFlow(parseFlow(ANSWERS)), 0]);
  const hash = new Network({}, { flows: undefined }, { assignment: "authority" }).inquiries.get(1) as FlowInquiry;
  assert.deepEqual((await hash.flows({ limit: 5 })).flows, []);
});
