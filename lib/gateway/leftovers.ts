// Removes what a daemon that was killed has left on this machine, its XDP programs too, without starting another one. Used by `rainfront down`.

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { acquireDaemonLock } from "../api/controlLock.js";
import type { Config } from "../config/config.js";
import { CONTROL_SOCKET_NAME } from "../config/options.js";
import { RainfrontError } from "../errors.js";
import { loadNative } from "../native.js";
import { awayError, awayFor_ms } from "./away.js";
import { Installer } from "./installer.js";
import { acquireNamespaceLock } from "./namespaceLock.js";
import { checkPrivilege } from "./privilege.js";

/**
 * False: there was nothing. Throws `RF_NO_PRIVILEGE`, `RF_ALREADY_RUNNING`, `RF_XDP_MISSING`, `RF_NOT_REMOVED`; and `RF_AWAY` while the daemon is away by agreement,
 * unless it is forced: the others answer for nothing of it until the time that it named.
 */
export async function removeLeftovers(config: Config, isForced: boolean): Promise<boolean> {
  checkPrivilege();
  const daemonLock = existsSync(config.stateDir) ? acquireDaemonLock(config.stateDir) : undefined;
  try {
    const lock = await acquireNamespaceLock();
    try {
      return await removeAll(config, isForced);
    } finally {
      await lock.release();
    }
  } finally {
    daemonLock?.release();
  }
}

/** Under both locks. */
async function removeAll(config: Config, isForced: boolean): Promise<boolean> {
  const native = loadNative();
  const left_ms = awayFor_ms(config, native);
  if (left_ms > 0 && !isForced) throw awayError(left_ms);
  const installer = new Installer(
    config,
    native,
    pino({ level: config.logLevel }, pino.destination({ fd: 2, sync: true })),
  );
  // As before a start that goes on with nothing.
  const found = (await installer.takeLeftovers("af_packet")) === "removed";
  // Nobody listens on it: its daemon would have the locks.
  rmSync(join(config.stateDir, CONTROL_SOCKET_NAME), { force: true });
  if (installer.isClean) return found;
  throw new RainfrontError("RF_NOT_REMOVED", "something that an earlier daemon had installed could not be removed", {
    fix: "mend what is said above, then run it once more",
  });
}
