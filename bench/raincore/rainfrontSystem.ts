// Rainfront's Raincore as a system of the bench: each node is one process, memberProgram.ts, in its network namespace.

import { randomBytes } from "node:crypto";
import { mkdirSync, openSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AdapterOptions } from "./adapter.js";
import type { Fabric, FabricNode } from "./fabric.js";
import type { BootedNode, System } from "./group.js";
import { Member } from "./member.js";

const HERE = fileURLToPath(import.meta.url);
const PROGRAM = join(dirname(HERE), `memberProgram${extname(HERE)}`);

export class RainfrontSystem implements System {
  readonly name: string;
  readonly patience_ms = 20_000;
  private readonly failoverTarget_ms: number;
  private readonly folder: string;
  private readonly clusterKey = randomBytes(32).toString("hex");

  constructor(name: string, failoverTarget_ms: number, runFolder: string) {
    this.name = name;
    this.failoverTarget_ms = failoverTarget_ms;
    this.folder = join(runFolder, name.replaceAll(/[^a-z0-9]+/gi, "-"));
  }

  async boot(node: FabricNode, fabric: Fabric): Promise<BootedNode> {
    const options: AdapterOptions = {
      nodeId: node.nodeId,
      address: node.address,
      peers: fabric.nodes.filter((peer) => peer !== node).map(({ nodeId, address }) => ({ nodeId, address })),
      clusterKey: this.clusterKey,
      failoverTarget_ms: this.failoverTarget_ms,
    };
    mkdirSync(this.folder, { recursive: true });
    const log = openSync(join(this.folder, `${fabric.nodes.length}-nodes-node${node.nodeId}.log`), "a");
    const child = node.host.spawn([process.execPath, PROGRAM, JSON.stringify(options)], {
      stdio: ["pipe", "pipe", log],
    });
    return { member: new Member(node.nodeId, child), pids: [child.pid ?? 0] };
  }
}
