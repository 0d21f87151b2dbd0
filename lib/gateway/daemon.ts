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
import { checkPrivilege, Installer } from "./installer.js";
import { acquireNamespaceLock, type NamespaceLock } from "./namespaceLock.js";
import { RingDriver, type RingListener } from "./ringDriver.js";
import { RingNetwork } from "./ringNetwork.js";
import { describeGateway } from "./status.js";

/** A leave that is not agreed on by then (everybody else is gone) is cut short. */
const LEAVE_PATIENCE_MS = 2_000;
const STARTUP_WAIT_MS = 1_500;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs a gateway until it is told to leave (`rainfront down`, SIGINT, SIGTERM, SIGHUP), which may be while it starts. Rejects with a
 * RainfrontError when it could not start or could not remove something; whatever happens, it first tries to remove everything.
 */
export async function runGateway(config: Config): Promise<number> {
  const gateway = new Gateway(config);
  const onSignal = (signal: NodeJS.Signals): void => gateway.leave(signal);
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    await gateway.run();
    return 0;
  } finally {
    for (const signal of SIGNALS) process.removeListener(signal, onSignal);
  }
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
  #namespaceLock: NamespaceLock | undefined;
  #ringStarted = false;
  #onClosed: (() => void) | undefined;
  #leaseUntil_ms = 0;
  #hadLease = false;
  #readyKey = "";
  #mergedEpoch = 0;
  /** The first cause wins. */
  #leaveCause: LeaveCause | undefined;
  readonly #leaveAsked = signal<void>();
  /** Resolves when everything is removed; true when it could be. */
  readonly #removed = signal<boolean>();

  constructor(config: Config) {
    this.#config = config;
    this.#log = pino(
      { level: config.logLevel, base: { node: config.node.id } },
      pino.destination({ fd: 2, sync: true }),
    );
    this.#native = loadNative();
    this.#startedAt_ms = this.#now_ms();
    this.#installer = new Installer(config, this.#native, this.#log);
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
  }

  #now_ms(): number {
    return Number(this.#native.monotonicNow_ns()) / 1e6;
  }

  /** From the first to the last: whatever ends it, what was installed is removed once, by this function only. */
  async run(): Promise<void> {
    try {
      await this.#start();
      await this.#leaveAsked.promise;
      this.#log.info({ why: this.#leaveCause?.why }, "leaving");
      await this.#leaveGroup();
      if (this.#leaveCause?.error !== undefined) throw this.#leaveCause.error;
    } catch (error) {
      if (!(await this.#remove())) this.#log.error("something could not be removed");
      throw error;
    }
    if (!(await this.#remove())) throw notRemoved();
    this.#log.info("down");
  }

  /** Makes `run` leave the group, remove everything and end. While it starts, after the step that it is at. */
  leave(why: string, error?: RainfrontError): void {
    this.#leaveCause ??= { why, error };
    this.#leaveAsked.resolve();
  }

  async #start(): Promise<void> {
    const steps: readonly (() => Promise<void> | void)[] = [
      () => this.#openControl(),
      checkPrivilege,
      async () => {
        this.#namespaceLock = await acquireNamespaceLock();
      },
      async () => {
        if (await this.#installer.removeLeftovers()) this.#log.warn("removed what an earlier daemon had left behind");
      },
      () => this.#installer.check(),
      () => this.#installer.install(),
      () => this.#raisePriority(), // before the ports' threads, which have a priority of their own, exist
      () => {
        this.#dataPlane = new DataPlane(this.#config, this.#native);
      },
      () => this.#startRing(),
    ];
    for (const step of steps) {
      if (this.#leaveCause !== undefined) return;
      await step();
    }
  }

  async #openControl(): Promise<void> {
    this.#control = await ControlServer.start(join(this.#config.stateDir, "control.sock"), {
      status: () => this.#status(),
      move: (params) => this.#move(params),
      down: async () => {
        this.leave("down");
        if (!(await this.#removed.promise)) throw notRemoved();
      },
    });
  }

  async #startRing(): Promise<void> {
    await this.#ring.start();
    this.#ringStarted = true;
    const { cluster, vips, timers } = this.#config;
    this.#log.info({ version: VERSION, cluster, vips: vips.length, bound_ms: timers.bound_ms }, "up");
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
  }

  onLease(until_ms: number): void {
    if (!this.#hadLease && until_ms > this.#now_ms()) {
      this.#refuseForeignKey();
      this.#hadLease = true;
    }
    if (this.#leaveCause?.error !== undefined) return; // refused to serve
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
    // The new list is in force for every frame from now on. What is not confirmed is one frame: the port's thread was put aside by the
    // scheduler while it dealt with it. Waiting longer would cost the token, which all VIPs depend on.
    if (!confirmed) this.#log.warn("a front port was too slow to confirm its VIPs; one answer may go out late");
  }

  /**
   * At the first lease: about to serve alone, though a configured node sends datagrams that do not open. Rather not serve than be a
   * second owner. Only then: once this node serves, a forged datagram must not be able to stop it.
   */
  #refuseForeignKey(): void {
    const suspects = this.#network.suspectedKeyMismatch;
    if (this.#ring.status().members.length > 1 || suspects.length === 0) return;
    const names = this.#config.nodes.filter(({ id }) => suspects.includes(id)).map(({ name }) => name);
    const error = new RainfrontError(
      "RF_KEY_MISMATCH",
      `datagrams from ${names.join(", ")} do not open with this node's key, and nobody else is there`,
      { fix: "install the same keyFile on all nodes" },
    );
    this.leave("key mismatch", error);
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
    return describeGateway({
      config: this.#config,
      now_ms: this.#now_ms(),
      startedAt_ms: this.#startedAt_ms,
      leaseUntil_ms: this.#leaseUntil_ms,
      ring: this.#ring.status(),
      ringCounters: this.#network.counters(),
      vips: this.#vips,
      ports: this.#dataPlane?.counters() ?? {},
    });
  }

  async #leaveGroup(): Promise<void> {
    if (!this.#ringStarted) return;
    await new Promise<void>((resolve) => {
      const patience = setTimeout(resolve, LEAVE_PATIENCE_MS);
      this.#onClosed = () => {
        clearTimeout(patience);
        resolve();
      };
      this.#ring.leave();
    });
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

  /** Removes everything, its locks last. Never throws; false when something is left. */
  async #remove(): Promise<boolean> {
    let clean = true;
    const steps: readonly (() => Promise<void> | void)[] = [
      () => this.#ring.stop(),
      () => this.#dataPlane?.close(),
      async () => {
        clean = (await this.#installer.uninstall()) && clean;
      },
      () => this.#removed.resolve(clean),
      () => this.#namespaceLock?.release(),
      () => this.#control?.close(), // answers `down` before
    ];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        clean = false;
        this.#log.error({ err: error }, "a step of the removal failed");
      }
    }
    return clean;
  }
}

interface LeaveCause {
  readonly why: string;
  /** What the process ends with. */
  readonly error: RainfrontError | undefined;
}

function notRemoved(): RainfrontError {
  return new RainfrontError("RF_NOT_REMOVED", "something that was installed could not be removed", {
    fix: "mend what the daemon's log names, then run `rainfront up` and `rainfront down` once more",
  });
}

/** A promise that is resolved from outside. */
function signal<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
