// corosync as a system of the bench: each node has an instance of its own, in its own mount, IPC and network namespace with its
// own /run, /dev/shm, /etc/corosync and /var/lib/corosync, and a client that joins one closed process group.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, openSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../../lib/lab/waiting.js";
import type { Fabric, FabricNode } from "../raincore/fabric.js";
import type { BootedNode, System } from "../raincore/group.js";
import { Member } from "../raincore/member.js";
import { type CorosyncSettings, corosyncConf } from "./settings.js";

const NAMESPACES = ["--mount", "--ipc"];
/** What `unshare` runs: private folders, then corosync in the same process. /run last: the others may lie below it. */
const ENTER = `
mount -t tmpfs tmpfs /dev/shm
mount --bind "$1/etc" /etc/corosync
mount --bind "$1/lib" /var/lib/corosync
mount -t tmpfs tmpfs /run
exec corosync -f
`;

export class CorosyncSystem implements System {
  readonly name: string;
  readonly patience_ms: number;
  private readonly settings: CorosyncSettings;
  private readonly client: string;
  private readonly folder: string;
  private readonly key = randomBytes(256);

  constructor(settings: CorosyncSettings, client: string, folder: string, patience_ms: number) {
    this.name = settings.name;
    this.settings = settings;
    this.client = client;
    this.patience_ms = patience_ms;
    this.folder = folder;
  }

  async boot(node: FabricNode, fabric: Fabric): Promise<BootedNode> {
    const folder = this.prepareFolder(node, fabric);
    const log = openSync(join(folder, "stderr.log"), "a");
    const daemon = node.host.spawn(["unshare", ...NAMESPACES, "sh", "-e", "-c", ENTER, "sh", folder], {
      stdio: ["ignore", log, log],
    });
    const pid = daemon.pid ?? 0;
    await waitFor("corosync starts", { deadline_ms: 10_000 }, async () =>
      isCorosync(pid) ? { met: true } : { unmet: `see ${folder}` },
    );
    const client = spawn("nsenter", ["--target", String(pid), "--mount", "--ipc", "--net", this.client], {
      stdio: ["pipe", "pipe", log],
    });
    return { member: new Member(node.nodeId, client), pids: [pid, client.pid ?? 0] };
  }

  /** /var/lib/corosync outlives a restart, as on a machine: the highest ring number is kept there. */
  private prepareFolder(node: FabricNode, fabric: Fabric): string {
    const folder = join(this.folder, `${fabric.nodes.length}-nodes`, `node${node.nodeId}`);
    const etc = join(folder, "etc");
    mkdirSync(join(folder, "lib"), { recursive: true });
    mkdirSync(etc, { recursive: true });
    writeFileSync(join(etc, "corosync.conf"), corosyncConf(this.settings, fabric, join(folder, "corosync.log")));
    writeFileSync(join(etc, "authkey"), this.key, { mode: 0o600 });
    return folder;
  }
}

/** `ip`, `unshare` and `sh` replace themselves, so the process becomes corosync when everything is mounted. */
function isCorosync(pid: number): boolean {
  try {
    return (
      readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "corosync" &&
      readlinkSync(`/proc/${pid}/ns/mnt`) !== readlinkSync("/proc/self/ns/mnt")
    );
  } catch {
    return false;
  }
}
