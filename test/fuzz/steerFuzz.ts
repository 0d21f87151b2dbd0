// The compiler for native/fuzz, if this machine has one, and the build. Used by packets.ts.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runChild } from "./process.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const COMPILERS = ["clang++", ...[19, 18, 17, 16, 15, 14].map((version) => `clang++-${version}`)];
const SANITIZERS = "-fsanitize=fuzzer,address,undefined";
const EMPTY_TARGET = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long) { return 0; }\n';

export type Compiler = { readonly program: string } | { readonly missing: string };

/** One that can build a target: that it is there says nothing of its runtime libraries, which are packages of their own. */
export async function findCompiler(): Promise<Compiler> {
  if (!(await isThere("cmake"))) return { missing: "no cmake" };
  const present: string[] = [];
  for (const program of COMPILERS) if (await isThere(program)) present.push(program);
  const scratch = mkdtempSync(join(tmpdir(), "rainfront-clang-"));
  try {
    for (const program of present) {
      const args = [SANITIZERS, "-x", "c++", "-", "-o", join(scratch, "probe")];
      if ((await runChild(program, args, process.env, () => {}, EMPTY_TARGET)) === 0) return { program };
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return { missing: present.length === 0 ? "no clang++" : `${present.join(", ")} without libFuzzer's runtime` };
}

async function isThere(program: string): Promise<boolean> {
  return (await runChild(program, ["--version"], process.env, () => {})) === 0;
}

/** The target's path. Prints the compiler's messages, and throws, when it does not build. */
export async function buildTarget(compiler: string, folder: string): Promise<string> {
  const configure = ["-S", ROOT, "-B", folder, "-DRF_FUZZ=ON", `-DCMAKE_CXX_COMPILER=${compiler}`];
  for (const args of [configure, ["--build", folder, "--target", "steer_fuzz"]]) {
    const lines: string[] = [];
    const status = await runChild("cmake", args, process.env, (line) => lines.push(line));
    if (status === 0) continue;
    process.stderr.write(`${lines.join("\n")}\n`);
    throw new Error(`cmake ${args.join(" ")} ended with ${status}`);
  }
  return join(folder, "steer_fuzz");
}
