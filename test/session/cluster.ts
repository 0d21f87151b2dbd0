// Nodes of one process on loopback addresses, for tests of the public class.
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import type { RaincoreOptions } from "../../lib/session/options.js";
import { Raincore } from "../../lib/session/raincore.js";

/** A UDP port of loopback that is this test's until `release`, whatever runs beside it: the reservation itself takes the address 127.0.0.1. */
export async function reservePort(): Promise<{ readonly port: number; readonly release: () => void }> {
  const socket = createSocket("udp4").unref();
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return { port: socket.address().port, release: () => socket.close() };
}

type Base = Omit<RaincoreOptions, "nodeId" | "addresses" | "peers" | "port"> & { readonly port: number };

export class Cluster {
  readonly #nodeIds: readonly number[];
  readonly #base: Base;
  readonly #running = new Set<Raincore>();
  readonly #releasePort: () => void;

  private constructor(nodes: number, base: Base, releasePort: () => void) {
    this.#nodeIds = Array.from({ length: nodes }, (_, index) => index + 1);
    this.#base = base;
    this.#releasePort = releasePort;
  }

  static async of(nodes: number, change: Partial<Omit<RaincoreOptions, "port">> = {}): Promise<Cluster> {
    const { port, release } = await reservePort();
    // Tests share the machine with others: patience, and no priority over them.
    const base: Base = {
      cluster: "test",
      clusterKey: randomBytes(32),
      port,
      failoverTarget_ms: 3000,
      startupWait_ms: 3000,
      realtime: "off",
      rehearsal: false,
      ...change,
    };
    return new Cluster(nodes, base, release);
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
    this.#releasePort();
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
