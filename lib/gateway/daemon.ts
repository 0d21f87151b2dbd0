// The daemon of one node: the only place where the ring, the VIP table and the native data plane meet. Started by `rainfront up`.

import { constants, setPriority } from "node:os";
import { join } from "node:path";
import { type Logger, pino } from "pino";
import { ControlServer } from "../api/control.js";
import type { GatewayStatus, MoveParams } from "../api/controlProtocol.js";
import type { Config } from "../config/config.js";
import { RainfrontError } from "../errors.js";
import { loadNative, type NativeAddon } from "../native.js";
import type { RaincoreState, View } from "../raincore/types.js";
import { VERSION } from "../version.js";
import { VipModule } from "../vip/vipTable.js";
import { DataPlane } from "./dataPlane.js";
import { Installer } from "./installer.js";
import { RingDriver, type RingListener } from "./ringDriver.js";
import { RingNetwork } from "./ringNetwork.js";

/** A leave that is not agreed on by then (everybody else is gone) is cut short. */
const LEAVE_PATIENCE_MS = 2_000;
const STARTUP_WAIT_MS = 1_500;

/**
 * Runs a gateway until it is told to leave (`rainfront down`, SIGINT, SIGTERM); resolves with the exit status. Rejects with a
 * RainfrontError when it cannot start; nothing is left installed then.
 */
export async function runGateway(config: Config): Promise<number> {
  const gateway = new Gateway(config);
  await gateway.start();
  return gateway.finished;
}

class Gateway implements RingListener {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #native: NativeAddon;
  readonly #installer: Installer;
  readonly #network: RingNetwork;
  readonly #ring: RingDriver;
  readonly #vips: VipModule;
  readonly #startedAt_ms: number;
  #dataPlane: DataPlane | undefined;
  #control: ControlServer | undefined;
  #leaving: Promise<void> | undefined;
  #onClosed: (() => void) | undefined;
  #leaseUntil_ms = 0;
  #readyKey = "";
  #mergedEpoch = 0;

  readonly finished: Promise<number>;
  #finish: (status: number) => void = () => {};

  constructor(config: Config) {
    this.#config = config;
    this.#log = pino(
      { level: config.logLevel, base: { node: config.node.id } },
      pino.destination({ fd: 2, sync: true }),
    );
    this.#native = loadNative();
    this.#startedAt_ms = this.#now_ms();
    this.#installer = new Installer(config, this.#native);
    const incarnation = BigInt(Date.now());
    this.#network = new RingNetwork(config, incarnation);
    this.#vips = new VipModule({
      self: config.node.id,
      vips: config.vips,
      onChange: () => this.#applyAnswers(),
    });
    this.#ring = new RingDriver(
      {
        cluster: config.cluster,
        nodeId: config.node.id,
        incarnation,
        peers: config.nodes
          .filter(({ id }) => id !== config.node.id)
          .map(({ id }) => ({ nodeId: id, paths: config.ring.segments.length })),
        timers: config.timers,
        startupWait_ms: STARTUP_WAIT_MS,
        modules: [this.#vips],
      },
      this.#network,
      this,
      () => this.#now_ms(),
    );
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  #now_ms(): number {
    return Number(this.#native.monotonicNow_ns()) / 1e6;
  }

  async start(): Promise<void> {
    this.#control = await ControlServer.start(join(this.#config.stateDir, "control.sock"), {
      status: () => this.#status(),
      move: (params) => this.#move(params),
      down: () => this.#down("down"),
    });
    try {
      await this.#installer.check();
      if (await this.#installer.removeLeftovers()) this.#log.warn("removed what an earlier daemon had left behind");
      await this.#installer.install();
      this.#raisePriority(); // before the ports' threads, which have a priority of their own, exist
      this.#dataPlane = new DataPlane(this.#config, this.#native);
      await this.#ring.start();
    } catch (error) {
      await this.#remove();
      throw error;
    }
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void this.#down(signal));
    this.#log.info(
      {
        version: VERSION,
        cluster: this.#config.cluster,
        vips: this.#config.vips.length,
        bound_ms: this.#config.timers.bound_ms,
      },
      "up",
    );
  }

  // --- what the ring tells ---

  onView(view: View): void {
    const members = view.members.map(({ nodeId }) => nodeId);
    const ready = view.members.filter((member) => member.ready).map(({ nodeId }) => nodeId);
    const key = `${members.join()}/${ready.join()}`;
    if (key === this.#readyKey) return;
    this.#readyKey = key;
    this.#dataPlane?.setView(members, ready);
    this.#log.info({ epoch: view.epoch, members, ready }, "view");
    if (view.epoch > this.#mergedEpoch) {
      // Neighbours may have heard another owner while the group was different: say again who is where.
      this.#mergedEpoch = view.epoch;
      this.#dataPlane?.announceAgain();
    }
    this.#refuseForeignKey(members);
  }

  onLease(until_ms: number): void {
    this.#leaseUntil_ms = until_ms;
    this.#dataPlane?.setLease(until_ms);
  }

  onState(state: RaincoreState): void {
    this.#log.info({ state }, "state");
    if (state !== "member") {
      this.#readyKey = "";
      this.#dataPlane?.setView([], []);
    }
    if (state === "closed") this.#onClosed?.();
  }

  onLog(level: "debug" | "info" | "warn", code: string, fields: Record<string, unknown>): void {
    this.#log[level](fields, code);
  }

  #applyAnswers(): void {
    const confirmed = this.#dataPlane?.setAnswers(this.#vips.answers) ?? true;
    if (!confirmed) {
      // The port's thread is stuck in the middle of a batch. The lease is read for every answer: without it none is given.
      this.onLease(0);
      this.#log.error("a front port did not confirm its VIPs in time; its lease is void until the next round");
    }
  }

  /** Alone, though a configured node sends datagrams that do not open: rather not serve than be a second owner. */
  #refuseForeignKey(members: readonly number[]): void {
    const suspects = this.#network.suspectedKeyMismatch;
    if (members.length > 1 || suspects.length === 0) return;
    const names = this.#config.nodes.filter(({ id }) => suspects.includes(id)).map(({ name }) => name);
    const error = new RainfrontError(
      "RF_KEY_MISMATCH",
      `datagrams from ${names.join(", ")} do not open with this node's key, and nobody else is there`,
      { fix: "install the same keyFile on all nodes" },
    );
    process.stderr.write(`rainfront: ${error.toLine()}\n`);
    void this.#down("key mismatch", 1);
  }

  // --- what operators ask ---

  #move({ vip, node }: MoveParams): void {
    if (!this.#config.nodes.some(({ id }) => id === node)) {
      throw new RainfrontError("RF_NODE_UNKNOWN", `there is no node ${node}`, {
        fix: "name a node of the configuration",
      });
    }
    const ready = this.#ring.status().members.some((member) => member.nodeId === node && member.ready);
    if (!ready) {
      throw new RainfrontError("RF_NODE_NOT_READY", `node ${node} is not a ready member now`, {
        fix: "see `rainfront status`, start the node or choose another",
      });
    }
    if (!this.#vips.requestMove(vip, node)) {
      throw new RainfrontError("RF_VIP_UNKNOWN", `there is no VIP ${vip}`, { fix: "name a VIP of the configuration" });
    }
    this.#log.info({ vip, to: node }, "move requested");
  }

  #status(): GatewayStatus {
    const { state, epoch, seq, members, counters } = this.#ring.status();
    const remaining_ms = Math.max(0, this.#leaseUntil_ms - this.#now_ms());
    const nameOf = new Map(this.#config.nodes.map(({ id, name }) => [id, name]));
    return {
      version: VERSION,
      pid: process.pid,
      uptime_s: Math.round((this.#now_ms() - this.#startedAt_ms) / 1000),
      backend: this.#config.backend,
      cluster: this.#config.cluster,
      node: { id: this.#config.node.id, name: this.#config.node.name },
      state,
      epoch,
      seq,
      members: members.map(({ nodeId, ready }) => ({ id: nodeId, name: nameOf.get(nodeId) ?? String(nodeId), ready })),
      lease: { valid: remaining_ms > 0, remaining_ms: Math.round(remaining_ms) },
      bound_ms: this.#config.timers.bound_ms,
      vips: this.#vips.table().map((record) => ({
        address: record.address,
        segment: record.segment,
        currentHost: record.currentHost,
        preferredHost: record.preferredHost,
        persistence: record.persistence,
        answering: remaining_ms > 0 && (this.#vips.answers.get(record.address)?.from_ms ?? Infinity) <= this.#now_ms(),
      })),
      ports: this.#dataPlane?.counters() ?? {},
      ring: { ...counters, ...this.#network.counters() },
    };
  }

  /** Leaves the group, removes everything; the process ends with `status` afterwards. Asked twice, it happens once. */
  #down(why: string, status = 0): Promise<void> {
    this.#leaving ??= this.#leave(why).then(() => {
      // After the answer to `down` has been written.
      setImmediate(() => {
        void this.#control?.close().then(() => this.#finish(status));
      });
    });
    return this.#leaving;
  }

  async #leave(why: string): Promise<void> {
    this.#log.info({ why }, "leaving");
    await new Promise<void>((resolve) => {
      const patience = setTimeout(resolve, LEAVE_PATIENCE_MS);
      this.#onClosed = () => {
        clearTimeout(patience);
        resolve();
      };
      this.#ring.leave();
    });
    this.#ring.stop();
    this.#dataPlane?.close();
    await this.#installer.uninstall();
    this.#log.info("down");
  }

  /** The token must not wait for other work on this machine: a late node is taken for dead. */
  #raisePriority(): void {
    if (this.#native.enterRealtime()) return;
    this.#log.warn("no real-time scheduling (CAP_SYS_NICE): a busy machine may cause false fail-overs");
    try {
      setPriority(constants.priority.PRIORITY_HIGHEST);
    } catch {
      // what the warning says
    }
  }

  async #remove(): Promise<void> {
    this.#ring.stop();
    this.#dataPlane?.close();
    await this.#installer.uninstall();
    await this.#control?.close();
  }
}
