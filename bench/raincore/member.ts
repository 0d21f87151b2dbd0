// The harness's end of one member process: its commands, its reports, the views it has seen.

import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { RainfrontError } from "../../lib/errors.js";
import { waitFor } from "../../lib/lab/waiting.js";
import { formatCommand, type MemberCommand, parseEvent, type RunReport, type ViewReport } from "./protocol.js";

export class Member {
  readonly nodeId: number;
  /** In the order in which this member saw them. */
  readonly views: ViewReport[] = [];
  private readonly child: ChildProcess;
  private preparedRun = 0;
  private report: RunReport | undefined;
  private failure: string | undefined;
  private killed = false;

  /** The child's stdin and stdout are pipes. */
  constructor(nodeId: number, child: ChildProcess) {
    this.nodeId = nodeId;
    this.child = child;
    child.stdin?.on("error", () => {}); // it ended; its last words tell why
    child.on("error", (error) => this.fail(error.message));
    child.on("exit", (code, signal) => this.fail(`it ended (${signal ?? `status ${code}`})`));
    if (child.stdout !== null) createInterface(child.stdout).on("line", (line) => this.take(line));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  send(command: MemberCommand): void {
    this.child.stdin?.write(formatCommand(command));
  }

  async prepared(run: number): Promise<void> {
    await this.until(`node ${this.nodeId} prepares a run`, 10_000, () => (this.preparedRun === run ? true : undefined));
  }

  async done(run: number, deadline_ms: number): Promise<RunReport> {
    return this.until(`node ${this.nodeId} delivers everything`, deadline_ms, () =>
      this.report?.run === run ? this.report : undefined,
    );
  }

  /** The first view of exactly these members that was reported after the given number of views. */
  async seesView(members: readonly number[], after: number, deadline_ms: number): Promise<ViewReport> {
    const wanted = [...members].sort((a, b) => a - b).join();
    return this.until(`node ${this.nodeId} sees the view of ${wanted}`, deadline_ms, () =>
      this.views.slice(after).find((view) => [...view.members].sort((a, b) => a - b).join() === wanted),
    );
  }

  /** From now on its end is no failure. */
  expectEnd(): void {
    this.killed = true;
  }

  private async until<T>(what: string, deadline_ms: number, ask: () => T | undefined): Promise<T> {
    return waitFor(what, { deadline_ms, poll_ms: 5 }, async () => {
      if (this.failure !== undefined) {
        throw new RainfrontError("RF_LAB_COMMAND", `member ${this.nodeId} of the bench: ${this.failure}`);
      }
      const met = ask();
      if (met !== undefined) return { met };
      return { unmet: `last view: ${this.views.at(-1)?.members.join() ?? "none"}` };
    });
  }

  private take(line: string): void {
    const event = parseEvent(line);
    switch (event.event) {
      case "view":
        this.views.push(event);
        break;
      case "prepared":
        this.preparedRun = event.run;
        break;
      case "done":
        this.report = event;
        break;
      case "failed":
        this.fail(event.why);
        break;
    }
  }

  private fail(why: string): void {
    if (!this.killed) this.failure ??= why;
  }
}
