// The programs that the lab needs. Missing ones are named in one line before anything is built.

import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { RainfrontError } from "../errors.js";
import type { LabBackend } from "./options.js";
import { DAEMON_PROGRAM, LOAD_PROGRAM, testhostProgram } from "./paths.js";

/** Program and the Debian package it comes with. */
const TOOLS: readonly (readonly [program: string, debianPackage: string])[] = [
  ["ip", "iproute2"],
  ["ss", "iproute2"],
  ["unshare", "util-linux"],
  ["mount", "mount"],
  ["nft", "nftables"],
  ["conntrack", "conntrack"],
  ["ethtool", "ethtool"],
  ["nginx", "nginx-light"],
  ["iperf3", "iperf3"],
];

/** A user's PATH often lacks the folders where these programs are. */
export function completePath(): void {
  const folders = (process.env.PATH ?? "").split(":").filter((folder) => folder !== "");
  for (const folder of ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]) if (!folders.includes(folder)) folders.push(folder);
  process.env.PATH = folders.join(":");
}

export function requireTools(backend: LabBackend): void {
  const packages = new Set(TOOLS.filter(([program]) => !onPath(program)).map(([, debianPackage]) => debianPackage));
  if (packages.size > 0) {
    const list = [...packages].join(" ");
    throw new RainfrontError("RF_LAB_TOOL_MISSING", `the lab needs these Debian packages: ${list}`, {
      fix: `apt-get install ${list}`,
    });
  }
  const built = [testhostProgram(), LOAD_PROGRAM, ...(backend === "none" ? [] : [DAEMON_PROGRAM])];
  const missing = built.find((file) => !usable(file, constants.R_OK));
  if (missing !== undefined) {
    throw new RainfrontError("RF_LAB_TOOL_MISSING", `${missing} is not there`, { fix: "npm run build" });
  }
}

function onPath(program: string): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => usable(join(folder, program), constants.X_OK));
}

function usable(file: string, mode: number): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}
