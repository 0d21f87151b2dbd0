// Lets a command die with the process that started it, however that dies: by util-linux' setpriv, which asks the kernel for it and becomes the
// command. Used by lock.ts. What the kernel promises is prctl(2), PR_SET_PDEATHSIG: the command itself gets the signal, not what it starts in
// turn, nor a program that changes its user or its capabilities when it begins (sudo, su).
import { spawnSync } from "node:child_process";
import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";

const OPTIONS = ["--pdeathsig", "KILL", "--"] as const;
const CHECK_MS = 2_000;
/** What execvp(3) looks through when there is no PATH. */
const PATH_DEFAULT = "/bin:/usr/bin";
/** The kernel reads no more of a script's first line. */
const SHEBANG_BYTES = 256;

/** The setpriv of this machine, if there is one that can do it: others than util-linux' cannot. */
export function findSetpriv(path = process.env.PATH): string | undefined {
  const file = findExecutable("setpriv", path);
  if (file === undefined) return undefined;
  const { status } = spawnSync(file, [...OPTIONS, file, "--version"], { stdio: "ignore", timeout: CHECK_MS });
  return status === 0 ? file : undefined;
}

/** The same command so that it dies with us. One that cannot be run stays as it is: whoever starts it gets the system's own error. */
export function dyingWithUs(
  command: readonly string[],
  setpriv: string | undefined,
  path = process.env.PATH,
): readonly string[] {
  const file = findExecutable(command[0] ?? "", path);
  if (setpriv === undefined || file === undefined || !hasInterpreter(file)) return command;
  return [setpriv, ...OPTIONS, ...command];
}

/** As execvp(3) does. */
function findExecutable(name: string, path = PATH_DEFAULT): string | undefined {
  if (name === "") return undefined;
  if (name.includes("/")) return isExecutable(name) ? name : undefined;
  const folders = path.split(delimiter).map((folder) => (folder === "" ? "." : folder));
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** False for a script whose interpreter is missing: to the kernel, it is the script that is not there. */
function hasInterpreter(file: string): boolean {
  const first = firstLine(file);
  if (first === undefined || !first.startsWith("#!")) return true;
  const interpreter = /^#![ \t]*([^ \t]+)/.exec(first)?.[1];
  return interpreter === undefined || isExecutable(interpreter);
}

/** Undefined: may be run, but not read. */
function firstLine(file: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(file, "r");
    const bytes = Buffer.alloc(SHEBANG_BYTES);
    const length = readSync(fd, bytes);
    return bytes.toString("latin1", 0, length).split("\n", 1)[0];
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
