// What keeps the ring's thread from waiting: real-time priority against other work on this machine, locked pages against the disk. A late node is
// taken for dead.
import { constants, setPriority } from "node:os";
import { loadNativeIfPresent } from "../native.js";

/** False when the process may not have it; then the highest usual priority is tried. */
export function raisePriority(scope: "ring" | "process"): boolean {
  if (loadNativeIfPresent()?.enterRealtime(scope === "process") === true) return true;
  try {
    setPriority(constants.priority.PRIORITY_HIGHEST);
  } catch {
    // without the privilege for that as well, it goes on as it is
  }
  return false;
}

/** False when the process may not. Without the addon nothing can be done, and nothing is missing that was to be had. */
export function lockProgram(): boolean {
  return loadNativeIfPresent()?.lockMappedFiles() !== false;
}
