// The command line of `npm run sim`. Called by main.ts.

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { GENERATIONS } from "./apart.js";
import type { Mode } from "./plan.js";

export const HELP = `npm run sim -- [options]

Runs whole clusters on virtual time. Everything that happens is drawn from a seed: the same seed replays exactly.

  --seeds N         how many seeds (default 200)
  --first S         the first one (default 1)
  --minutes M       as many seeds as fit in this time, instead of --seeds
  --seed S          one seed; prints its trace hash
  --generation G    without the kinds of faults that were added later: for seeds of corpus.json, which says theirs (default: all)
  --nodes N         so many nodes in every run, 1 to 256 (default: drawn)
  --mode MODE       safety: faults, nothing bad may happen
                    liveness: and a healed core must become whole within a bound
                    both (default): the same, with the users' services probed at the end
  --flows           connections go through the nodes: clients and servers, address translation, and what nodes say to each other of flows
  --trace           with --seed: everything that happens, for people
  --trace-filter R  only lines that match this regular expression
  --plan            with --seed: prints the plan without running it
  --shrink          with --seed: the smallest part of its plan that still fails
  --no-corpus       without test/simulator/corpus.json, the seeds that failed once and are run first
  --until-failure   stop at the first seed that fails
  --mutant NAME     run against a copy with this known mistake in it (or: all); 0 = every mistake was found
  --remember        with --mutant: by the seeds in their order, and the one that finds it is tried first from now on (mutantSeeds.json)
  --workers N       processes (default: one per core)
  --json            the result as one line of JSON on stdout
  --help

Exit status: 0 all is well, 1 wrong usage or a failure of the simulator, 126 a mutant was not found,
127 crash (an exception in the core), 128 liveness (a healed core did not become whole), 129 correctness (an invariant broke).
`;

export const EXIT = { ok: 0, usage: 1, mutant: 126, crash: 127, liveness: 128, correctness: 129 } as const;

export interface Options {
  readonly seeds: number;
  readonly first: number;
  readonly minutes: number | undefined;
  readonly seed: number | undefined;
  readonly nodes: number | undefined;
  readonly generation: number;
  readonly mode: Mode;
  readonly flows: boolean;
  readonly trace: boolean;
  readonly traceFilter: RegExp | undefined;
  readonly plan: boolean;
  readonly shrink: boolean;
  readonly corpus: boolean;
  readonly untilFailure: boolean;
  readonly mutant: string | undefined;
  readonly remember: boolean;
  readonly workers: number;
  readonly json: boolean;
  readonly help: boolean;
}

export class UsageError extends Error {}

const SEED_MAX = 0xffff_ffff;
const NODES_MAX = 256;

export function parseOptions(args: readonly string[]): Options {
  const { values } = parse(args);
  const seed = values.seed === undefined ? undefined : wholeNumber("--seed", values.seed, 0, SEED_MAX);
  if (values.remember === true && values.mutant === undefined) throw new UsageError("--remember needs --mutant");
  for (const name of ["trace", "shrink", "plan"] as const) {
    if (values[name] === true && seed === undefined) throw new UsageError(`--${name} needs --seed`);
  }
  return {
    seeds: wholeNumber("--seeds", values.seeds ?? "200", 0, SEED_MAX),
    first: wholeNumber("--first", values.first ?? "1", 0, SEED_MAX),
    minutes: values.minutes === undefined ? undefined : positive("--minutes", values.minutes),
    seed,
    generation: wholeNumber("--generation", values.generation ?? String(GENERATIONS), 1, GENERATIONS),
    nodes: values.nodes === undefined ? undefined : wholeNumber("--nodes", values.nodes, 1, NODES_MAX),
    mode: modeOf(values.mode ?? "both"),
    flows: values.flows ?? false,
    trace: values.trace ?? values["trace-filter"] !== undefined,
    traceFilter: values["trace-filter"] === undefined ? undefined : expression(values["trace-filter"]),
    plan: values.plan ?? false,
    shrink: values.shrink ?? false,
    corpus: !(values["no-corpus"] ?? false),
    untilFailure: values["until-failure"] ?? false,
    mutant: values.mutant,
    remember: values.remember ?? false,
    workers: wholeNumber("--workers", values.workers ?? String(availableParallelism()), 1, 256),
    json: values.json ?? false,
    help: values.help ?? false,
  };
}

function parse(args: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      options: {
        seeds: text,
        first: text,
        minutes: text,
        seed: text,
        nodes: text,
        generation: text,
        mode: text,
        flows: flag,
        trace: flag,
        "trace-filter": text,
        plan: flag,
        shrink: flag,
        "no-corpus": flag,
        "until-failure": flag,
        mutant: text,
        remember: flag,
        workers: text,
        json: flag,
        help: flag,
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new UsageError(`${name} ${text} is not a whole number of ${min}..${max}`);
  return value;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < 1e6)) throw new UsageError(`${name} ${text} is not a positive number`);
  return value;
}

function modeOf(text: string): Mode {
  if (text === "safety" || text === "liveness" || text === "both") return text;
  throw new UsageError(`--mode ${text} is none of safety, liveness, both`);
}

function expression(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new UsageError(`--trace-filter: ${error instanceof Error ? error.message : String(error)}`);
  }
}
