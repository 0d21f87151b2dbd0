// Real-time priority for the ring's thread: the token must not wait for other work on this machine, for a late node is taken for dead.
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
