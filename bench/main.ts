// `npm run bench -- NAME [--json]`: runs one benchmark, prints a table, and writes its figures next to it as JSON.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { RainfrontError } from "../lib/errors.js";
import { insideRunFolder, runIsolated } from "../lib/lab/isolation.js";
import { PEERS } from "../lib/lab/options.js";
import { makeRunFolder } from "../lib/lab/runFolder.js";
import { completePath } from "../lib/lab/tools.js";
import { benchApi } from "./api.js";
import { benchFlows } from "./flows/benchFlows.js";
import { benchGateway } from "./gateway.js";
import { benchPipeline } from "./pipeline.js";
import { benchRaincore } from "./raincore/benchRaincore.js";
import type { BenchResult } from "./result.js";
import { benchScale } from "./scale/benchScale.js";
import { type ScaleFlags, scaleOptions } from "./scale/options.js";
import { formatTable } from "./table.js";

const RESULTS_FOLDER = "bench-results";

interface Options {
  readonly json: boolean;
  readonly seconds: number;
}

interface PipelineOptions {
  readonly json: boolean;
  readonly quick: boolean;
}

interface FlowsOptions extends PipelineOptions {
  readonly only?: readonly string[];
}

interface RaincoreOptions extends PipelineOptions {
  readonly nodes?: readonly number[];
  readonly only?: readonly string[];
}

/** Runs a benchmark to its end; exits 1 when a promise is broken. */
async function report(options: { readonly json: boolean }, result: BenchResult): Promise<number> {
  process.stderr.write(`${formatTable(result)}\n`);
  mkdirSync(RESULTS_FOLDER, { recursive: true });
  const file = join(RESULTS_FOLDER, `${result.bench}.json`);
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  process.stderr.write(`written to ${file}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  return result.ok ? 0 : 1;
}

/** Runs a benchmark inside a box of its own. */
async function boxed(
  options: { readonly json: boolean },
  bench: (runFolder: string) => Promise<BenchResult>,
): Promise<number> {
  const runFolder = insideRunFolder();
  if (runFolder === undefined) {
    completePath();
    return runIsolated(process.argv[1] ?? "", process.argv.slice(2), makeRunFolder());
  }
  return report(options, await bench(runFolder));
}

async function gateway(options: Options): Promise<number> {
  return boxed(options, (runFolder) => benchGateway(options.seconds, runFolder));
}

async function main(): Promise<number> {
  let status = 0;
  const program = new Command("bench").description("Benchmarks of Rainfront against its peers, in one run each.");
  const add = (name: string, description: string, action: (options: Options) => Promise<number>): void => {
    program
      .command(name)
      .description(description)
      .option("--json", "print the figures as one JSON object on the last line of stdout", false)
      .addOption(new Option("--seconds <n>", "length of one measurement").argParser(parseSeconds).default(5))
      .action(async (options: Options) => {
        status = await action(options);
      });
  };
  add("gateway", "packets per second and CPU per packet through one gateway; cost of an idle cluster", gateway);
  add("api", "cost of the native addon's calls", async (options) => report(options, await benchApi()));
  program
    .command("raincore")
    .description("ordered multicast, failure detection and cost of rest, against corosync")
    .option("--json", "print the figures as one JSON object on the last line of stdout", false)
    .option("--quick", "2 and 4 nodes, 1 KiB, a second each: shows that it works, measures little", false)
    .addOption(
      new Option("--nodes <list>", "sizes of the group, 2 to 16 each").argParser((text) => parseNodes(text, 2)),
    )
    .addOption(
      new Option("--only <list>", "systems whose names begin so, for example rainfront").argParser((text) =>
        text.split(","),
      ),
    )
    .action(async ({ quick, nodes, only, json }: RaincoreOptions) => {
      status = await boxed({ json }, (runFolder) => benchRaincore({ quick, nodes, only }, runFolder));
    });
  program
    .command("flows")
    .description(
      "new connections a second, relays of assigned flows, a flood of SYNs, connections kept on another node",
    )
    .option("--json", "print the figures as one JSON object on the last line of stdout", false)
    .option("--quick", "one short turn each: shows that it works, measures little", false)
    .addOption(
      new Option("--only <list>", "parts whose names begin so: new, relay, flood, kept").argParser((text) =>
        text.split(","),
      ),
    )
    .action(async ({ quick, only, json }: FlowsOptions) => {
      status = await boxed({ json }, () => benchFlows(quick, only));
    });
  program
    .command("pipeline")
    .description("cost of a packet from its first byte to its verdict, against DPDK's rte_hash")
    .option("--json", "print the figures as one JSON object on the last line of stdout", false)
    .option("--quick", "up to 65,536 flows, one round: shows that it works, measures little", false)
    .action(async ({ quick, json }: PipelineOptions) => {
      status = await report({ json }, await benchPipeline(quick));
    });
  program
    .command("scale")
    .description("goodput through 1 to 8 gateways whose links are bounded, against keepalived and conntrackd")
    .option("--json", "print the figures as one JSON object on the last line of stdout", false)
    .option("--quick", "1 and 2 nodes, two seconds each: shows that it works, measures little", false)
    .addOption(
      new Option("--nodes <list>", "gateways, 1 to 16 each (default 1,2,4,8)").argParser((text) => parseNodes(text, 1)),
    )
    .addOption(new Option("--seconds <n>", "length of one measurement (default 10)").argParser(parseSeconds))
    .addOption(new Option("--mbit <n>", "of each link of a gateway, each way").argParser(parseMbit).default(100))
    .addOption(new Option("--backend <name>").choices(["xdp", "af_packet"]).default("xdp"))
    .addOption(new Option("--peer <name>").choices(PEERS).default("keepalived"))
    .action(async ({ json, ...flags }: ScaleFlags & { readonly json: boolean }) => {
      status = await boxed({ json }, (runFolder) => benchScale(scaleOptions(flags), runFolder));
    });
  await program.parseAsync();
  return status;
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 600) {
    throw new InvalidArgumentError("a whole number from 1 to 600");
  }
  return seconds;
}

function parseMbit(text: string): number {
  const mbit = Number(text);
  if (!Number.isInteger(mbit) || mbit < 1 || mbit > 1000)
    throw new InvalidArgumentError("a whole number from 1 to 1000");
  return mbit;
}

/** Sizes of a group. */
function parseNodes(text: string, least: number): number[] {
  const counts = text.split(",").map(Number);
  if (!counts.every((count) => Number.isInteger(count) && count >= least && count <= 16)) {
    throw new InvalidArgumentError(`whole numbers from ${least} to 16, with commas between`);
  }
  return counts;
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`bench: ${error instanceof RainfrontError ? error.toLine() : String(error)}\n`);
    process.exit(1);
  },
);
