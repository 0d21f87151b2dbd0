// A running group of nodes of some system: starts it, kills and restarts nodes, and knows which views it has seen.

import { processCpu_s } from "../cpu.js";
import type { Fabric, FabricNode } from "./fabric.js";
import type { Member } from "./member.js";
import { now_us } from "./protocol.js";
import { processWakeups } from "./wakeups.js";

/** What is compared. One instance is one way of configuring it. */
export interface System {
  readonly name: string;
  /** Starts one node; resolves when its processes run, which is before it is a member. */
  boot(node: FabricNode, fabric: Fabric): Promise<BootedNode>;
  /** No view is later than this after a kill or a start. */
  readonly patience_ms: number;
}

export interface BootedNode {
  readonly member: Member;
  /** Every process that the node consists of. */
  readonly pids: readonly number[];
}

export class Group {
  private readonly system: System;
  private readonly fabric: Fabric;
  private readonly booted = new Map<number, BootedNode>();
  /** Per member, how many of its views have been looked at. */
  private readonly seen = new Map<Member, number>();

  constructor(system: System, fabric: Fabric) {
    this.system = system;
    this.fabric = fabric;
  }

  get nodeIds(): number[] {
    return this.fabric.nodes.map((node) => node.nodeId);
  }

  get members(): Member[] {
    return [...this.booted.values()].map((node) => node.member);
  }

  /** All nodes at once, until every member sees all of them. */
  async start(): Promise<void> {
    await Promise.all(this.fabric.nodes.map((node) => this.boot(node)));
    await this.complete();
  }

  /** SIGKILL to a node; resolves with the time until each survivor had the view of the survivors, in milliseconds. */
  async kill(nodeId: number): Promise<number[]> {
    const victim = this.booted.get(nodeId);
    this.booted.delete(nodeId);
    victim?.member.expectEnd();
    this.settle();
    const killed_us = now_us();
    for (const pid of victim?.pids ?? []) process.kill(pid, "SIGKILL");
    const survivors = [...this.booted.keys()];
    const views = await Promise.all(
      this.members.map((member) => member.seesView(survivors, this.seenBy(member), this.system.patience_ms)),
    );
    this.settle();
    return views.map((view) => (view.at_us - killed_us) / 1000);
  }

  async restart(nodeId: number): Promise<void> {
    const node = this.fabric.nodes.find((candidate) => candidate.nodeId === nodeId);
    if (node !== undefined) await this.boot(node);
    await this.complete();
  }

  /** Views that nobody asked for, since the last change that somebody did. */
  get unexpectedViews(): number {
    return this.members.reduce((sum, member) => sum + member.views.length - this.seenBy(member), 0);
  }

  /** Seconds of CPU of each node since it was started. */
  cpu_s(): number[] {
    return this.perNode(processCpu_s);
  }

  /** How often a thread of each node went to sleep of its own accord. */
  wakeups(): number[] {
    return this.perNode(processWakeups);
  }

  stop(): void {
    for (const node of this.booted.values()) {
      node.member.expectEnd();
      for (const pid of node.pids) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // It ended by itself, and its member has said why.
        }
      }
    }
    this.booted.clear();
  }

  private perNode(figureOf: (pid: number) => number): number[] {
    return [...this.booted.values()].map((node) => node.pids.reduce((sum, pid) => sum + figureOf(pid), 0));
  }

  private async boot(node: FabricNode): Promise<void> {
    this.booted.set(node.nodeId, await this.system.boot(node, this.fabric));
  }

  private async complete(): Promise<void> {
    const everyone = this.nodeIds;
    await Promise.all(
      this.members.map((member) => member.seesView(everyone, this.seenBy(member), this.system.patience_ms + 30_000)),
    );
    this.settle();
  }

  private settle(): void {
    for (const member of this.members) this.seen.set(member, member.views.length);
  }

  private seenBy(member: Member): number {
    return this.seen.get(member) ?? 0;
  }
}
