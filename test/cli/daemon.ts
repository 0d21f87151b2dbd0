// A stand-in for the daemon: a control server with canned answers, for tests of the socket and the commands.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ControlHandlers, ControlServer } from "../../lib/api/control.js";
import type { GatewayStatus, MoveParams } from "../../lib/api/controlProtocol.js";

export const STATUS: GatewayStatus = {
  version: "0.1.0",
  pid: 4711,
  uptime_s: 125.4,
  backend: "af_packet",
  cluster: "front",
  node: { id: 1, name: "gw1" },
  state: "member",
  epoch: 3,
  seq: 991,
  members: [
    { id: 1, name: "gw1", ready: true },
    { id: 2, name: "gw2", ready: false },
  ],
  lease: { valid: true, remaining_ms: 170.6 },
  paths: [
    { nodeId: 2, path: 0, segment: "internal", isUp: true, roundTrip_ms: 0.42 },
    { nodeId: 2, path: 1, segment: "external", isUp: false, roundTrip_ms: null },
  ],
  quorum: { policy: "available", quorate: true },
  bound_ms: 250,
  vips: [
    { address: "192.0.2.101", segment: "external", currentHost: 1, preferredHost: 1, persistence: 0, answering: true },
    { address: "10.77.0.101", segment: "internal", currentHost: 0, preferredHost: 0, persistence: 1, answering: false },
  ],
  ports: { external: { relayed: 12, drop_truncated: 0 }, internal: { relayed: 3 } },
  drains: [],
  ring: { tokens: 991 },
};

export interface Daemon {
  readonly folder: string;
  readonly socket: string;
  readonly moves: MoveParams[];
  readonly server: ControlServer;
  /** Resolves when `down` was asked for. */
  readonly leaving: Promise<void>;
}

/** Runs a server in a folder of its own while `use` runs. */
export async function withDaemon(
  use: (daemon: Daemon) => Promise<void>,
  overrides: Partial<ControlHandlers> = {},
): Promise<void> {
  await withFolder(async (folder) => {
    const socket = join(folder, "control.sock");
    const moves: MoveParams[] = [];
    let leave = () => {};
    const leaving = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const handlers: ControlHandlers = {
      status: () => STATUS,
      move: (params) => void moves.push(params),
      drain: () => {},
      flows: () => Promise.reject(new Error("no flows")),
      explain: () => Promise.reject(new Error("no flows")),
      join: () => {},
      reloadKeys: () => ({ keys: 2 }),
      down: () => leave(),
      away: () => leave(),
      ...overrides,
    };
    const server = await ControlServer.start(socket, handlers);
    try {
      await use({ folder, socket, moves, server, leaving });
    } finally {
      await server.close();
    }
  });
}

export async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "rainfront-cli-"));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
