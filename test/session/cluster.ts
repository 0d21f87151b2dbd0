// Nodes of one process on loopback addresses, for tests of the public class.
import { randomBytes, randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import type { RaincoreOptions } from "../../lib/session/options.js";
import { Raincore } from "../../lib/session/raincore.js";

/** Below those that the kernel gives to whoever asks for any port: a connection from the same address could have one of these, of UDP or TCP. */
const PORTS = { first: 20_000, count: 10_000 };

/** A port of loopback that is this test's until `release`, whatever runs beside it: the reservation itself takes the UDP port of 127.0.0.1. */
export async function reservePort(): Promise<{ readonly port: number; readonly release: () => void }> {
  for (;;) {
    const port = PORTS.first + randomInt(PORTS.count);
    const socket = createSocket("udp4").unref();
    const isMine = await new Promise<boolean>((resolve) => {
      socket.once("error", () => resolve(false));
      socket.bind(port, "127.0.0.1", () => resolve(true));
    });
    if (isMine) return { port, release: () => socket.close() };
    socket.close();
  }
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
