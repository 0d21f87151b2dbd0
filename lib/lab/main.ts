// The lab's entry: `node main.js [SCENARIO] [OPTIONS]`, started by `npm run lab`. Outside it makes the box (isolation.ts) and waits; inside,
// where it runs again, it builds the lab and drives the scenario or the live table.

import { fileURLToPath } from "node:url";
import { elapsed, readCpuTimes, stolenShare } from "../cpuTimes.js";
import { RainfrontError } from "../errors.js";
import { keepCpusAwake } from "./awake.js";
import { sendCommand, serveControl } from "./control.js";
import { enterBox, insideRunFolder, runIsolated } from "./isolation.js";
import { Lab } from "./lab.js";
import { runLive } from "./live.js";
import { HELP, type LabOrder, parseOrder, type ScenarioName } from "./options.js";
import { controlSocketOf, makeRunFolder, removeRunFolder } from "./runFolder.js";
import { type Outcome, resultObject, type Scenario } from "./scenario.js";
import { failover } from "./scenarios/failover.js";
import { partition } from "./scenarios/partition.js";
import { paths } from "./scenarios/paths.js";
import { rejoin } from "./scenarios/rejoin.js";
import { crash, pause } from "./scenarios/silence.js";
import { stress } from "./scenarios/stress.js";
import { survive } from "./scenarios/survive.js";
import { symmetry } from "./scenarios/symmetry.js";
import { traffic } from "./scenarios/traffic.js";
import { upgrade } from "./scenarios/upgrade.js";
import { rounded } from "./statistics.js";
import { completePath, requireTools } from "./tools.js";

const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = {
  traffic,
  symmetry,
  failover,
  pause,
  crash,
  rejoin,
  upgrade,
  partition,
  paths,
  stress,
  survive,
};

type RunOrder = Extract<LabOrder, { mode: "live" | "scenario" }>;

/** Less is not worth a word. */
const STOLEN_PERCENT_TOLD = 1;

const say = (line: string) => process.stderr.write(`lab: ${line}\n`);

async function outside(argv: readonly string[]): Promise<number> {
  const order = parseOrder(argv);
  switch (order.mode) {
    case "help":
      process.stdout.write(HELP);
      return 0;
    case "remote": {
      const answer = await sendCommand(order.command);
      process.stdout.write(answer.stdout);
      process.stderr.write(answer.stderr);
      return answer.status;
    }
    case "live":
    case "scenario": {
      requireTools(order.settings.backend, order.mode === "scenario" ? order.scenario : undefined);
      const runFolder = makeRunFolder();
      const status = await runIsolated(fileURLToPath(import.meta.url), argv, runFolder);
      // What a scenario that held its promise logged, nobody will read.
      if (order.mode === "scenario" && status === 0) removeRunFolder(runFolder);
      else say(`logs: ${runFolder}`);
      return status;
    }
  }
}

async function inside(order: RunOrder, runFolder: string): Promise<number> {
  enterBox(order.mode === "live" ? 0 : 130);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => process.exit(order.mode === "live" ? 0 : 130));
  }
  const lab = new Lab(order.settings, runFolder);
  if (order.mode === "scenario") keepCpusAwake(say);
  if (order.mode === "live") {
    await lab.bringUp(say);
    serveControl(lab, controlSocketOf(runFolder));
    return runLive(lab);
  }
  const outcome = await outcomeOf(lab, order, runFolder);
  const result = resultObject(order.scenario, order.settings, outcome);
  for (const broken of outcome.broken) say(`BROKEN: ${broken}`);
  for (const unjudged of outcome.unjudged ?? []) say(`NOT JUDGED: ${unjudged}`);
  say(outcome.broken.length === 0 ? `${order.scenario}: the promise held` : `${order.scenario}: the promise is broken`);
  process.stdout.write(`${order.json ? JSON.stringify(result) : JSON.stringify(result, null, 2)}\n`);
  return outcome.broken.length === 0 ? 0 : 1;
}

/** A scenario that cannot even be carried out has broken its promise; a reader of the JSON must see that too. */
async function outcomeOf(
  lab: Lab,
  order: Extract<RunOrder, { mode: "scenario" }>,
  runFolder: string,
): Promise<Outcome> {
  try {
    await lab.bringUp(say);
    serveControl(lab, controlSocketOf(runFolder));
    const before = readCpuTimes();
    const outcome = await SCENARIOS[order.scenario]({ lab, options: order.options, say });
    const stolen_percent = rounded(100 * (stolenShare(elapsed(before, readCpuTimes())) ?? 0));
    if (stolen_percent > STOLEN_PERCENT_TOLD)
      say(`the machine's host took ${stolen_percent} % of the CPU time meanwhile: times are not the gateways' alone`);
    return { ...outcome, figures: { ...outcome.figures, stolen_percent } };
  } catch (error) {
    return { broken: [describe(error)], figures: {} };
  }
}

function describe(error: unknown): string {
  if (error instanceof RainfrontError) return error.toLine();
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function main(): Promise<number> {
  completePath();
  const argv = process.argv.slice(2);
  const runFolder = insideRunFolder();
  if (runFolder === undefined) return outside(argv);
  const order = parseOrder(argv);
  if (order.mode === "live" || order.mode === "scenario") return inside(order, runFolder);
  throw new RainfrontError("RF_USAGE", `${order.mode} does not run inside the lab`);
}

try {
  process.exitCode = await main();
  // Inside, processes and sockets of the lab would keep this one alive; the kernel ends them with it.
  if (insideRunFolder() !== undefined) process.stdout.write("", () => process.exit());
} catch (error) {
  process.stderr.write(`lab: ${describe(error)}\n`);
  process.exit(error instanceof RainfrontError && error.code === "RF_USAGE" ? 2 : 1);
}
