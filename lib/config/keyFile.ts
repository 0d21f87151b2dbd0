// The cluster keys: lines of 64 hex digits in a file that only its owner can read. Called by load.ts, and again when the daemon is told that the
// file has changed.

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import type { RainfrontError } from "../errors.js";
import { KEYS_MAX } from "./config.js";

export const KEY_BYTES = 32;

/** Makes the error to throw; the loader adds file and line. */
type Refuse = (message: string, fix: string) => RainfrontError;

/** Reads the keys, the one that seals first; mode and content are those of one open file, so that a swap in between is not believed. */
export function readKeyFile(path: string, refuse: Refuse): Uint8Array[] {
  const make = `run: (umask 077; head -c ${KEY_BYTES} /dev/urandom | od -An -v -tx1 | tr -d ' \\n' > ${path})`;
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT")
      throw refuse(`${path} does not exist`, `copy it from another node, or for a new cluster ${make}`);
    throw refuse(`${path} cannot be opened (${code})`, "let the user that runs rainfront read it");
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw refuse(`${path} is not a regular file`, "name a file with 64 hex digits");
    if ((stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, "0");
      throw refuse(`${path} has mode ${mode}, others may use the key`, `run: chmod 600 ${path}`);
    }
    return decodeKeys(readText(descriptor), path, refuse, make);
  } finally {
    closeSync(descriptor);
  }
}

function readText(descriptor: number): string {
  const buffer = Buffer.alloc(KEYS_MAX * (KEY_BYTES * 2 + 2) + 64);
  return buffer.subarray(0, readSync(descriptor, buffer)).toString("latin1").trim();
}

function decodeKeys(text: string, path: string, refuse: Refuse, make: string): Uint8Array[] {
  const lines = text.split(/\s*\n\s*/);
  if (lines.length > KEYS_MAX)
    throw refuse(`${path} has more than ${KEYS_MAX} keys`, "remove those that no node seals with");
  if (new Set(lines.map((line) => line.toLowerCase())).size < lines.length) {
    throw refuse(`${path} has a key twice`, "remove one of the two");
  }
  return lines.map((line) => decodeKey(line, path, refuse, make));
}

function decodeKey(text: string, path: string, refuse: Refuse, make: string): Uint8Array {
  // The text itself never goes into a message: it may be most of a key.
  if (!/^[0-9a-fA-F]*$/.test(text)) throw refuse(`${path} has something else than hex digits`, make);
  if (text.length !== KEY_BYTES * 2) {
    const count = text.length > KEY_BYTES * 2 ? "more" : String(text.length);
    throw refuse(`${path} has ${count} hex digits, needed are ${KEY_BYTES * 2}`, make);
  }
  return Uint8Array.from(Buffer.from(text, "hex"));
}
