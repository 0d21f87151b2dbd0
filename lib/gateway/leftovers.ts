// Removes what a daemon that was killed has left on this machine, its XDP programs too, without starting another one. Used by `rainfront down`.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { acquireDaemonLock, prepareStateDir } from "../api/controlLock.js";
import type { Config } from "../config/config.js";
import { CONTROL_SOCKET_NAME } from "../config/options.js";
import { RainfrontError } from "../errors.js";
import { loadNative } from "../native.js";
import { Installer } from "./installer.js";
import { acquireNamespaceLock } from "./namespaceLock.js";
import { checkPrivilege } from "./privilege.js";

/** False: there was nothing. Throws `RF_NO_PRIVILEGE`, `RF_STATE_DIR`, `RF_ALREADY_RUNNING`, `RF_XDP_MISSING`, `RF_NOT_REMOVED`. */
export async function removeLeftovers(config: Config): Promise<boolean> {
  checkPrivilege();
  prepareStateDir(config.stateDir);
  const daemonLock = acquireDaemonLock(config.stateDir);
  const lock = await acquireNamespaceLock().catch((error: unknown) => {
    daemonLock.release();
    throw error;
  });
  try {
    const log = pino({ level: config.logLevel }, pino.destination({ fd: 2, sync: true }));
    const installer = new Installer(config, loadNative(), log);
    // As before a start that goes on with nothing.
    const found = (await installer.takeLeftovers("af_packet")) === "removed";
    // Nobody listens on it: its daemon would have the locks.
    rmSync(join(config.stateDir, CONTROL_SOCKET_NAME), { force: true });
    if (installer.isClean) return found;
    throw new RainfrontError("RF_NOT_REMOVED", "something that an earlier daemon had installed could not be removed", {
      fix: "mend what is said above, then run it once more",
    });
  } finally {
    await lock.release();
    daemonLock.release();
  }
}
