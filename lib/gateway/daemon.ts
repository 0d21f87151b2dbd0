// The daemon of one node: installs, starts the ring's thread with the gateway's plugin in it, answers operators, removes. Started by
// `rainfront up`.

import { join } from "node:path";
import { type Logger, pino } from "pino";
import { ControlServer } from "../api/control.js";
import type { AwayParams, DrainParams, GatewayStatus, MoveParams } from "../api/controlProtocol.js";
import { type Config, type NodeConfig, SEGMENT_NAMES, type SegmentName } from "../config/config.js";
import { readKeyFile } from "../config/keyFile.js";
import { CONTROL_SOCKET_NAME } from "../config/options.js";
import { ConnectionKeeper } from "../conntrack/connectionKeeper.js";
import { RainfrontError } from "../errors.js";
import { loadNative, type NativeAddon, type PortBackend } from "../native.js";
import { Raincore } from "../session/raincore.js";
import { countsLoads } from "../steering/services.js";
import { VERSION } from "../version.js";
import type { AbsenceOutcome, AbsenceRefusal } from "../vip/absences.js";
import { awayError, awayFor_ms } from "./away.js";
import { chooseBackend } from "./backend.js";
import { warnings } from "./doctor.js";
import { DrainWatch } from "./drainWatch.js";
import { type FlowInquiry, flowInquiryOver } from "./flowInquiry.js";
import type { GatewayEvent, GatewayPluginData } from "./gatewayPlugin.js";
import { Installer } from "./installer.js";
import { LoadWatch } from "./loadWatch.js";
import { RingLocks } from "./lockProvider.js";
import { acquireNamespaceLock, type NamespaceLock } from "./namespaceLock.js";
import { checkPrivilege } from "./privilege.js";
import { ProgramWatch } from "./programWatch.js";
import { describeStarting } from "./status.js";

/** A leave that is not agreed on by then (everybody else is gone) is cut short. */
const LEAVE_PATIENCE_MS = 2_000;
/** In a ring that turns, the others have agreed within a few rounds. */
const AWAY_PATIENCE_MS = 5_000;
/** Why a daemon leaves that is to be started again. */
const AWAY = "away";
const PLUGIN = new URL(import.meta.url.endsWith(".ts") ? "./gatewayPlugin.ts" : "./gatewayPlugin.js", import.meta.url)
  .href;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs a gateway until it is told to leave (`rainfront down`, SIGINT, SIGTERM, SIGHUP), which may be while it starts. Rejects with a
 * RainfrontError when it could not start or could not remove something; whatever happens, it first tries to remove everything, but for what serves for a
 * daemon that is away.
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

class Gateway {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #native: NativeAddon;
  readonly #installer: Installer;
  readonly #watch: ProgramWatch;
  readonly #drainWatch: DrainWatch;
  readonly #loadWatch: LoadWatch | undefined;
  readonly #startedAt_ms: number;
  #backend: PortBackend = "af_packet";
  #ring: Raincore | undefined;
  #inquiry: FlowInquiry | undefined;
  #keeper: ConnectionKeeper | undefined;
  #hasTriedToKeep = false;
  #control: ControlServer | undefined;
  #namespaceLock: NamespaceLock | undefined;
  /** The first cause wins. */
  #leaveCause: LeaveCause | undefined;
  #absence:
    | { readonly promise: Promise<AbsenceOutcome>; readonly resolve: (outcome: AbsenceOutcome) => void }
    | undefined;
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
    this.#drainWatch = new DrainWatch({
      keeper: () => this.#keeper,
      tell: async (isDone) => void (await this.#requireRing().call("drained", { isDone })),
    });
    if (countsLoads([config, ...config.services]))
      this.#loadWatch = new LoadWatch(async (busy) => void (await this.#requireRing().call("load", { busy })));
    this.#watch = new ProgramWatch(config, this.#native.xdp, async (segment) => {
      await this.#requireRing().call("attachAgain", { segment });
    });
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
      this.#leaveToEarlier();
      if (!(await this.#remove())) this.#log.error("something could not be removed");
      throw error;
    }
    if (!(await this.#remove())) throw notRemoved();
    this.#log.info("down");
  }

  /** A start that fails takes nothing from the network that the daemon before it, which is away, still gives. */
  #leaveToEarlier(): void {
    if (this.#ring !== undefined || this.#leaveCause !== undefined) return;
    try {
      if (this.#installer.awayFor_ms() === 0) return;
    } catch (err) {
      this.#log.error({ err }, "it cannot be told whether an earlier daemon is away: nothing is removed");
    }
    this.#log.warn("what an earlier daemon left serves on, for as long as that one said");
    this.#leaveCause = { why: AWAY, error: undefined };
  }

  /** Makes `run` leave the group, remove everything and end. While it starts, after the step that it is at. */
  leave(why: string, error?: Error): void {
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
        this.#backend = await chooseBackend(this.#config, this.#native, this.#log);
      },
      async () => {
        const left = await this.#installer.takeLeftovers(this.#backend);
        if (left === "removed") this.#log.warn("removed what an earlier daemon had left behind");
        if (left === "kept") this.#log.info("goes on with what an earlier daemon had installed");
      },
      () => this.#installer.check(),
      async () => {
        for (const finding of await warnings(this.#config, this.#native)) this.#log.warn(finding, "the doctor warns");
      },
      () => this.#installer.install(this.#backend),
      () => this.#startRing(),
      () => this.#letIn(),
    ];
    for (const step of steps) {
      if (this.#leaveCause !== undefined) return;
      await step();
    }
  }

  async #openControl(): Promise<void> {
    this.#control = await ControlServer.start(join(this.#config.stateDir, CONTROL_SOCKET_NAME), {
      status: () => this.#status(),
      move: (params) => this.#move(params),
      drain: (params) => this.#drain(params),
      flows: (params) => this.#requireInquiry().flows(params),
      explain: (params) => this.#requireInquiry().explain(params),
      join: () => this.#requireRing().join(),
      reloadKeys: () => this.#reloadKeys(),
      locks: new RingLocks(() => this.#requireRing(), this.#config.nodes, this.#log),
      away: (params) => this.#goAway(params),
      down: async () => {
        this.leave("down");
        if (!(await this.#removed.promise)) throw notRemoved();
        const left_ms = this.#leaveCause?.why === AWAY ? awayFor_ms(this.#config, this.#native) : 0;
        if (left_ms > 0) throw awayError(left_ms);
      },
    });
  }

  async #startRing(): Promise<void> {
    const { cluster, clusterKeys, node, nodes, ring, failoverTarget_ms, quorum, rejoin, vips, timers } = this.#config;
    const addressesOf = (config: NodeConfig): string[] => ring.segments.map((segment) => config.addresses[segment]);
    // The keys are the channel's alone.
    const data: GatewayPluginData = {
      config: { ...this.#config, clusterKeys: [] },
      backend: this.#backend,
      startedAt_ms: this.#startedAt_ms,
    };
    this.#ring = await Raincore.start({
      cluster,
      clusterKey: clusterKeys,
      nodeId: node.id,
      addresses: addressesOf(node),
      peers: nodes
        .filter(({ id }) => id !== node.id)
        .map((peer) => ({ nodeId: peer.id, addresses: addressesOf(peer) })),
      port: ring.port,
      failoverTarget_ms,
      quorum,
      rejoin,
      realtime: "process",
      plugin: { module: PLUGIN, data },
    });
    this.#ring.on("log", ({ level, code, fields }) => this.#log[level](fields, code));
    this.#ring.on("state", (state) => this.#log.info({ state }, "state"));
    this.#inquiry = flowInquiryOver(this.#ring, {
      config: this.#config,
      native: this.#native,
      replica: (flow) => this.#keeper?.replica(flow),
    });
    this.#ring.on("direct", ({ from, bytes }) => {
      if (this.#inquiry?.receive(from, bytes) !== true) this.#keeper?.receive(from, bytes);
    });
    this.#ring.on("plugin", (event) => this.#onGatewayEvent(event as GatewayEvent));
    this.#ring.on("close", (error) => {
      if (error !== undefined) this.leave("the ring broke down", error);
    });
    this.#log.info({ version: VERSION, cluster, vips: vips.length, bound_ms: timers.bound_ms }, "up");
  }

  #share(sharing: Extract<GatewayEvent, { type: "sharing" }>): void {
    if (this.#ring !== undefined && !this.#hasTriedToKeep)
      this.#keeper = this.#keepConnections(this.#ring, sharing.flows);
    this.#hasTriedToKeep = true;
    this.#keeper?.become(sharing);
  }

  /** Without connection tracking there is nothing that a gateway takes along when it dies. */
  #keepConnections(ring: Raincore, flows: number | undefined): ConnectionKeeper | undefined {
    try {
      return new ConnectionKeeper({
        self: this.#config.node.id,
        native: this.#native,
        flows,
        send: (node, bytes) => ring.send(node, bytes),
        log: this.#log,
      });
    } catch (err) {
      this.#log.warn(
        { err },
        "connections do not outlive their gateway: the kernel's connection tracking cannot be heard",
      );
      return undefined;
    }
  }

  /** What is passed to the kernel has its way in. */
  #letIn(): void {
    if (this.#backend !== "xdp") return;
    this.#installer.letIn();
    for (const name of SEGMENT_NAMES) this.#noteGeneric(name);
    this.#watch.start();
  }

  /** The NIC's driver runs no programs: the kernel does, behind it, on frames that may be merged by then. */
  #noteGeneric(name: SegmentName): void {
    const nic = this.#config.segments[name].interface;
    const { xdp } = this.#native;
    if (xdp?.attached(nic)?.isGeneric !== true) return;
    this.#installer.showWhole(name);
    const does = xdp.driverRuns(nic) === true ? "runs XDP programs, but not" : "runs no XDP programs, or not";
    this.#log.warn(
      { nic },
      `the NIC's driver ${does} as the NIC is set up (MTU, queues): the program runs behind the driver, and slower`,
    );
  }

  /** The program was put on anew. */
  #onProgramBack(name: SegmentName): void {
    const nic = this.#config.segments[name].interface;
    try {
      this.#installer.fitForProgram(name);
      this.#log.warn({ nic }, "somebody took the XDP program off; it is back");
      this.#noteGeneric(name);
    } catch (err) {
      // Where the NIC is gone, the watch says so within a second.
      this.#log.error({ nic, err }, "the NIC's features are not as the program needs them");
    }
  }

  #onGatewayEvent(event: GatewayEvent): void {
    switch (event.type) {
      case "view": {
        const { epoch, members, ready } = event;
        this.#log.info({ epoch, members, ready }, "view");
        break;
      }
      case "sharing":
        this.#share(event);
        break;
      case "draining":
        this.#log.info({ isDraining: event.isDraining }, "drain");
        this.#drainWatch.become(event.isDraining);
        break;
      case "programBack":
        this.#onProgramBack(event.segment);
        break;
      case "keyMismatch":
        this.leave("key mismatch", this.#keyMismatch(event.nodes));
        break;
      case "absence":
        // Also where nobody waits for it any more: the data plane goes by itself from now on.
        if (event.outcome.agreed) this.leave(AWAY);
        this.#absence?.resolve(event.outcome);
        break;
      case "dataPlaneFailed":
        // At once: the group may take a while to let this node go.
        void this.#installer.shutOut().catch((err: unknown) => this.#log.error({ err }, "packets still have a way in"));
        this.leave(
          "the data plane failed",
          new RainfrontError("RF_DATA_PLANE", `the data plane ${event.why}`, {
            fix: "see the reason in the message; backend: af_packet may do",
          }),
        );
        break;
      default:
        event satisfies never;
    }
  }

  #keyMismatch(nodes: readonly number[]): RainfrontError {
    const names = this.#config.nodes.filter(({ id }) => nodes.includes(id)).map(({ name }) => name);
    return new RainfrontError(
      "RF_KEY_MISMATCH",
      `datagrams from ${names.join(", ")} do not open with this node's key, and nobody else is there`,
      { fix: "install the same keyFile on all nodes" },
    );
  }

  // --- what operators ask ---

  #requireNode(node: number): void {
    if (this.#config.nodes.some(({ id }) => id === node)) return;
    throw new RainfrontError("RF_NODE_UNKNOWN", `there is no node ${node}`, {
      fix: "name a node of the configuration",
    });
  }

  async #drain(params: DrainParams): Promise<void> {
    this.#requireNode(params.node);
    await this.#requireRing().call("drain", params);
    this.#log.info(params, "drain requested");
  }

  async #move(params: MoveParams): Promise<void> {
    this.#requireNode(params.node);
    await this.#requireRing().call("move", params);
    this.#log.info({ vip: params.vip, to: params.node }, "move requested");
  }

  /** Resolves when this node has left, and its data plane goes on. */
  async #goAway(params: AwayParams): Promise<void> {
    const ring = this.#requireRing();
    if (this.#absence !== undefined) throw awayRefused("it is asked for already");
    this.#absence = signal<AbsenceOutcome>();
    try {
      await ring.call("away", params);
      const outcome = await withPatience(this.#absence.promise, AWAY_PATIENCE_MS);
      if (outcome === undefined) throw awayRefused("the token did not come");
      if (!outcome.agreed) throw awayRefused(AWAY_REFUSALS[outcome.why]);
    } finally {
      this.#absence = undefined;
    }
    await this.#removed.promise;
  }

  async #status(): Promise<GatewayStatus> {
    if (this.#ring === undefined) return describeStarting(this.#config, this.#now_ms(), this.#startedAt_ms);
    const status = (await this.#ring.call("status", undefined)) as GatewayStatus;
    return this.#keeper === undefined ? status : { ...status, connections: this.#keeper.figures };
  }

  async #reloadKeys(): Promise<{ readonly keys: number }> {
    const keys = readKeyFile(this.#config.keyFile, (message, fix) => {
      return new RainfrontError("RF_CONFIG_KEY_FILE", `${message}; the keys are as they were`, { fix });
    });
    await this.#requireRing().setKeys(keys);
    this.#log.info({ keys: keys.length }, "keys reloaded");
    return { keys: keys.length };
  }

  #requireRing(): Raincore {
    return this.#ring ?? starting();
  }

  #requireInquiry(): FlowInquiry {
    return this.#inquiry ?? starting();
  }

  async #leaveGroup(): Promise<void> {
    const ring = this.#ring;
    if (ring === undefined) return;
    await withPatience(ring.leave(), LEAVE_PATIENCE_MS);
  }

  /** Removes everything, its locks last. Never throws; false when something is left. */
  async #remove(): Promise<boolean> {
    let clean = true;
    const steps: readonly (() => Promise<void> | void)[] = [
      () => this.#watch.stop(),
      async () => {
        if (this.#backend === "xdp" && this.#leaveCause?.why !== AWAY) await this.#installer.shutOut();
      },
      () => {
        this.#drainWatch.stop();
        this.#loadWatch?.stop();
        this.#keeper?.close();
        this.#keeper = undefined;
      },
      () => this.#ring?.close(), // with the data plane in it
      async () => {
        // Away, what is installed goes on without this process.
        if (this.#leaveCause?.why !== AWAY) clean = (await this.#installer.uninstall()) && clean;
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
  readonly error: Error | undefined;
}

function starting(): never {
  throw new RainfrontError("RF_STARTING", "the daemon is still starting", { fix: "try again in a moment" });
}

function notRemoved(): RainfrontError {
  return new RainfrontError("RF_NOT_REMOVED", "something that was installed could not be removed", {
    fix: "mend what the daemon's log names, then run `rainfront up` and `rainfront down` once more",
  });
}

const AWAY_REFUSALS: Readonly<Record<AbsenceRefusal, string>> = {
  not_ready: "this node is no ready member",
  not_quorate_without: "without it the others have no quorum",
  not_everybody_here: "a configured node is not a ready member, and could not hear of it",
  somebody_is_absent: "another node is away",
  is_absent: "it is away already",
  not_known_to_all: "not all members could be told",
};

function awayRefused(why: string): RainfrontError {
  return new RainfrontError("RF_AWAY_REFUSED", `the daemon cannot be away now: ${why}`, {
    fix: "try again when all nodes are ready members, or use `rainfront down`",
  });
}

/** Undefined: it took longer. */
async function withPatience<T>(promise: Promise<T>, patience_ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), patience_ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A promise that is resolved from outside. */
function signal<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
