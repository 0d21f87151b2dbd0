// A front port and an ordinary Linux host on one cable: the host finds the VIPs by ARP and by neighbour discovery, and the gateway's own kernel answers
// behind the port. Single frames, and tags, are tested by native/test/port_test.cc.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const NATIVE = fileURLToPath(new URL("../../lib/native.ts", import.meta.url));
const FRONT_MAC = "02:aa:bb:cc:00:01";
const VIPS = ["192.0.2.101", "2001:db8::65"];
const IS_ROOT = process.geteuid?.() === 0;
const probe = spawnSync("unshare", [...(IS_ROOT ? [] : ["-r"]), "-n", "ping", "-V"], { encoding: "utf8" });
const skip =
  probe.status === 0 ? false : `needs a network namespace and ping: ${probe.stderr}${probe.error?.message ?? ""}`;

/** Owns the VIPs named in its arguments until its input ends; handles every flow itself. */
const PORT_SCRIPT = `
  import { loadNative } from ${JSON.stringify(NATIVE)};
  const native = loadNative();
  const counters = new BigUint64Array(new SharedArrayBuffer(native.counters.length * 8));
  const port = new native.FrontPort({ backend: "af_packet", nic: "here", outer: "outer", frontMac: "${FRONT_MAC}", counters });
  port.setTables({ self: 1, members: [1], slots: new Uint16Array(65537).fill(1), hashKey: Buffer.alloc(16) });
  port.setVips(${JSON.stringify(VIPS)}.map((address) => ({ address, from_ns: 0n })));
  port.setLease(native.monotonicNow_ns() + 60_000_000_000n);
  process.stdin.resume().on("end", () => port.close());
  console.log("ready");
`;

class Namespace {
  private constructor(readonly holder: ChildProcess) {}

  static async create(inside?: Namespace): Promise<Namespace> {
    const command =
      inside === undefined ? ["unshare", ...(IS_ROOT ? [] : ["-r"]), "-n"] : [...inside.enter(), "unshare", "-n"];
    const [program = "", ...args] = [...command, "sh", "-c", "ip link set lo up && echo ready && exec cat"];
    const holder = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    await once(holder.stdout, "data");
    return new Namespace(holder);
  }

  enter(): string[] {
    return ["nsenter", "-t", String(this.holder.pid), ...(IS_ROOT ? [] : ["-U", "--preserve-credentials"]), "-n"];
  }

  run(...command: readonly string[]): string {
    const [program = "", ...args] = [...this.enter(), ...command];
    return execFileSync(program, args, { encoding: "utf8" });
  }

  sysctl(key: string, value: number): void {
    this.run("sh", "-c", `echo ${value} > /proc/sys/net/ipv4/conf/${key}`);
  }

  ip(...lines: readonly string[]): void {
    for (const line of lines) this.run("ip", ...line.split(" "));
  }
}

function address(on: Namespace, nic: string, number: number): void {
  on.ip(
    `link set ${nic} up`,
    `address add 192.0.2.${number}/24 dev ${nic}`,
    `address add 2001:db8::${number}/64 dev ${nic} nodad`,
  );
}

describe("a host on the segment", { skip }, () => {
  let gateway: Namespace;
  let host: Namespace;
  let port: ChildProcess | undefined;

  beforeEach(async () => {
    gateway = await Namespace.create();
    host = await Namespace.create(gateway);
    gateway.ip(`link add here type veth peer name there netns ${host.holder.pid}`);
    gateway.ip(
      `link add inner address ${FRONT_MAC} type veth peer name outer`,
      "link set outer up",
      "link set inner up",
    );
    for (const vip of VIPS) gateway.ip(`address add ${vip} dev inner${vip.includes(":") ? " nodad" : ""}`);
    address(gateway, "here", 1);
    address(host, "there", 5);
    gateway.sysctl("inner/rp_filter", 2);
    gateway.sysctl("here/arp_ignore", 1);
    gateway.sysctl("here/arp_announce", 2);
    const [program = "", ...args] = [
      ...gateway.enter(),
      process.execPath,
      "--import",
      "tsx",
      "--input-type=module",
      "--eval",
      PORT_SCRIPT,
    ];
    port = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    await once(port.stdout as NodeJS.ReadableStream, "data");
  });

  afterEach(() => {
    for (const child of [port, host?.holder, gateway?.holder]) child?.kill();
    port = undefined;
  });

  it("reaches VIPs of both families by the front MAC", () => {
    for (const vip of VIPS) {
      assert.match(host.run("ping", "-c", "3", "-i", "0.2", "-W", "5", vip), / 0% packet loss/, vip);
      assert.ok(host.run("ip", "neigh", "show", vip).includes(`lladdr ${FRONT_MAC}`), vip);
    }
  });
});
