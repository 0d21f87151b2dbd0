// One gateway between two interfaces of one tester, and the ways of forwarding that are compared on it.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { callControl } from "../lib/api/controlClient.js";
import type { GatewayStatus } from "../lib/api/controlProtocol.js";
import { RainfrontError } from "../lib/errors.js";
import { run } from "../lib/lab/commands.js";
import { Host } from "../lib/lab/host.js";
import { LAB_OFFLOADS } from "../lib/lab/offloads.js";
import { DAEMON_PROGRAM, ROOT, testhostProgram } from "../lib/lab/paths.js";
import { waitFor } from "../lib/lab/waiting.js";
import { frontMac } from "../lib/steering/frontMac.js";
import { machineBusy_ns, stolen_ns } from "./cpu.js";

const RELAY_PROGRAM = join(ROOT, "dist/bench/relayPort.js");

const CLUSTER = "bench";
const SOURCE = "192.0.2.5";
const DESTINATION = "10.77.0.20";
/** RFC 2544. */
const MANY_SOURCES = "198.18.0.0";
const LEFT_MAC = "06:00:00:00:01:05";
const EXT_MAC = "06:00:00:00:01:01";
const INT_MAC = "06:00:00:00:02:01";
const SINK_MAC = "06:00:00:00:02:05";

const FIREWALL = `
table inet bench {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct state new udp dport 9 accept
  }
}
`;

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
/** Where the generator in the kernel runs, and with it all that it sets going. */
const LIVE_CPU = 0;

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

export interface LiveLoad {
  readonly flows: number;
  readonly duration_ms: number;
}

export interface Measurement extends FloodFigures {
  readonly busy_ns: number;
}

export class SingleGateway {
  readonly #tester = new Host("tester");
  readonly #gateway = new Host("gw");
  readonly #stateDir: string;

  constructor(folder: string) {
    this.#stateDir = join(folder, "gw");
  }

  async build(): Promise<void> {
    await this.#tester.create();
    await this.#gateway.create({ "net/ipv4/ip_forward": 1, "net/ipv4/conf/all/rp_filter": 2 });
    for (const [nic, mac, near, nearMac] of [
      ["ext0", EXT_MAC, "left", LEFT_MAC],
      ["int0", INT_MAC, "right", SINK_MAC],
    ] as const) {
      await run([
        ...["ip", "link", "add", nic, "netns", this.#gateway.namespace, "address", mac, "type", "veth"],
        ...["peer", "name", near, "netns", this.#tester.namespace, "address", nearMac],
      ]);
      await this.#gateway.ip([`link set ${nic} up`]);
      await this.#tester.ip([`link set ${near} up`]);
      // What the generator redirects into the gateway arrives only where the gateway's end polls.
      await this.#gateway.run(["ethtool", "-K", nic, ...LAB_OFFLOADS, "gro", "on"]);
      await this.#tester.run(["ethtool", "-K", near, ...LAB_OFFLOADS]);
    }
    await this.#gateway.ip([
      "addr add 192.0.2.11/24 dev ext0",
      "addr add 10.77.0.11/24 dev int0",
      `route add ${MANY_SOURCES}/15 via ${SOURCE}`,
      `neigh add ${DESTINATION} lladdr ${SINK_MAC} dev int0 nud permanent`,
    ]);
    await this.#tester.run(["nft", "-f", "-"], SINK);
  }

  /** The sender alone: frames are dropped where they enter the gateway. */
  async sendOnly(duration_ms: number): Promise<Measurement> {
    await this.#gateway.run(["nft", "-f", "-"], DOOR);
    const figures = await this.#flood({ destinationMac: EXT_MAC, duration_ms, isCounted: false });
    await this.#gateway.run(["nft", "delete", "table", "netdev", "bench"]);
    return figures;
  }

  kernel(duration_ms: number): Promise<Measurement> {
    return this.#flood({ destinationMac: EXT_MAC, duration_ms });
  }

  async kernelWithFirewall(duration_ms: number): Promise<Measurement> {
    return this.#behindFirewall(() => this.kernel(duration_ms));
  }

  /** The generator in the kernel alone: its packets end at the gateway's NIC. */
  async liveDoor(load: LiveLoad): Promise<Measurement> {
    const door = await this.#helper([testhostProgram(), "door", "--interface", "ext0"]);
    try {
      return await this.#live(EXT_MAC, "right", load);
    } finally {
      await door.end();
    }
  }

  liveKernel(load: LiveLoad): Promise<Measurement> {
    return this.#live(EXT_MAC, "right", load);
  }

  async liveFirewall(load: LiveLoad): Promise<Measurement> {
    return this.#behindFirewall(() => this.#live(EXT_MAC, "right", load));
  }

  /** Every packet goes to another node of the layer, by the NIC that it came in by. */
  async liveRelay(load: LiveLoad): Promise<Measurement> {
    const mac = frontMac(CLUSTER, "external", 1);
    const port = await this.#helper([process.execPath, RELAY_PROGRAM, "xdp", "ext0", mac, "ext0"]);
    try {
      return await this.#live(mac, "left", load);
    } finally {
      await port.end();
    }
  }

  /** The same by packet rings, whose thread has a CPU of its own: the sender is a program, as in the rows of the daemon. */
  async ringRelay({ flows, duration_ms }: LiveLoad): Promise<Measurement> {
    const mac = frontMac(CLUSTER, "external", 1);
    const [inner, outer] = ["bench-inner", "bench-outer"];
    await this.#gateway.ip([
      `link add ${inner} type veth peer name ${outer}`,
      `link set ${inner} up`,
      `link set ${outer} up`,
    ]);
    // As the daemon does where frames go by packet rings.
    await this.#gateway.run(["ethtool", "-K", "ext0", "gro", "off"]);
    const port = await this.#helper([process.execPath, RELAY_PROGRAM, "af_packet", "ext0", mac, outer]);
    try {
      return await this.#flood({ destinationMac: mac, duration_ms, flows, source: MANY_SOURCES, countAt: "left" });
    } finally {
      await port.end();
      await this.#gateway.run(["ethtool", "-K", "ext0", "gro", "on"]);
      await this.#gateway.ip([`link del ${inner}`]);
    }
  }

  async #live(destinationMac: string, countInterface: string, { flows, duration_ms }: LiveLoad): Promise<Measurement> {
    const argv = [
      ...[testhostProgram(), "live", "--interface", "left", "--count-interface", countInterface],
      ...["--source-mac", LEFT_MAC, "--destination-mac", destinationMac],
      ...["--source-ip", MANY_SOURCES, "--destination-ip", DESTINATION],
      ...["--flows", String(flows), "--duration-ms", String(duration_ms), "--cpu", String(LIVE_CPU)],
    ];
    const before_ns = stolen_ns(LIVE_CPU);
    const figures = JSON.parse(await this.#tester.run(argv)) as FloodFigures;
    // The generator keeps its CPU, where all the rest happens in softirq, busy to the end; the kernel's tick does not see what of that is whose.
    const busy_ns = figures.elapsed_ms * 1e6 - (stolen_ns(LIVE_CPU) - before_ns);
    return { ...figures, stalls: 0, busy_ns };
  }

  /** A program in the gateway's namespace that says one line when it is ready, and ends with its input. */
  async #helper(argv: readonly string[]): Promise<{ readonly end: () => Promise<void> }> {
    const child = this.#gateway.spawn(argv, { stdio: ["pipe", "pipe", "inherit"] });
    const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
    const ready = await Promise.race([
      new Promise<boolean>((resolve) => child.stdout?.once("data", () => resolve(true))),
      ended.then(() => false),
    ]);
    if (!ready) throw new RainfrontError("RF_LAB_COMMAND", `${argv.join(" ")} ended before it was ready`);
    return {
      end: () => {
        child.stdin?.end();
        return ended;
      },
    };
  }

  /** Rainfront in front of the same firewall; with the drops that it counted, by cause. */
  async rainfront(duration_ms: number): Promise<Measurement & { readonly drops: Record<string, number> }> {
    const daemon = this.#startDaemon();
    try {
      await this.#ready();
      const before = dropsOf(await this.#status());
      const figures = await this.#behindFirewall(() =>
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

  async #behindFirewall(measure: () => Promise<Measurement>): Promise<Measurement> {
    await this.#gateway.run(["nft", "-f", "-"], FIREWALL);
    try {
      return await measure();
    } finally {
      await this.#gateway.run(["nft", "delete", "table", "inet", "bench"]);
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
    await this.#tester.run(["nft", "reset", "counter", "netdev", "sink", "received"]);
    const before_ns = machineBusy_ns();
    const figures = JSON.parse(await this.#tester.run(argv)) as FloodFigures;
    const busy_ns = machineBusy_ns() - before_ns;
    return { ...figures, received: await this.#arrived(), busy_ns };
  }

  async #arrived(): Promise<number> {
    const listing = await this.#tester.run(["nft", "list", "counter", "netdev", "sink", "received"]);
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
    return this.#gateway.spawn(argv, { stdio: ["ignore", "inherit", "inherit"] });
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
