// One gateway between two interfaces of one tester, and the ways of forwarding that are compared on it.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { callControl } from "../lib/api/controlClient.js";
import type { GatewayStatus } from "../lib/api/controlProtocol.js";
import { DAEMON_PROGRAM, testhostProgram } from "../lib/lab/paths.js";
import { waitFor } from "../lib/lab/waiting.js";
import { frontMac } from "../lib/steering/frontMac.js";
import { machineBusy_ns } from "./cpu.js";
import { CLUSTER, startSteeringPort } from "./steering.js";
import { DESTINATION, EXT_MAC, LEFT_MAC, MANY_SOURCES, SOURCE, Testbed } from "./testbed.js";

const DOOR = `
table netdev bench {
  chain door {
    type filter hook ingress device ext0 priority filter; policy drop;
  }
}
`;

/** Counts what arrives, exactly (the NIC's own counter has ARP in it), and ends it there. */
const SINK = `
table netdev sink {
  counter received { }
  chain right {
    type filter hook ingress device right priority filter; policy accept;
    udp dport 9 counter name received drop
  }
  chain left {
    type filter hook ingress device left priority filter; policy accept;
    udp dport 9 counter name received drop
  }
}
`;

/** Frames on their way at most: several of a port's blocks, and less than any queue on the way holds. */
const WINDOW = 8192;

export interface FloodFigures {
  readonly sent: number;
  readonly received: number;
  readonly elapsed_ms: number;
  readonly stalls: number;
}

interface Flood {
  readonly destinationMac: string;
  readonly duration_ms: number;
  readonly flows?: number;
  /** The first address of as many as the flows need. */
  readonly source?: string;
  readonly countAt?: "left" | "right";
  /** False: nothing arrives, and the loop is open. */
  readonly isCounted?: boolean;
}

export interface UdpLoad {
  readonly flows: number;
  readonly duration_ms: number;
}

export interface Measurement extends FloodFigures {
  readonly busy_ns: number;
}

export class SingleGateway {
  readonly #bed = new Testbed();
  readonly #stateDir: string;

  constructor(folder: string) {
    this.#stateDir = join(folder, "gw");
  }

  async build(): Promise<void> {
    await this.#bed.build();
    await this.#bed.tester.run(["nft", "-f", "-"], SINK);
  }

  /** The sender alone: frames are dropped where they enter the gateway. */
  async sendOnly(duration_ms: number): Promise<Measurement> {
    await this.#bed.gateway.run(["nft", "-f", "-"], DOOR);
    const figures = await this.#flood({ destinationMac: EXT_MAC, duration_ms, isCounted: false });
    await this.#bed.gateway.run(["nft", "delete", "table", "netdev", "bench"]);
    return figures;
  }

  kernel(duration_ms: number): Promise<Measurement> {
    return this.#flood({ destinationMac: EXT_MAC, duration_ms });
  }

  kernelWithFirewall(duration_ms: number): Promise<Measurement> {
    return this.#bed.behindFirewall(() => this.kernel(duration_ms));
  }

  /** The generator in the kernel alone: its packets end at the gateway's NIC. */
  liveDoor(load: UdpLoad): Promise<Measurement> {
    return this.#bed.behindDoor(() => this.liveKernel(load));
  }

  liveKernel(load: UdpLoad): Promise<Measurement> {
    return this.#live(EXT_MAC, "right", load);
  }

  liveFirewall(load: UdpLoad): Promise<Measurement> {
    return this.#bed.behindFirewall(() => this.liveKernel(load));
  }

  /** Every packet goes to another node of the layer, by the NIC that it came in by. */
  async liveRelay(load: UdpLoad): Promise<Measurement> {
    const mac = frontMac(CLUSTER, "external", 1);
    const port = await startSteeringPort(this.#bed.gateway, {
      backend: "xdp",
      nic: "ext0",
      outer: "ext0",
      authority: 2,
    });
    try {
      return await this.#live(mac, "left", load);
    } finally {
      await port.end();
    }
  }

  /** The same by packet rings, whose thread has a CPU of its own: the sender is a program, as in the rows of the daemon. */
  async ringRelay({ flows, duration_ms }: UdpLoad): Promise<Measurement> {
    const mac = frontMac(CLUSTER, "external", 1);
    const [inner, outer] = ["bench-inner", "bench-outer"];
    await this.#bed.gateway.ip([
      `link add ${inner} type veth peer name ${outer}`,
      `link set ${inner} up`,
      `link set ${outer} up`,
    ]);
    // As the daemon does where frames go by packet rings.
    await this.#bed.gateway.run(["ethtool", "-K", "ext0", "gro", "off"]);
    const port = await startSteeringPort(this.#bed.gateway, { backend: "af_packet", nic: "ext0", outer, authority: 2 });
    try {
      return await this.#flood({ destinationMac: mac, duration_ms, flows, source: MANY_SOURCES, countAt: "left" });
    } finally {
      await port.end();
      await this.#bed.gateway.run(["ethtool", "-K", "ext0", "gro", "on"]);
      await this.#bed.gateway.ip([`link del ${inner}`]);
    }
  }

  async #live(destinationMac: string, countAt: "left" | "right", load: UdpLoad): Promise<Measurement> {
    return { ...(await this.#bed.live({ kind: "udp", destinationMac, countAt, ...load })), stalls: 0 };
  }

  /** Rainfront in front of the same firewall; with the drops that it counted, by cause. */
  async rainfront(duration_ms: number): Promise<Measurement & { readonly drops: Record<string, number> }> {
    const daemon = this.#startDaemon();
    try {
      await this.#ready();
      const before = dropsOf(await this.#status());
      const figures = await this.#bed.behindFirewall(() =>
        this.#flood({ destinationMac: frontMac(CLUSTER, "external", 1), duration_ms }),
      );
      const after = dropsOf(await this.#status());
      const drops = Object.fromEntries(
        Object.entries(after)
          .map(([cause, count]) => [cause, count - (before[cause] ?? 0)] as const)
          .filter(([, count]) => count > 0),
      );
      return { ...figures, drops };
    } finally {
      // It takes its interfaces along, and what it changed on the NIC.
      const ended = new Promise((resolve) => daemon.once("close", resolve));
      daemon.kill("SIGTERM");
      await ended;
    }
  }

  async #flood({
    destinationMac,
    duration_ms,
    flows = 1000,
    source = SOURCE,
    countAt = "right",
    isCounted = true,
  }: Flood): Promise<Measurement> {
    const argv = [
      ...[testhostProgram(), "flood", "--interface", "left", "--source-mac", LEFT_MAC],
      ...["--destination-mac", destinationMac, "--source-ip", source, "--destination-ip", DESTINATION],
      ...["--flows", String(flows), "--duration-ms", String(duration_ms), "--window", String(WINDOW)],
      ...(isCounted ? ["--count-interface", countAt] : []),
    ];
    await this.#bed.tester.run(["nft", "reset", "counter", "netdev", "sink", "received"]);
    const before_ns = machineBusy_ns();
    const figures = JSON.parse(await this.#bed.tester.run(argv)) as FloodFigures;
    const busy_ns = machineBusy_ns() - before_ns;
    return { ...figures, received: await this.#arrived(), busy_ns };
  }

  async #arrived(): Promise<number> {
    const listing = await this.#bed.tester.run(["nft", "list", "counter", "netdev", "sink", "received"]);
    return Number(/packets (\d+)/.exec(listing)?.[1]);
  }

  #startDaemon() {
    mkdirSync(this.#stateDir, { recursive: true, mode: 0o700 });
    const keyFile = join(this.#stateDir, "cluster.key");
    writeFileSync(keyFile, `${"5a".repeat(32)}\n`, { mode: 0o600 });
    const configFile = join(this.#stateDir, "rainfront.yaml");
    writeFileSync(
      configFile,
      stringify({
        cluster: CLUSTER,
        keyFile,
        node: 1,
        nodes: [{ id: 1, name: "gw", addresses: { external: "192.0.2.11", internal: "10.77.0.11" } }],
        segments: {
          external: { interface: "ext0", subnet: "192.0.2.0/24" },
          internal: { interface: "int0", subnet: "10.77.0.0/24" },
        },
        vips: [
          { address: "192.0.2.101", segment: "external" },
          { address: "10.77.0.101", segment: "internal" },
        ],
        stateDir: this.#stateDir,
        backend: "af_packet",
        logLevel: "warn",
      }),
    );
    const argv = [process.execPath, DAEMON_PROGRAM, "up", "--config", configFile];
    return this.#bed.gateway.spawn(argv, { stdio: ["ignore", "inherit", "inherit"] });
  }

  #status(): Promise<GatewayStatus> {
    return callControl(join(this.#stateDir, "control.sock"), "status", {}, { timeout_ms: 1000 });
  }

  async #ready(): Promise<void> {
    await waitFor("the gateway's daemon is ready", { deadline_ms: 15_000 }, async () => {
      try {
        const status = await this.#status();
        const ready = status.lease.valid && status.members.some((member) => member.ready);
        return ready ? { met: true } : { unmet: `state ${status.state}` };
      } catch (error) {
        return { unmet: error instanceof Error ? error.message : String(error) };
      }
    });
  }
}

/** Drops of both ports, by cause. */
function dropsOf(status: GatewayStatus): Record<string, number> {
  const drops: Record<string, number> = {};
  for (const counters of Object.values(status.ports)) {
    for (const [name, count] of Object.entries(counters)) {
      if (name.startsWith("drop_")) drops[name] = (drops[name] ?? 0) + count;
    }
  }
  return drops;
}
