// The command line of `npm run fuzz`.
import { parseArgs } from "node:util";
import { RainfrontError } from "../../lib/errors.js";

export const USAGE = `Usage: npm run fuzz -- [options]

Feeds mutated inputs to every decoder of what comes from the network, the token or the control socket, and keeps those
that reach new code. First all inputs of the corpus run, then new ones until the time is over.

  --minutes M      so long for all targets together, a fraction is allowed (default 1)
  --runs N         so many inputs for each target instead: the same seed then gives the same run
  --target NAME    only this one; may be given several times
  --seed N         of everything random (default: from the clock, and printed)
  --packets        the packet path (native/fuzz) instead of the decoders: libFuzzer with sanitizers, from the vectors on; needs clang++
  --replay FILE    run this one input of a finding; needs --target unless the file still has the name it was given
  --no-save        leave the corpus as it is
  --corpus DIR     default test/fuzz/corpus; with --packets none: what reaches new code is kept only if this says where
  --findings DIR   where failing inputs go (default build-fuzz)
  --hang S         an input that is not done after so much processor time hangs (default 10)
  --list           the names of the targets
  --json           the result as one line of JSON
  --help           this text

Exit status: 0 nothing found, 1 the fuzzer itself failed, 2 wrong usage; else what was found first:
  10 a decoder threw, 11 a wrong answer, 12 memory out of proportion, 13 slow, 14 hangs, 15 the process dies
  With --packets 1 also stands for whatever was found; the result says what.
`;

export interface Options {
  readonly end: { readonly runs: number } | { readonly minutes: number };
  readonly packets: boolean;
  readonly targets: readonly string[];
  readonly seed: number;
  readonly replay: string | undefined;
  readonly save: boolean;
  readonly corpus: string | undefined;
  readonly findings: string | undefined;
  readonly hang_ms: number;
  readonly list: boolean;
  readonly json: boolean;
  readonly help: boolean;
  /** Another list of targets: the fuzzer's own tests have one with planted bugs. */
  readonly module: string | undefined;
}

export function parseOptions(args: readonly string[], clockSeed: number): Options {
  const values = parse(args);
  const end =
    values.runs === undefined
      ? { minutes: positive("--minutes", values.minutes ?? "1") }
      : { runs: Math.ceil(positive("--runs", values.runs)) };
  const forDecoders = ["target", "list", "module"] as const;
  const misplaced = values.packets === true ? forDecoders.find((name) => values[name] !== undefined) : undefined;
  if (misplaced !== undefined) throw usageError(`--${misplaced} is for decoders, not for --packets`);
  return {
    end,
    packets: values.packets === true,
    targets: values.target ?? [],
    seed: values.seed === undefined ? clockSeed : seedOf(values.seed),
    replay: values.replay,
    save: values["no-save"] !== true,
    corpus: values.corpus,
    findings: values.findings,
    hang_ms: 1000 * positive("--hang", values.hang ?? "10"),
    list: values.list === true,
    json: values.json === true,
    help: values.help === true,
    module: values.module,
  };
}

function parse(args: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: text,
        runs: text,
        target: { type: "string", multiple: true },
        seed: text,
        replay: text,
        corpus: text,
        findings: text,
        module: text,
        hang: text,
        packets: flag,
        "no-save": flag,
        list: flag,
        json: flag,
        help: flag,
      },
    }).values;
  } catch (error) {
    throw usageError(error instanceof Error ? error.message : String(error));
  }
}

function positive(name: string, value: string): number {
  const number = Number(value);
  if (!(number > 0 && Number.isFinite(number))) throw usageError(`${name} ${value} is not a positive number`);
  return number;
}

function seedOf(value: string): number {
  const seed = Number(value);
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff) throw usageError(`--seed ${value} is not a u32`);
  return seed;
}

export function usageError(message: string): RainfrontError {
  return new RainfrontError("RF_USAGE", message, { fix: "npm run fuzz -- --help" });
}
