// `npm run fuzz -- --packets`: libFuzzer on the packet path in user space (native/fuzz), with sanitizers, from the vectors on. Called by main.ts.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { seedsOf } from "../vectors/seeds.js";
import { readVectors } from "../vectors/vector.js";
import { writeCorpus, writeFinding } from "./corpus.js";
import { type Figures, Report } from "./libFuzzer.js";
import { type Options, usageError } from "./options.js";
import type { FindingKind } from "./oracle.js";
import { runChild } from "./process.js";
import { buildTarget, findCompiler } from "./steerFuzz.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PROGRESS_MS = 2000;
/** Nothing in the target is kept for long, and the default of the sanitizer is memory that CI machines lack. */
const QUARANTINE_MB = 32;

interface PacketFinding {
  readonly kind: FindingKind;
  readonly detail: string;
  readonly file: string;
}

export interface PacketResult extends Figures {
  readonly ok: boolean;
  readonly seed: number;
  readonly seeds: number;
  readonly seconds: number;
  readonly findings: readonly PacketFinding[];
}

function say(text: string): void {
  process.stderr.write(`fuzz: ${text}\n`);
}

/** The exit status. */
export async function fuzzPackets(options: Options): Promise<number> {
  if (options.replay !== undefined && !existsSync(options.replay))
    throw usageError(`--replay ${options.replay} cannot be read`);
  const compiler = await findCompiler();
  if ("missing" in compiler) {
    say(`packets: ${compiler.missing} (fix: apt-get install clang libclang-rt-dev cmake make)`);
    if (options.json) process.stdout.write(`${JSON.stringify({ ok: false, skipped: compiler.missing })}\n`);
    return 1;
  }
  const target = await buildTarget(compiler.program, join(ROOT, "build-cmake", "fuzz"));
  const scratch = mkdtempSync(join(tmpdir(), "rainfront-packets-"));
  process.once("exit", () => rmSync(scratch, { recursive: true, force: true, maxRetries: 5 }));
  const result = await run(target, scratch, options);
  report(result, options);
  return result.ok ? 0 : 1;
}

async function run(target: string, scratch: string, options: Options): Promise<PacketResult> {
  const artifacts = join(scratch, "artifacts");
  mkdirSync(artifacts);
  const { folders, seeds } = options.replay === undefined ? makeFolders(scratch, options) : { folders: [], seeds: 0 };
  const inputs = options.replay === undefined ? [...endOf(options), ...folders] : [resolve(options.replay)];
  say(`packets: seed ${options.seed}, ${seeds} inputs of the vectors`);
  const limits = [`-timeout=${Math.ceil(options.hang_ms / 1000)}`, "-detect_leaks=0", "-print_final_stats=1"];
  // libFuzzer takes 0 for "of the clock".
  const args = [...limits, `-seed=${options.seed || 1}`, `-artifact_prefix=${artifacts}/`, ...inputs];
  const lines = new Report();
  const started_ms = performance.now();
  let told_ms = started_ms;
  const status = await runChild(target, args, sanitizerEnvironment(), (line) => {
    if (lines.take(line)) process.stderr.write(`${line}\n`);
    if (performance.now() - told_ms < PROGRESS_MS || options.replay !== undefined) return;
    told_ms = performance.now();
    const { runs, coverage, features, corpus } = lines.figures;
    const perSecond = Math.round((1000 * runs) / (told_ms - started_ms));
    say(`packets: ${runs} inputs, ${perSecond}/s, ${coverage} reached, ${features} features, ${corpus} kept`);
  });
  const seconds = Math.round((performance.now() - started_ms) / 100) / 10;
  const findings = status === 0 ? [] : [keep(artifacts, lines, status, options)];
  return { ok: findings.length === 0, seed: options.seed, seeds, seconds, ...lines.figures, findings };
}

/** New inputs go to the first folder. */
function makeFolders(scratch: string, options: Options): { folders: readonly string[]; seeds: number } {
  const [seeds, fresh] = [join(scratch, "seeds"), join(scratch, "new")];
  const { added } = writeCorpus(seeds, seedsOf(readVectors()));
  mkdirSync(fresh);
  const kept = options.corpus === undefined ? undefined : resolve(options.corpus);
  if (kept === undefined) return { folders: [fresh, seeds], seeds: added };
  mkdirSync(kept, { recursive: true });
  return { folders: options.save ? [kept, seeds] : [fresh, seeds, kept], seeds: added };
}

function endOf({ end }: Options): readonly string[] {
  return "runs" in end ? [`-runs=${end.runs}`] : [`-max_total_time=${Math.max(1, Math.round(60 * end.minutes))}`];
}

function sanitizerEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, ASAN_OPTIONS: `quarantine_size_mb=${QUARANTINE_MB}:detect_leaks=0` };
}

/** Moves the input to where findings are. One that was replayed is there already. */
function keep(artifacts: string, lines: Report, status: number, options: Options): PacketFinding {
  const { kind, detail } = lines.finding;
  const [name] = readdirSync(artifacts);
  if (options.replay !== undefined) return { kind, detail, file: resolve(options.replay) };
  if (name === undefined) throw new Error(`the fuzzer of the packet path ended with ${status}, without an input`);
  const findings = resolve(options.findings ?? join(ROOT, "build-fuzz"));
  return { kind, detail, file: writeFinding(findings, "packets", kind, readFileSync(join(artifacts, name))) };
}

function report(result: PacketResult, options: Options): void {
  const { runs, seconds, coverage, features, corpus } = result;
  const reached = `${coverage} reached, ${features} features, ${corpus} kept`;
  const lines = result.findings.flatMap(({ kind, detail, file }) => [
    `packets: ${kind}: ${detail}`,
    `packets: the input is in ${relative(process.cwd(), file)}`,
    `packets: again with: npm run fuzz -- --packets --replay ${relative(process.cwd(), file)}`,
  ]);
  if (lines.length === 0) lines.push(`packets: ${runs} inputs in ${seconds} s, nothing found; ${reached}`);
  const out = options.json ? process.stderr : process.stdout;
  for (const line of lines) out.write(`${line}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
}
