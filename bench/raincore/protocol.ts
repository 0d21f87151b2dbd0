// How the harness drives one member of a group, whatever system it belongs to: words on its stdin, JSON lines on its stdout.
// Spoken by memberProgram.ts (Rainfront) and corosync/cpg_client.c, used by member.ts.
//
//   prepare RUN SENDERS BYTES       forget the last run; messages of this run will have so many bytes
//   go DURATION_MS WINDOW INTERVAL_US
//                                   multicast for that time, at most WINDOW own messages on their way, one each INTERVAL_US
//                                   (jittered; 0: as fast as the window allows), then one end message
//
// A member is done with a run when it has delivered the end messages of all senders. All times are CLOCK_MONOTONIC microseconds,
// a clock that all processes of the machine share.

import { RainfrontError } from "../../lib/errors.js";

export interface RunReport {
  readonly event: "done";
  readonly run: number;
  /** Own messages. */
  readonly sent: number;
  /** Messages of all members, the end messages not counted. */
  readonly delivered: number;
  /** Delivered messages that were not the sender's next one, or had other bytes than were sent. */
  readonly wrong: number;
  /** How often the system did not take an own message at once (corosync's CS_ERR_TRY_AGAIN). */
  readonly refusals: number;
  readonly started_us: number;
  readonly ended_us: number;
  /** Over the sequence of deliveries: equal on two members if they delivered the same messages in the same order. */
  readonly hash: string;
  /** From multicast to delivery here: pairs of bucket (see histogram.ts) and count. */
  readonly latency: readonly (readonly [bucket: number, count: number])[];
}

export interface ViewReport {
  readonly event: "view";
  readonly at_us: number;
  readonly members: readonly number[];
}

export type MemberEvent =
  | RunReport
  | ViewReport
  | { readonly event: "prepared"; readonly run: number }
  | { readonly event: "failed"; readonly why: string };

export interface Go {
  readonly duration_ms: number;
  readonly window: number;
  readonly interval_us: number;
}

export type MemberCommand =
  | { readonly command: "prepare"; readonly run: number; readonly senders: number; readonly bytes: number }
  | ({ readonly command: "go" } & Go);

export function formatCommand(command: MemberCommand): string {
  switch (command.command) {
    case "prepare":
      return `prepare ${command.run} ${command.senders} ${command.bytes}\n`;
    case "go":
      return `go ${command.duration_ms} ${command.window} ${command.interval_us}\n`;
  }
}

export function parseCommand(line: string): MemberCommand {
  const [word, ...rest] = line.split(" ");
  const [first = Number.NaN, second = Number.NaN, third = Number.NaN] = rest.map(Number);
  const numbers = rest.length === 3 && [first, second, third].every(Number.isSafeInteger);
  if (numbers && word === "prepare") return { command: "prepare", run: first, senders: second, bytes: third };
  if (numbers && word === "go") return { command: "go", duration_ms: first, window: second, interval_us: third };
  throw new RainfrontError("RF_INTERNAL", `unknown command for a member of the bench: ${line}`);
}

/** Both programs are ours: a line that does not parse is a bug, and is shown. */
export function parseEvent(line: string): MemberEvent {
  try {
    return JSON.parse(line) as MemberEvent;
  } catch {
    return { event: "failed", why: `it printed ${JSON.stringify(line)}` };
  }
}

/** The clock of all times in reports. */
export function now_us(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
