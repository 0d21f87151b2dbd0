// One gateway between two interfaces of one tester, the loads that go through it, and what runs on it. Used by singleGateway.ts and flows.

import { run } from "../lib/lab/commands.js";
import { Host } from "../lib/lab/host.js";
import { LAB_OFFLOADS } from "../lib/lab/offloads.js";
import { testhostProgram } from "../lib/lab/paths.js";
import { stolen_ns } from "./cpu.js";
import { Helper } from "./helper.js";

export const SOURCE = "192.0.2.5";
export const DESTINATION = "10.77.0.20";
/** RFC 2544. */
export const MANY_SOURCES = "198.18.0.0";
export const LEFT_MAC = "06:00:00:00:01:05";
export const EXT_MAC = "06:00:00:00:01:01";
const INT_MAC = "06:00:00:00:02:01";
const SINK_MAC = "06:00:00:00:02:05";

const FIREWALL = `
table inet bench {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct state new meta l4proto { tcp, udp } th dport { 9, 10 } accept
  }
}
`;

/** Where the generator in the kernel runs, and with it all that it sets going. */
const LIVE_CPU = 0;

/** The generator makes so many frames at a time, and goes on when they have gone their way (testhost/live). */
export const LIVE_BATCH = 64;

export type LiveKind = "udp" | "udp-answered" | "tcp-syn" | "tcp-ack" | "tcp-handshake";

/** One packet of each flow of a batch, then the next of each, and then those of further flows. */
export interface LiveStream {
  readonly kind: LiveKind;
  readonly flows: number;
  readonly firstFlow?: number;
}

export interface LiveLoad extends LiveStream {
  readonly destinationMac: string;
  readonly sourceMac?: string;
  readonly countAt: "left" | "right";
  /** So many frames of these, for each one of the others. */
  readonly beside?: LiveStream & { readonly frames: number };
  readonly duration_ms: number;
  /** Or until so many have been sent. */
  readonly frames?: number;
}

interface StreamFigures {
  readonly sent: number;
  readonly received: number;
  /** The whole way of its frames. */
  readonly elapsed_ms: number;
}

interface LiveFigures extends StreamFigures {
  readonly streams: readonly [StreamFigures, StreamFigures];
}

export interface LiveMeasurement extends LiveFigures {
  readonly busy_ns: number;
}

export class Testbed {
  readonly tester = new Host("tester");
  readonly gateway = new Host("gw");

  async build(): Promise<void> {
    await this.tester.create();
    await this.gateway.create({
      "net/ipv4/ip_forward": 1,
      "net/ipv4/conf/all/rp_filter": 2,
      "net/ipv4/conf/all/send_redirects": 0,
      "net/ipv4/conf/default/send_redirects": 0,
    });
    for (const [nic, mac, near, nearMac] of [
      ["ext0", EXT_MAC, "left", LEFT_MAC],
      ["int0", INT_MAC, "right", SINK_MAC],
    ] as const) {
      await run([
        ...["ip", "link", "add", nic, "netns", this.gateway.namespace, "address", mac, "type", "veth"],
        ...["peer", "name", near, "netns", this.tester.namespace, "address", nearMac],
      ]);
      await this.gateway.ip([`link set ${nic} up`]);
      await this.tester.ip([`link set ${near} up`]);
      // What the generator redirects into the gateway arrives only where the gateway's end polls.
      await this.gateway.run(["ethtool", "-K", nic, ...LAB_OFFLOADS, "gro", "on"]);
      await this.tester.run(["ethtool", "-K", near, ...LAB_OFFLOADS]);
    }
    await this.gateway.ip([
      "addr add 192.0.2.11/24 dev ext0",
      "addr add 10.77.0.11/24 dev int0",
      `route add ${MANY_SOURCES}/15 via ${SOURCE}`,
      `neigh add ${DESTINATION} lladdr ${SINK_MAC} dev int0 nud permanent`,
    ]);
  }

  /** By the generator in the kernel. */
  async live(load: LiveLoad): Promise<LiveMeasurement> {
    const argv = [
      ...[testhostProgram(), "live", "--interface", "left", "--count-interface", load.countAt],
      ...["--source-mac", load.sourceMac ?? LEFT_MAC, "--destination-mac", load.destinationMac],
      ...["--source-ip", MANY_SOURCES, "--destination-ip", DESTINATION],
      ...streamArguments("--", load),
      ...(load.beside === undefined
        ? []
        : ["--beside", String(load.beside.frames), ...streamArguments("--beside-", load.beside)]),
      ...(load.frames === undefined ? [] : ["--frames", String(load.frames)]),
      ...["--duration-ms", String(load.duration_ms), "--cpu", String(LIVE_CPU)],
    ];
    const before_ns = stolen_ns(LIVE_CPU);
    const figures = JSON.parse(await this.tester.run(argv)) as LiveFigures;
    // The generator keeps its CPU, where all the rest happens in softirq, busy as long as frames are on their way; the kernel's tick does not see what of that is whose.
    const busy_ns = figures.elapsed_ms * 1e6 - (stolen_ns(LIVE_CPU) - before_ns);
    return { ...figures, busy_ns };
  }

  /** What comes to the gateway meanwhile ends where it comes in. */
  async behindDoor<T>(measure: () => Promise<T>): Promise<T> {
    const door = await this.helper([testhostProgram(), "door", "--interface", "ext0"]);
    try {
      return await measure();
    } finally {
      await door.end();
    }
  }

  async behindFirewall<T>(measure: () => Promise<T>): Promise<T> {
    await this.gateway.run(["nft", "-f", "-"], FIREWALL);
    try {
      return await measure();
    } finally {
      await this.gateway.run(["nft", "delete", "table", "inet", "bench"]);
    }
  }

  /** A program in the gateway's namespace. */
  helper(argv: readonly string[]): Promise<Helper> {
    return Helper.start(this.gateway, argv);
  }
}

function streamArguments(prefix: string, { kind, flows, firstFlow = 0 }: LiveStream): string[] {
  return [`${prefix}kind`, kind, `${prefix}flows`, String(flows), `${prefix}first-flow`, String(firstFlow)];
}
