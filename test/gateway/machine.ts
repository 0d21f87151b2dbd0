// A machine to run the daemon on: a network namespace with the two NICs of a gateway, a state folder and a configuration.
// Needs root or user namespaces. Used by the tests beside it.

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Finding } from "../../lib/gateway/doctor.js";
import { loadNative } from "../../lib/native.js";

const MAIN = fileURLToPath(new URL("../../lib/cli/main.ts", import.meta.url));
const RAINFRONT = [process.execPath, "--import", "tsx", MAIN];
const IS_ROOT = process.geteuid?.() === 0;
const UNSHARE = ["unshare", ...(IS_ROOT ? [] : ["-r"]), "-n"];
/** Nothing here takes a tenth of it. */
const PATIENCE_MS = 20_000;

/** Why no machine can be made here; undefined when one can. */
export function obstacle(): string | undefined {
  const probe = spawnSync(UNSHARE[0] ?? "", [...UNSHARE.slice(1), "ip", "link"], { encoding: "utf8" });
  return probe.status === 0 ? undefined : `no network namespace can be made: ${probe.stderr || probe.error?.message}`;
}

/** Why no XDP program can be loaded here; undefined when one can. */
export function xdpObstacle(): string | undefined {
  const { xdp } = loadNative();
  if (xdp === undefined) return "the addon was built without clang or libbpf";
  try {
    new xdp.Pipeline({ frontMac: "02:00:00:00:00:01" });
    return undefined;
  } catch (error) {
    return String(error);
  }
}

export interface Setting {
  readonly key?: string;
  readonly backend?: string;
  /** Below the machine's folder. */
  readonly state?: string;
  /** With an IPv6 VIP on each segment. */
  readonly ipv6?: boolean;
}

export class Machine {
  readonly folder = mkdtempSync(join(tmpdir(), "rft-machine-"));
  readonly #holder: ChildProcess;
  readonly #daemons: DaemonProcess[] = [];
  readonly #node: number;

  private constructor(holder: ChildProcess, node: number) {
    this.#holder = holder;
    this.#node = node;
  }

  /** One gateway; its NICs' other ends are on the same machine. */
  static async create(): Promise<Machine> {
    const machine = await Machine.#bare(UNSHARE, 1);
    machine.ip("link add ext0 type veth peer name wire0", "link add int0 type veth peer name wire1");
    machine.ip("link set wire0 up", "link set wire1 up");
    machine.#address();
    return machine;
  }

  /** Two gateways, cabled to each other. */
  static async pair(): Promise<readonly [Machine, Machine]> {
    const first = await Machine.#bare(UNSHARE, 1);
    const second = await Machine.#bare([...first.#enter(), "unshare", "-n"], 2);
    for (const nic of ["ext0", "int0"])
      first.ip(`link add ${nic} type veth peer name ${nic} netns ${second.#holder.pid}`);
    first.#address();
    second.#address();
    return [first, second];
  }

  /** A namespace that lives until its holder's input ends. */
  static async #bare(command: readonly string[], node: number): Promise<Machine> {
    const script = "ip link set lo up && echo ready && exec cat";
    const holder = spawn(command[0] ?? "", [...command.slice(1), "sh", "-c", script], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    return new Machine(holder, node);
  }

  #address(): void {
    this.ip(
      `address add 192.0.2.1${this.#node}/24 dev ext0`,
      `address add 10.77.0.1${this.#node}/24 dev int0`,
      "link set ext0 up",
      "link set int0 up",
    );
  }

  #enter(): string[] {
    return ["nsenter", "-t", String(this.#holder.pid), ...(IS_ROOT ? [] : ["-U", "--preserve-credentials"]), "-n"];
  }

  #run(command: readonly string[], input = ""): string {
    const [program = "", ...args] = [...this.#enter(), ...command];
    return execFileSync(program, args, { input, encoding: "utf8" });
  }

  ip(...lines: readonly string[]): void {
    this.#run(["ip", "-batch", "-"], `${lines.join("\n")}\n`);
  }

  /** What others redirect into its cables arrives: it polls them. When both their ends are up. */
  polls(): void {
    for (const nic of ["ext0", "int0"]) this.#run(["ethtool", "-K", nic, "gro", "on"]);
  }

  sysctl(key: string, value?: string, family: "ipv4" | "ipv6" = "ipv4"): string {
    const path = `/proc/sys/net/${family}/conf/${key}`;
    if (value !== undefined) this.#run(["tee", path], value);
    return this.#run(["cat", path]).trim();
  }

  /** What the kernel knows of a neighbour: its MAC, if it answered. */
  neighborMac(address: string): string | undefined {
    const entries = JSON.parse(this.#run(["ip", "-json", "neigh", "show", "to", address]) || "[]") as readonly {
      readonly lladdr?: string;
    }[];
    return entries.find(({ lladdr }) => lladdr !== undefined)?.lladdr;
  }

  /** Whether an address answers a ping within a second. */
  pings(address: string): boolean {
    try {
      this.#run(["ping", "-n", "-c", "1", "-W", "1", address]);
      return true;
    } catch {
      return false;
    }
  }

  /** Addresses by interface. */
  addresses(): Record<string, string[]> {
    const links = JSON.parse(this.#run(["ip", "-json", "address", "show"])) as readonly {
      readonly ifname: string;
      readonly addr_info: readonly { readonly local: string }[];
    }[];
    return Object.fromEntries(links.map(({ ifname, addr_info }) => [ifname, addr_info.map(({ local }) => local)]));
  }

  /** The IPv6 groups that the kernel is in on an interface. */
  groups(nic: string): string[] {
    const [link] = JSON.parse(this.#run(["ip", "-6", "-json", "maddress", "show", "dev", nic])) as readonly {
      readonly maddr: readonly { readonly address?: string }[];
    }[];
    return (link?.maddr ?? []).flatMap(({ address }) => address ?? []);
  }

  links(): string[] {
    const links = JSON.parse(this.#run(["ip", "-json", "link"])) as readonly { readonly ifname: string }[];
    return links.map(({ ifname }) => ifname);
  }

  /** Everything that the daemon may have changed. */
  traces(): unknown {
    return {
      links: this.links().sort(),
      sysctls: this.links().flatMap((nic) => [this.sysctl(`${nic}/arp_ignore`), this.sysctl(`${nic}/arp_announce`)]),
      sockets: this.#run(["cat", "/proc/net/unix"]).match(/@rainfront.*/g) ?? [],
      programs: this.programs(),
      state: readdirSync(this.stateDir("state")),
    };
  }

  /** Whether the driver takes VLAN tags off. */
  takesTagsOff(nic: string): boolean {
    return /^rx-vlan-offload: on/m.test(this.#run(["ethtool", "-k", nic]));
  }

  takeTagsOff(nic: string): void {
    this.#run(["ethtool", "-K", nic, "rxvlan", "on"]);
  }

  /** Whether what the NIC receives may be merged. */
  mergesReceived(nic: string): boolean {
    return /^generic-receive-offload: on/m.test(this.#run(["ethtool", "-k", nic]));
  }

  mergeReceived(nic: string): void {
    this.#run(["ethtool", "-K", nic, "gro", "on"]);
  }

  /** The NIC becomes `port`, and a bridge of that port alone has its name and its address. */
  bridge(nic: "ext0", port: string): void {
    this.ip(
      `link set ${nic} down`,
      `address flush dev ${nic}`,
      `link set ${nic} name ${port}`,
      `link add ${nic} type bridge`,
      `link set ${port} master ${nic} up`,
      `address add 192.0.2.1${this.#node}/24 dev ${nic}`,
      `link set ${nic} up`,
    );
    this.mergeReceived(port);
  }

  isUp(nic: string): boolean {
    return /[<,]UP[,>]/.test(this.#run(["ip", "link", "show", "dev", nic]));
  }

  /** `rainfront down --config`: exit status, and what it printed. */
  down({ force = false, ...setting }: Setting & { readonly force?: boolean } = {}): {
    readonly status: number | null;
    readonly printed: string;
  } {
    const [program = "", ...args] = [
      ...this.#enter(),
      ...RAINFRONT,
      "down",
      "--config",
      this.#configure(setting),
      ...(force ? ["--force"] : []),
    ];
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
    return { status, printed: stdout + stderr };
  }

  /** Runs a module of these tests on this machine; what it printed. */
  runModule(name: string, setting: Setting = {}): string {
    const file = fileURLToPath(new URL(name, import.meta.url));
    return this.#run([process.execPath, "--import", "tsx", file, this.#configure(setting)]);
  }

  /** XDP programs, by NIC. */
  programs(): Record<string, string> {
    const links = JSON.parse(this.#run(["ip", "-json", "-details", "link", "show"])) as readonly {
      readonly ifname: string;
      readonly xdp?: { readonly prog?: { readonly name?: string } };
    }[];
    return Object.fromEntries(
      links.flatMap(({ ifname, xdp }) => (xdp?.prog === undefined ? [] : [[ifname, xdp.prog.name ?? "?"]])),
    );
  }

  stateDir(name: string): string {
    const path = join(this.folder, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  socket(name = "state"): string {
    return join(this.folder, name, "control.sock");
  }

  /** Each key is 32 times two hex digits. */
  writeKeys(keys: readonly string[], state = "state"): string {
    const keyFile = join(this.folder, `${state}.key`);
    writeFileSync(keyFile, keys.map((key) => `${key.repeat(32)}\n`).join(""));
    chmodSync(keyFile, 0o600);
    return keyFile;
  }

  /** Another host on the external segment has this address. */
  neighbor(address: string): void {
    this.ip(`address add ${address}/${address.includes(":") ? "128" : "32"} dev wire0 nodad`);
  }

  /** What `rainfront doctor` says of this machine. */
  doctor(setting: Setting = {}): { readonly status: number | null; readonly findings: readonly Finding[] } {
    const [program = "", ...args] = [...this.#enter(), ...RAINFRONT, "doctor", "--json", "--config"];
    const { status, stdout, stderr } = spawnSync(program, [...args, this.#configure(setting)], { encoding: "utf8" });
    if (stdout === "") throw new Error(stderr);
    return { status, findings: (JSON.parse(stdout) as { findings: readonly Finding[] }).findings };
  }

  #configure({ key = "ab", backend = "af_packet", state = "state", ipv6 = false }: Setting): string {
    const file = join(this.folder, `${state}.yaml`);
    const keyFile = this.writeKeys([key], state);
    const config = {
      ...CONFIG,
      ...(ipv6 ? IPV6 : {}),
      backend,
      node: this.#node,
      keyFile,
      stateDir: this.stateDir(state),
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
  }

  up(setting: Setting = {}): DaemonProcess {
    const [program = "", ...args] = this.#enter();
    const command = [...RAINFRONT, "up", "--config", this.#configure(setting)];
    const daemon = new DaemonProcess(spawn(program, [...args, ...command], { stdio: ["ignore", "ignore", "pipe"] }));
    this.#daemons.push(daemon);
    return daemon;
  }

  /** Resolves when a file of that name appears in the state folder. */
  async fileAppears(name: string): Promise<void> {
    const watcher = watch(this.stateDir("state"));
    await new Promise<void>((resolve) => {
      watcher.on("change", (_type, file) => {
        if (file === name) resolve();
      });
    });
    watcher.close();
  }

  async remove(): Promise<void> {
    for (const daemon of this.#daemons) await daemon.kill();
    const gone = once(this.#holder, "exit");
    this.#holder.stdin?.end();
    await gone;
    rmSync(this.folder, { recursive: true });
  }
}

export class DaemonProcess {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #lines: string[] = [];
  #onLine: () => void = () => {};

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#closed = once(child, "close");
    if (child.stderr === null) throw new Error("the daemon's stderr is a pipe");
    createInterface(child.stderr).on("line", (line) => {
      this.#lines.push(line);
      this.#onLine();
    });
    void this.#closed.then(() => this.#onLine());
  }

  /** Resolves when the daemon logged something like that, so many times. */
  async says(pattern: RegExp, times = 1): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void =>
        reject(new Error(`${why}; looked for ${pattern} in:\n${this.#lines.join("\n")}`));
      const patience = setTimeout(() => fail("no such line in time"), PATIENCE_MS);
      this.#onLine = () => {
        if (this.#lines.filter((line) => pattern.test(line)).length >= times) resolve();
        else if (this.#child.exitCode !== null) fail("the daemon ended");
        else return;
        clearTimeout(patience);
      };
      this.#onLine();
    });
  }

  said(pattern: RegExp): boolean {
    return this.#lines.some((line) => pattern.test(line));
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Exit status, and what was printed besides the log. */
  async end(): Promise<{ readonly status: number | null; readonly printed: readonly string[] }> {
    const patience = setTimeout(() => this.signal("SIGKILL"), PATIENCE_MS);
    await this.#closed;
    clearTimeout(patience);
    return { status: this.#child.exitCode, printed: this.#lines.filter((line) => !line.startsWith("{")) };
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}

const CONFIG = {
  cluster: "rft",
  // Tests share the machine: a daemon that has to wait for the processor is no fault of the group.
  failoverTarget_ms: 1000,
  nodes: [1, 2].map((id) => ({
    id,
    name: `gw${id}`,
    addresses: { external: `192.0.2.1${id}`, internal: `10.77.0.1${id}` },
  })),
  segments: {
    external: { interface: "ext0", subnet: "192.0.2.0/24" },
    internal: { interface: "int0", subnet: "10.77.0.0/24" },
  },
  vips: [
    { address: "192.0.2.101", segment: "external" },
    { address: "10.77.0.101", segment: "internal" },
  ],
};

const IPV6 = {
  segments: {
    external: { ...CONFIG.segments.external, subnet6: "2001:db8:1::/64" },
    internal: { ...CONFIG.segments.internal, subnet6: "2001:db8:2::/64" },
  },
  vips: [
    ...CONFIG.vips,
    { address: "2001:DB8:1:0::101", segment: "external" },
    { address: "2001:db8:2::101", segment: "internal" },
  ],
};
