// A program that ends with this one, whatever ends this one, and with all that it has started. Used to build and run what is not TypeScript.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Calls back with every line that it prints; resolves with its exit status, 128 for a signal, 127 when it is not there. */
export function runChild(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  onLine: (line: string) => void,
  input = "",
): Promise<number> {
  // A process group of its own, which a signal reaches as a whole: a build has compilers below it.
  const child = spawn(program, args, { env, detached: true, stdio: "pipe" });
  const stop = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
  };
  // Before others clean up what it works on.
  process.prependOnceListener("exit", stop);
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", onLine);
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((resolve) => {
    const finish = (status: number) => {
      process.removeListener("exit", stop);
      resolve(status);
    };
    child.on("error", () => finish(127));
    child.on("close", (code) => finish(code ?? 128));
  });
}
