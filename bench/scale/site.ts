// A site for `bench scale`: gateways with bounded links between a client and servers, which the layer or its peer makes one. VIPs are in pairs: the first external
// and the first internal one are on one gateway, and so on; a server's default gateway is the internal VIP of its pair. Must run inside the lab's box.

import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { GatewayStatus } from "../../lib/api/controlProtocol.js";
import { waitForCluster } from "../../lib/lab/cluster.js";
import { Gateway } from "../../lib/lab/gateway.js";
import { Host } from "../../lib/lab/host.js";
import type { LabBackend, LabSettings } from "../../lib/lab/options.js";
import { STATE_ROOT } from "../../lib/lab/paths.js";
import { type LabPlan, NICS, onLink, planLab, SEGMENTS } from "../../lib/lab/plan.js";
import { Server } from "../../lib/lab/servers.js";
import { Switch } from "../../lib/lab/switch.js";
import { waitFor } from "../../lib/lab/waiting.js";
import { processCpu_s } from "../cpu.js";
import { capLink } from "./linkCap.js";

/** A machine that is full keeps nobody waiting for so long: what is measured is not how fast a death is noticed. */
const FAILOVER_TARGET_MS = 1000;
const START_DEADLINE_MS = 60_000;

/** What makes one of the gateways. */
export type System = "rainfront" | "keepalived";

export interface SiteSize {
  readonly system: System;
  readonly nodes: number;
  /** Pairs of VIPs, and a server behind each. */
  readonly pairs: number;
  readonly backend: Exclude<LabBackend, "none">;
  /** Of each of a gateway's links, in each direction. */
  readonly mbit_per_s: number;
}

/** By which external VIPs the client goes: to each server by that of its pair, or by all of them, connection by connection. */
export type Layout = "paired" | "spread";

export class ScaleSite {
  readonly plan: LabPlan;
  readonly client = new Host("client");
  readonly #size: SiteSize;
  readonly #switches = { external: new Switch("sw-ext"), internal: new Switch("sw-int") };
  readonly #servers: readonly Server[];
  readonly #gateways: readonly Gateway[];
  readonly #logFolder: string;

  private constructor(size: SiteSize, runFolder: string) {
    const { system, nodes, pairs, backend } = size;
    this.#size = size;
    this.#logFolder = join(runFolder, `${system}-${nodes}`);
    this.plan = planLab({ nodes, servers: pairs, vipPairs: pairs });
    const settings: LabSettings = {
      nodes,
      servers: pairs,
      failoverTarget_ms: FAILOVER_TARGET_MS,
      backend: system === "rainfront" ? backend : "none",
      families: [4],
      keepConnections: false,
      assignment: "receiver",
      stickiness: "none",
    };
    const keyFile = join(STATE_ROOT, "cluster.key");
    const around = { plan: this.plan, switches: this.#switches, settings, logFolder: this.#logFolder, keyFile };
    this.#gateways = this.plan.gateways.map((gateway) => new Gateway(gateway, around));
    this.#servers = this.plan.servers.map((server) => new Server(server, this.#logFolder));
    mkdirSync(STATE_ROOT, { recursive: true, mode: 0o755 });
    mkdirSync(this.#logFolder, { recursive: true, mode: 0o700 });
    writeFileSync(keyFile, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
  }

  get servers(): readonly Host[] {
    return this.#servers.map(({ host }) => host);
  }

  /** Everything runs, every VIP is where it is to be, and the links are bounded. */
  static async build(size: SiteSize, runFolder: string): Promise<ScaleSite> {
    const site = new ScaleSite(size, runFolder);
    await Promise.all(SEGMENTS.map((segment) => site.#switches[segment].power()));
    await Promise.all([site.#buildClient(), ...site.#servers.map((server, index) => site.#bootServer(server, index))]);
    await (size.system === "rainfront" ? site.#startLayer() : site.#startPeer());
    await site.#finishLinks();
    return site;
  }

  /** From now on new connections of the client go this way. */
  async route(layout: Layout): Promise<void> {
    const { vips, servers, clientAddresses } = this.plan;
    await this.client.ip(
      servers.flatMap(({ addresses }, index) => {
        const hops = layout === "paired" ? vips.external.slice(index, index + 1) : vips.external;
        const route = hops.map((vip) => `nexthop via ${vip} dev eth0`).join(" ");
        return addresses.map((address) => `route replace ${address}/32 src ${clientAddresses[0]} ${route}`);
      }),
    );
  }

  /** Of the layer's daemons; of a peer none. */
  async statuses(): Promise<readonly GatewayStatus[]> {
    if (this.#size.system !== "rainfront") return [];
    return Promise.all(this.#gateways.map((gateway) => gateway.status(5000)));
  }

  /** Seconds of CPU that the layer's daemons have used since they began. */
  daemonsCpu_s(): number {
    const pids = this.#size.system === "rainfront" ? this.#gateways.map(({ daemonPid }) => daemonPid ?? 0) : [];
    return pids.reduce((sum, pid) => sum + processCpu_s(pid), 0);
  }

  /** Takes everything away, so that another site can be built. */
  async close(): Promise<void> {
    const hosts = [
      this.client,
      ...this.servers,
      ...this.#gateways.map(({ host }) => host),
      ...SEGMENTS.map((segment) => this.#switches[segment]),
    ];
    for (const host of hosts) host.killAll();
    for (const host of hosts) await host.remove();
    rmSync(STATE_ROOT, { recursive: true, force: true });
  }

  /** Those of gateways are bounded; all NICs gather what comes, with no XDP on the gateway's NIC too. */
  async #finishLinks(): Promise<void> {
    const { mbit_per_s, system, backend } = this.#size;
    // Packet rings get what the NIC brings, and no wire brings merged frames.
    const hasRings = system === "rainfront" && backend === "af_packet";
    const ends = [this.client, ...this.servers].map((host) => gatherFrames(host, ["eth0"]));
    const nics = SEGMENTS.map((segment) => NICS[segment]);
    const gateways = hasRings ? [] : this.#gateways.map(({ host }) => gatherFrames(host, nics));
    const names = this.plan.gateways.map(({ name }) => name);
    const switches = SEGMENTS.map(async (segment) => {
      for (const name of names) await capLink(this.#switches[segment], name, mbit_per_s);
      await gatherFrames(this.#switches[segment], names);
    });
    await Promise.all([...ends, ...gateways, ...switches]);
  }

  /** It has the router's address too: a hop more would cost CPU time and tell nothing. */
  async #buildClient(): Promise<void> {
    const { client, plan } = this;
    // By ports, too: connection by connection.
    await client.create({ "net/ipv4/fib_multipath_hash_policy": 1 });
    const addresses = plan.externalRouters.map(onLink);
    await this.#switches.external.plugIn({ host: client, nic: "eth0", mac: "06:00:00:02:01:01", addresses });
    await client.ip(plan.clientAddresses.map((address) => `addr add ${address}/32 dev lo`));
    await asRealHost(client);
  }

  async #bootServer(server: Server, index: number): Promise<void> {
    await server.boot(this.#switches.internal, index, this.plan.families);
    await asRealHost(server.host);
    await server.listening();
  }

  async #startLayer(): Promise<void> {
    await Promise.all(this.#gateways.map((gateway) => gateway.boot()));
    await waitForCluster(this.#gateways, { deadline_ms: START_DEADLINE_MS }, { preferred: true });
  }

  /** One after the other: the first one is the active one, the second one its partner. */
  async #startPeer(): Promise<void> {
    for (const [index, gateway] of this.#gateways.entries()) {
      gateway.install({ kind: "keepalived", realtime: false, conntrackd: true });
      await gateway.boot();
      if (index > 0) continue;
      await waitFor(`${gateway.plan.name} is active`, { deadline_ms: START_DEADLINE_MS }, async () => {
        const has = await gateway.host.ip(["addr show"]);
        const missing = SEGMENTS.flatMap((segment) => this.plan.vips[segment]).find((vip) => !has.includes(`${vip}/`));
        return missing === undefined ? { met: true } : { unmet: `it does not have ${missing}` };
      });
    }
  }
}

/** Clients and servers send segments that the kernel cuts just before the NIC, and receive them together: what hosts do, and what saves this machine's CPU. */
async function asRealHost(host: Host): Promise<void> {
  await host.run(["ethtool", "-K", "eth0", "gso", "on", "gro", "on"]);
}

/** Interrupts of a busy NIC are this far apart, as with the drivers of real ones; else a machine that stands for all these would mostly be interrupted. */
const GATHER_NS = 1_000_000;

/** Each NIC is polled by a thread, which runs where a CPU is free: else the one on which the first frame came would poll for all, and the other would be idle. */
async function gatherFrames(host: Host, nics: readonly string[]): Promise<void> {
  const lines = nics.flatMap((nic) => [
    // A virtual NIC is polled only where it gathers, or runs XDP.
    `ethtool -K ${nic} gro on`,
    `echo ${GATHER_NS} > /sys/class/net/${nic}/gro_flush_timeout`,
    `echo 2 > /sys/class/net/${nic}/napi_defer_hard_irqs`,
    `echo 1 > /sys/class/net/${nic}/threaded`,
  ]);
  await host.run(["sh", "-e"], lines.join("\n"));
}
