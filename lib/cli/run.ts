// Reads the command line, runs the command, turns errors into one line and an exit status: 0 done, 1 refused or failed,
// 2 wrong usage. Called by main.ts.

import { Command, CommanderError, InvalidArgumentError } from "commander";
import { AWAY_MAX_MS, AWAY_MIN_MS } from "../api/controlProtocol.js";
import { FLOWS_DEFAULT, FLOWS_MAX } from "../api/flowProtocol.js";
import { RainfrontError } from "../errors.js";
import { VERSION } from "../version.js";
import { away } from "./away.js";
import { type Console, type SocketOptions, socketPathFor } from "./common.js";
import { type DoctorOptions, doctor } from "./doctor.js";
import { type DownOptions, down } from "./down.js";
import { type DrainOptions, drain } from "./drain.js";
import { explain } from "./explain.js";
import { type FlowsOptions, flows } from "./flows.js";
import { join } from "./join.js";
import { LOCK_EXIT, LOCK_GRACE_S, type LockCommandOptions, lock } from "./lock.js";
import { locks } from "./locks.js";
import { move } from "./move.js";
import { type NatRulesOptions, printNatRules } from "./natRules.js";
import { reloadKeys } from "./reloadKeys.js";
import { status } from "./status.js";
import { up } from "./up.js";

export async function run(args: readonly string[], console: Console): Promise<number> {
  let exitStatus = 0;
  const program = buildProgram(console, (value) => {
    exitStatus = value;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return exitStatus;
  } catch (error) {
    return report(error, console);
  }
}

function buildProgram(console: Console, done: (exitStatus: number) => void): Command {
  const program = new Command("rainfront")
    .description("Makes several Linux gateways behave as one firewall front layer.")
    .version(VERSION, "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: console.out, writeErr: () => {} })
    .addHelpText(
      "after",
      examples(["sudo rainfront up --config /etc/rainfront.yaml", "sudo rainfront status --watch"]),
    );

  program
    .command("up")
    .description("Run this machine as a node of the group, in the foreground, until it is told to leave.")
    .requiredOption("--config <file>", "configuration file (YAML)")
    .option("--node <id>", "which of the configured nodes this is, if the file does not say", nodeIdOf)
    .addHelpText(
      "after",
      examples(["rainfront up --config /etc/rainfront.yaml", "rainfront up --config lab.yaml --node 2"]),
    )
    .action(async (options: { config: string; node?: number }) => done(await up(options)));

  program
    .command("doctor")
    .description(
      "Look at what a node needs of this machine, and say what is wrong and how to mend it. Changes nothing.",
    )
    .requiredOption("--config <file>", "configuration file (YAML)")
    .option("--node <id>", "which of the configured nodes this is, if the file does not say", nodeIdOf)
    .option("--json", "print one JSON object instead of a table")
    .addHelpText("after", examples(["rainfront doctor --config /etc/rainfront.yaml"]))
    .action(async (options: DoctorOptions) => done(await doctor(options, console)));

  program
    .command("nat-rules")
    .description(
      "Print the nftables rules by which a node translates connections that leave to ports of its own (portRanges). Changes nothing; needs what the configuration names, the cluster key too.",
    )
    .requiredOption("--config <file>", "configuration file (YAML)")
    .option("--node <id>", "which of the configured nodes this is, if the file does not say", nodeIdOf)
    .option("--json", "print one JSON object: the node's ports, and the rules")
    .addHelpText("after", examples(["rainfront nat-rules --config /etc/rainfront.yaml | nft -f -"]))
    .action((options: NatRulesOptions) => printNatRules(options, console));

  withSocket(program.command("status"))
    .description("Show what the running daemon does: members, VIPs, counters.")
    .option("--json", "print one JSON object instead of tables")
    .option("--watch", "print again every second, until Ctrl-C")
    .addHelpText("after", examples(["rainfront status", "rainfront status --json", "rainfront status --watch"]))
    .action(async (options: SocketOptions & { json?: true; watch?: true }) => {
      await status(socketPathFor(options), options, console);
    });

  withSocket(program.command("move"))
    .description("Give a VIP to a node. VIPs with persistence 1 and 3 stay there; others move once.")
    .argument("<vip>", "the virtual address")
    .argument("<node>", "the node's id or name")
    .addHelpText("after", examples(["rainfront move 192.0.2.101 gw2", "rainfront move 192.0.2.101 2"]))
    .action(async (vip: string, node: string, options: SocketOptions) => {
      await move(socketPathFor(options), vip, node, console);
    });

  withSocket(program.command("drain"))
    .description(
      "Let a node give its VIPs and flows to the others, before it is taken out of service; it stays a member. With keepConnections its connections go on at the others.",
    )
    .argument("<node>", "the node's id or name")
    .option("--stop", "let it take part again")
    .option(
      "--wait <seconds>",
      "until it has nothing left that others could take; 0: do not wait",
      secondsOf,
      DRAIN_WAIT_S,
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", examples(["rainfront drain gw2 && ssh gw2 rainfront down", "rainfront drain gw2 --stop"]))
    .action(async (node: string, options: SocketOptions & DrainOptions) => {
      await drain(socketPathFor(options), node, options, console);
    });

  withSocket(program.command("flows"))
    .description(
      "Show which flows this node remembers, and who handles them; nothing where the hash decides (assignment: authority).",
    )
    .option("--node <id>", "only those that this node handles: its id or name")
    .option(
      "--limit <count>",
      `at most so many, up to ${FLOWS_MAX}; 0: only how many there are`,
      flowCountOf,
      FLOWS_DEFAULT,
    )
    .option("--json", "print one JSON object instead of tables")
    .addHelpText("after", examples(["rainfront flows --node gw2", "rainfront flows --limit 0 --json"]))
    .action(async (options: SocketOptions & FlowsOptions) => {
      await flows(socketPathFor(options), options, console);
    });

  withSocket(program.command("explain"))
    .description(
      "Ask all nodes for a flow: which one handles it and why, who knows so, what its connection is and who would take it over.",
    )
    .argument(
      "<flow>",
      "either direction, in quotes: 'tcp A:PORT > B:PORT' (or udp, sctp), 'icmp A > B id ID', 'NUMBER A > B'",
    )
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      examples([
        "rainfront explain 'tcp 192.0.2.7:4444 > 198.51.100.10:80'",
        "rainfront explain 'udp [2001:db8::7]:53 > [2001:db8:1::9]:5353' --json",
      ]),
    )
    .action(async (flow: string, options: SocketOptions & { json?: true }) => {
      await explain(socketPathFor(options), flow, options, console);
    });

  withSocket(program.command("join"))
    .description("Let a node that lost its place in the group (with rejoin: false) ask for it again.")
    .addHelpText("after", examples(["rainfront join"]))
    .action(async (options: SocketOptions) => {
      await join(socketPathFor(options), console);
    });

  withSocket(program.command("reload-keys"))
    .description("Let the running daemon read its key file again: the first key seals, all open.")
    .addHelpText("after", examples(["rainfront reload-keys"]))
    .action(async (options: SocketOptions) => {
      await reloadKeys(socketPathFor(options), console);
    });

  withSocket(program.command("lock"))
    .description("Run a command while this node has a lock of the group; wait for it first if need be.")
    .argument("<name>", "the lock: 1 to 64 printable ASCII characters without blanks")
    .argument("<command...>", "behind --, so that its options are its own")
    .option("--wait <seconds>", "do not wait longer for the lock; 0: only if it is free", secondsOf)
    .option("--ttl <seconds>", "lose the lock when the command has run so long", secondsOf)
    .option("--grace <seconds>", "from SIGTERM to SIGKILL when the lock is lost", secondsOf, LOCK_GRACE_S)
    .addHelpText("after", LOCK_HELP)
    .addHelpText(
      "after",
      examples(["rainfront lock backup -- /usr/local/bin/backup --full", "rainfront lock --wait 0 cron -- ./job"]),
    )
    .action(async (name: string, command: string[], options: SocketOptions & LockCommandOptions) => {
      done(await lock(socketPathFor(options), name, command, options, console));
    });

  withSocket(program.command("locks"))
    .description("Show which locks the group's nodes have or wait for.")
    .option("--json", "print one JSON object instead of a table")
    .addHelpText("after", examples(["rainfront locks", "rainfront locks --json"]))
    .action(async (options: SocketOptions & { json?: true }) => {
      await locks(socketPathFor(options), options, console);
    });

  withSocket(program.command("down"))
    .description(
      "Let the running daemon hand its VIPs over, remove what it installed, and exit. With --config, where none runs: remove what a killed one left.",
    )
    .option("--node <id>", "which of the configured nodes this is, if the file does not say", nodeIdOf)
    .option("--force", "also while the daemon is away, and the others count on what it left")
    .addHelpText("after", examples(["rainfront down", "rainfront down --config /etc/rainfront.yaml"]))
    .action(async (options: DownOptions) => {
      await down(options, console);
    });

  withSocket(program.command("away"))
    .description(
      "Let the daemon exit while its XDP program goes on: started again in time (rainfront up), it loses no packet. The other nodes agree first, or it is refused.",
    )
    .option("--for <seconds>", "how long it may take, 1 to 60", awaySecondsOf, AWAY_DEFAULT_S)
    .addHelpText(
      "after",
      examples(["rainfront away && rainfront up --config /etc/rainfront.yaml", "rainfront away --for 30"]),
    )
    .action(async (options: SocketOptions & { for: number }) => {
      await away(socketPathFor(options), options.for * 1000, console);
    });

  // Last, because commands inherit such settings when they are made. Without an action, a bare `rainfront` would print
  // its help to a muted stderr.
  program.action(() => {
    if (program.args[0] !== undefined) throw usage(`there is no command ${program.args[0]}`);
    throw usage("which command?");
  });
  program.allowExcessArguments();
  return program;
}

function withSocket(command: Command): Command {
  return command
    .option("--socket <path>", "control socket of the daemon")
    .option("--config <file>", "take the socket's place from this configuration file");
}

function nodeIdOf(text: string): number {
  const id = Number(text);
  if (!/^\d+$/.test(text) || id < 1 || id > 0xffff) throw new InvalidArgumentError("A nodeId is 1 to 65535.");
  return id;
}

const AWAY_DEFAULT_S = 10;
const DRAIN_WAIT_S = 60;

function flowCountOf(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= FLOWS_MAX) return Number(text);
  throw new InvalidArgumentError(`A whole number, up to ${FLOWS_MAX}.`);
}

function awaySecondsOf(text: string): number {
  const seconds = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (seconds * 1000 >= AWAY_MIN_MS && seconds * 1000 <= AWAY_MAX_MS) return seconds;
  throw new InvalidArgumentError(`A whole number of seconds, ${AWAY_MIN_MS / 1000} to ${AWAY_MAX_MS / 1000}.`);
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  const isTime = /^\d+(\.\d+)?$/.test(text) && seconds <= 365 * 24 * 3600;
  if (!isTime) throw new InvalidArgumentError("A time is a number of seconds, up to a year.");
  return seconds;
}

const LOCK_HELP = `
The command finds RAINFRONT_LOCK (the name) and RAINFRONT_LOCK_FENCE (a number that grows with every holder) in its
environment. Whatever it writes to should refuse smaller numbers than it has seen: a command whose lock is lost is
stopped with SIGTERM, but for as long as it takes to end (--grace, then SIGKILL), another node's may run. If this
process is killed, setpriv (util-linux) lets the kernel kill the command, too, but not what that has started.

Exit status: the command's own, or 128 + the signal that ended it, or
  ${LOCK_EXIT.lost}  the lock was lost (lease, group, --ttl, or the daemon went away) and the command stopped
  ${LOCK_EXIT.timeout}  the lock was not free within --wait
  ${LOCK_EXIT.failed}  the lock could not be asked for
  ${LOCK_EXIT.notRunnable}  the command could not be run, ${LOCK_EXIT.notFound} it was not found
`;

function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}

function usage(message: string): RainfrontError {
  return new RainfrontError("RF_USAGE", message, { fix: "see: rainfront --help" });
}

function report(error: unknown, console: Console): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help and --version
  const known = error instanceof CommanderError ? usageFrom(error) : error;
  if (known instanceof RainfrontError) {
    console.err(`rainfront: ${known.toLine()}\n`);
    return known.code === "RF_USAGE" ? 2 : 1;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  console.err(`rainfront: RF_INTERNAL: ${text}\n`);
  return 1;
}

function usageFrom(error: CommanderError): RainfrontError {
  return usage(error.message.replace(/^error: /, "").replaceAll(/\s+/g, " "));
}
