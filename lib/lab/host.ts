// One host of the lab: a network namespace and what runs in it. Used for gateways, servers, switches and testers alike.

import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { run } from "./commands.js";

const PREFIX = "rflab-";

/**
 * Clients and servers would be machines of their own. Here they share a few cores with the gateways, so they run at a low
 * priority: load must not take the CPU from those who carry it.
 */
export function asLoad(argv: readonly string[]): string[] {
  return ["nice", "-n", "15", ...argv];
}

export class Host {
  readonly name: string;
  readonly namespace: string;

  constructor(name: string) {
    this.name = name;
    this.namespace = PREFIX + name;
  }

  async create(sysctls: Readonly<Record<string, string | number>> = {}): Promise<void> {
    await run(["ip", "netns", "add", this.namespace]);
    await this.ip(["link set lo up"]);
    await this.sysctl({
      "net/ipv6/conf/all/disable_ipv6": 1,
      "net/ipv6/conf/default/disable_ipv6": 1,
      ...sysctls,
    });
  }

  /** The namespace and its virtual interfaces end when the last process has left it. */
  async remove(): Promise<void> {
    await run(["ip", "netns", "delete", this.namespace]);
  }

  /** What the command printed; rejects when it failed. */
  async run(argv: readonly string[], input = ""): Promise<string> {
    return run(this.inside(argv), input);
  }

  /** `ip` commands without the leading `ip`, in one process. */
  async ip(lines: readonly string[]): Promise<string> {
    return run(["ip", "-netns", this.namespace, "-batch", "-"], `${lines.join("\n")}\n`);
  }

  async sysctl(values: Readonly<Record<string, string | number>>): Promise<void> {
    const script = Object.entries(values).map(([key, value]) => `echo ${value} > /proc/sys/${key}`);
    await this.run(["sh", "-e"], script.join("\n"));
  }

  /** Starts a program that goes on. `ip netns exec` replaces itself by the program, so the child's pid is the program's. */
  spawn(argv: readonly string[], options: SpawnOptions): ChildProcess {
    const [program = "", ...args] = this.inside(argv);
    return spawn(program, args, options);
  }

  inside(argv: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.namespace, ...argv];
  }

  /** Every process in the namespace, whoever started it. */
  pids(): number[] {
    const own = `net:[${statSync(`/run/netns/${this.namespace}`).ino}]`;
    return readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry))
      .filter((pid) => namespaceOf(pid) === own)
      .map(Number);
  }

  /** SIGSTOP to this process and those that it has started; every other one gets SIGKILL. */
  freeze(root: number | undefined): void {
    const frozen = new Set<number>();
    // Again until there is nobody new: one may just have started another.
    for (let news = this.pids(); news.length > 0; news = this.pids().filter((pid) => !frozen.has(pid))) {
      for (const pid of news) {
        const isOfRoot = pid === root || frozen.has(parentOf(pid));
        signal(pid, isOfRoot ? "SIGSTOP" : "SIGKILL");
        if (isOfRoot) frozen.add(pid);
      }
    }
  }

  /** SIGKILL to every process, again until none is left: one may just have started another. */
  killAll(): void {
    for (let pids = this.pids(); pids.length > 0; pids = this.pids()) {
      for (const pid of pids) signal(pid, "SIGKILL");
    }
  }
}

function signal(pid: number, name: "SIGSTOP" | "SIGKILL"): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself.
  }
}

/** 0: it has ended. */
function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return 0;
  }
}

function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined; // ended in the meantime, or a zombie
  }
}
