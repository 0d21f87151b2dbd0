// Nodes of one process on loopback addresses, for tests of the public class.
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import type { RaincoreOptions } from "../../lib/session/options.js";
import { Raincore } from "../../lib/session/raincore.js";

/** A UDP port that nobody uses on loopback now. */
export async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(resolve));
  return port;
}

type Base = Omit<RaincoreOptions, "nodeId" | "addresses" | "peers" | "port"> & { readonly port: number };

export class Cluster {
  readonly #nodeIds: readonly number[];
  readonly #base: Base;
  readonly #running = new Set<Raincore>();

  private constructor(nodes: number, base: Base) {
    this.#nodeIds = Array.from({ length: nodes }, (_, index) => index + 1);
    this.#base = base;
  }

  static async of(nodes: number, change: Partial<Omit<RaincoreOptions, "port">> = {}): Promise<Cluster> {
    const port = await freePort();
    // Tests share the machine with others: patience, and no priority over them.
    return new Cluster(nodes, {
      cluster: "test",
      clusterKey: randomBytes(32),
      port,
      failoverTarget_ms: 3000,
      startupWait_ms: 3000,
      realtime: "off",
      rehearsal: false,
      ...change,
    });
  }

  get port(): number {
    return this.#base.port;
  }

  async start(nodeId: number, change: Partial<RaincoreOptions> = {}): Promise<Raincore> {
    const addressesOf = (id: number): string[] => [`127.0.1.${id}`, `127.0.2.${id}`];
    const raincore = await Raincore.start({
      ...this.#base,
      nodeId,
      addresses: addressesOf(nodeId),
      peers: this.#nodeIds.filter((id) => id !== nodeId).map((id) => ({ nodeId: id, addresses: addressesOf(id) })),
      ...change,
    });
    this.#running.add(raincore);
    raincore.once("close", () => this.#running.delete(raincore));
    return raincore;
  }

  /** All nodes, in one view. */
  async startAll(): Promise<Raincore[]> {
    const nodes = await Promise.all(this.#nodeIds.map((id) => this.start(id)));
    await Promise.all(nodes.map((node) => hasView(node, this.#nodeIds)));
    return nodes;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map((node) => node.close()));
  }
}

/** Resolves when a node's view has exactly these members, all ready. */
export async function hasView(node: Raincore, nodeIds: readonly number[]): Promise<void> {
  const isIt = (): boolean => {
    const members = node.view?.members ?? [];
    const ids = members.filter((member) => member.ready).map((member) => member.nodeId);
    return members.length === nodeIds.length && nodeIds.every((id) => ids.includes(id));
  };
  while (!isIt()) await new Promise((resolve) => node.once("view", resolve));
}
