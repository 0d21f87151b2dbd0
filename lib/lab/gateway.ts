// One gateway of the lab: a host between both switches with a stateful firewall and a Rainfront daemon (or what it is compared
// with, see services.ts), which can be killed, paused and revived like a machine.

import type { ChildProcess } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { callControl } from "../api/controlClient.js";
import type { GatewayStatus } from "../api/controlProtocol.js";
import { familyOf, hostPrefixLength } from "../config/address.js";
import { CONTROL_SOCKET_NAME } from "../config/options.js";
import { RainfrontError } from "../errors.js";
import { daemonConfig } from "./daemonConfig.js";
import { installFirewall } from "./firewall.js";
import { Host } from "./host.js";
import type { LabSettings } from "./options.js";
import { DAEMON_PROGRAM, STATE_ROOT, testhostProgram } from "./paths.js";
import { startPeer } from "./peerService.js";
import {
  CLIENT_SUBNET,
  familySysctls,
  type GatewayPlan,
  type LabPlan,
  NICS,
  onLink,
  SEGMENTS,
  type Segment,
  SUBNETS6,
} from "./plan.js";
import { type GatewayService, serviceOf } from "./services.js";
import type { Switch } from "./switch.js";
import { now_ms } from "./waiting.js";

/** When the first link went, and the last one. */
const unpluggedSchema = z.object({ from_ms: z.number(), to_ms: z.number() });

export type GatewayState = "off" | "running" | "paused" | "away" | "crashed" | "stopped" | "killed" | "failed";

export interface GatewaySurroundings {
  readonly plan: LabPlan;
  readonly switches: Readonly<Record<Segment, Switch>>;
  readonly settings: LabSettings;
  /** Where the daemon's log goes. */
  readonly logFolder: string;
  readonly keyFile: string;
}

export class Gateway {
  readonly plan: GatewayPlan;
  readonly host: Host;
  readonly #around: GatewaySurroundings;
  #state: GatewayState = "off";
  #service: GatewayService;
  #daemon: ChildProcess | undefined;

  constructor(plan: GatewayPlan, around: GatewaySurroundings) {
    this.plan = plan;
    this.host = new Host(plan.name);
    this.#around = around;
    this.#service = serviceOf(around.settings);
  }

  get state(): GatewayState {
    return this.#state;
  }

  get stateDir(): string {
    return join(STATE_ROOT, this.plan.name);
  }

  get logFile(): string {
    return join(this.#around.logFolder, `${this.plan.name}.log`);
  }

  get daemonPid(): number | undefined {
    return this.#daemon?.pid;
  }

  /** Like a machine that is switched on: nothing of an earlier life is left in it. */
  async boot(): Promise<void> {
    const { plan, switches } = this.#around;
    await this.host.create({
      "net/ipv4/ip_forward": 1,
      // Loose: replies leave by the NIC, not by the interface that the layer delivers on.
      "net/ipv4/conf/all/rp_filter": 2,
      "net/ipv4/conf/default/rp_filter": 2,
      "net/ipv4/conf/all/send_redirects": 0,
      "net/ipv4/conf/default/send_redirects": 0,
      ...familySysctls(plan.families),
      ...(plan.families.includes(6) ? { "net/ipv6/conf/all/forwarding": 1 } : {}),
    });
    await installFirewall(this.host, plan, this.plan.id);
    for (const segment of SEGMENTS) {
      const mac = nicMac(segment, this.plan.id);
      const addresses = [this.plan.addresses[segment], ...this.plan.addresses6[segment]].map(onLink);
      const redirects = this.#around.settings.backend === "xdp";
      await switches[segment].plugIn({ host: this.host, nic: NICS[segment], mac, addresses, redirects });
    }
    await this.host.ip(plan.externalRouters.map((router) => `route add ${clientSubnet(router)} via ${router}`));
    await this.#start();
  }

  /** Begins with this at its next boot. */
  install(service: GatewayService): void {
    this.#service = service;
  }

  get service(): GatewayService {
    return this.#service;
  }

  /** All that its daemons have logged. */
  readLog(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, "utf8") : "";
  }

  /**
   * The whole machine dies. The links go first: else its kernel would answer for a few milliseconds for a daemon that is dead, and the
   * silence that is measured would begin after the failure that others have noticed. Both at one moment: by the one that is left the node would
   * keep its lease. The daemon stops where it is, until `bury`. Resolves with how far apart the links went.
   */
  async kill(): Promise<number> {
    this.#expect("kill", ["running", "paused", "failed"]);
    this.#state = "killed";
    try {
      const nics = SEGMENTS.map((segment) => NICS[segment]).join(",");
      const told = await this.host.run([testhostProgram(), "unplug", "--interfaces", nics]);
      const { from_ms, to_ms } = unpluggedSchema.parse(JSON.parse(told));
      return to_ms - from_ms;
    } finally {
      this.host.freeze(this.#daemon?.pid);
    }
  }

  /**
   * Its daemon ends. All gateways share one machine, and to take a daemon with its packet rings down costs more CPU time than survivors have for a
   * takeover, so this is for afterwards; `revive` does it otherwise.
   */
  bury(): void {
    this.#expect("bury", ["killed"]);
    this.host.killAll();
  }

  async revive(): Promise<void> {
    this.bury();
    for (const segment of SEGMENTS) await this.#around.switches[segment].unplug(this.host);
    await this.host.remove();
    rmSync(this.stateDir, { recursive: true, force: true });
    await this.boot();
  }

  /** Stops the daemon only (all of its threads); the machine's kernel goes on. When that was. */
  pause(): number {
    this.#expect("pause", ["running"]);
    this.#state = "paused";
    this.#daemon?.kill("SIGSTOP");
    return now_ms();
  }

  resume(): void {
    this.#expect("resume", ["paused"]);
    this.#state = "running";
    this.#daemon?.kill("SIGCONT");
  }

  /** Its daemon ends in the middle of what it does; the machine's kernel goes on with whatever was installed. Resolves when it has ended, with when it was killed. */
  async crash(): Promise<number> {
    this.#expect("crash the daemon of", ["running"]);
    this.#state = "crashed";
    const daemon = this.#daemon;
    if (daemon === undefined) throw new RainfrontError("RF_LAB_REFUSED", `${this.plan.name} has no daemon`);
    const ended = new Promise<void>((resolve) => daemon.once("exit", () => resolve()));
    daemon.kill("SIGKILL");
    const killed_ms = now_ms();
    await ended;
    return killed_ms;
  }

  /** Its daemon leaves the group and removes what it had installed, as an operator would have it; the machine's kernel goes on. */
  async stopService(): Promise<void> {
    this.#expect("stop the service of", ["running"]);
    const daemon = this.#daemon;
    if (daemon === undefined) throw new RainfrontError("RF_LAB_REFUSED", `${this.plan.name} has no daemon`);
    this.#state = "stopped";
    const ended = new Promise<void>((resolve) => daemon.once("exit", () => resolve()));
    daemon.kill("SIGTERM");
    await ended;
  }

  /** Its service is started on what a crashed one has left, or anew. */
  async startAgain(): Promise<void> {
    this.#expect("start", ["crashed", "stopped"]);
    await this.#start();
  }

  /** Its daemon goes, with the others' agreement, and comes back: its kernel and its data plane go on meanwhile. */
  async restartDaemon(away_ms: number): Promise<void> {
    this.#expect("restart the daemon of", ["running"]);
    const daemon = this.#daemon;
    if (daemon === undefined || this.#service.kind !== "rainfront") {
      throw new RainfrontError("RF_LAB_REFUSED", `${this.plan.name} has no daemon that could be away`);
    }
    this.#state = "away";
    const ended = new Promise<void>((resolve) => daemon.once("exit", () => resolve()));
    try {
      await callControl(join(this.stateDir, CONTROL_SOCKET_NAME), "away", { for_ms: away_ms }, { timeout_ms: 10_000 });
    } catch (error) {
      this.#state = "running";
      throw error;
    }
    await ended;
    this.#startDaemon(this.#service);
    this.#state = "running";
  }

  async status(timeout_ms = 1000): Promise<GatewayStatus> {
    return callControl(join(this.stateDir, CONTROL_SOCKET_NAME), "status", {}, { timeout_ms });
  }

  async #start(): Promise<void> {
    mkdirSync(this.stateDir, { recursive: true, mode: 0o700 });
    const service = this.#service;
    switch (service.kind) {
      case "rainfront":
        this.#startDaemon(service);
        break;
      case "keepalived":
        await this.#startPeer(service);
        break;
      case "plain":
        await this.#holdVips();
        break;
    }
    this.#state = "running";
  }

  #startDaemon({ backend, failoverTarget_ms, quorum }: Extract<GatewayService, { kind: "rainfront" }>): void {
    const { plan, keyFile } = this.#around;
    const { stateDir } = this;
    const { keepConnections, assignment, stickiness } = this.#around.settings;
    const settings = {
      nodeId: this.plan.id,
      keyFile,
      stateDir,
      failoverTarget_ms,
      backend,
      keepConnections,
      assignment,
      stickiness,
    };
    const configFile = join(stateDir, "rainfront.yaml");
    writeFileSync(configFile, daemonConfig(plan, quorum === undefined ? settings : { ...settings, quorum }));
    this.#watch(this.#spawn([process.execPath, DAEMON_PROGRAM, "up", "--config", configFile]));
  }

  async #startPeer(service: Extract<GatewayService, { kind: "keepalived" }>): Promise<void> {
    const { plan } = this.#around;
    const start = (argv: readonly string[]) => this.#spawn(argv);
    const around = { host: this.host, plan, nodeId: this.plan.id, nics: NICS, folder: this.stateDir, start };
    this.#watch(await startPeer(around, service));
  }

  /** What it says goes into the gateway's log. */
  #spawn(argv: readonly string[]): ChildProcess {
    const log = openSync(this.logFile, "a", 0o600);
    const program = this.host.spawn(argv, { stdio: ["ignore", log, log] });
    closeSync(log);
    return program;
  }

  /** By this one the gateway lives. */
  #watch(daemon: ChildProcess): void {
    this.#daemon = daemon;
    daemon.on("exit", (code, signal) => {
      appendFileSync(this.logFile, `${JSON.stringify({ msg: "daemon_ended", code, signal, while: this.#state })}\n`);
      if (this.#daemon === daemon && this.#state === "running") this.#state = "failed";
    });
  }

  /** Without a layer: this gateway simply has its share of the VIPs, as a control experiment. */
  async #holdVips(): Promise<void> {
    const { plan } = this.#around;
    const share = (_: string, index: number) => index % plan.gateways.length === this.plan.id - 1;
    await this.host.ip(
      SEGMENTS.flatMap((segment) =>
        plan.vips[segment]
          .filter(share)
          .map((address) => `addr add ${address}/${hostPrefixLength(address)} dev ${NICS[segment]}`),
      ),
    );
  }

  #expect(action: string, allowed: readonly GatewayState[]): void {
    if (allowed.includes(this.#state)) return;
    throw new RainfrontError("RF_LAB_REFUSED", `cannot ${action} ${this.plan.name}: it is ${this.#state}`);
  }
}

function clientSubnet(router: string): string {
  return familyOf(router) === 6 ? SUBNETS6.client : CLIENT_SUBNET;
}

/** Of a gateway's NIC; its front MAC is another (lib/steering/frontMac.ts). */
export function nicMac(segment: Segment, nodeId: number): string {
  return `06:00:00:00:${hex(SEGMENTS.indexOf(segment) + 1)}:${hex(nodeId)}`;
}

function hex(value: number): string {
  return value.toString(16).padStart(2, "0");
}
