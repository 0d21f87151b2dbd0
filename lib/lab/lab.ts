// The lab as a whole: builds every host of the plan, starts what runs on them, and offers the parts to scenarios and to the
// live table. Runs inside the isolation (isolation.ts): nothing here needs to be taken down, it all ends with the process.

import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { RainfrontError } from "../errors.js";
import { waitForCluster } from "./cluster.js";
import { run } from "./commands.js";
import { invalidPackets, readFirewall } from "./firewall.js";
import { Gateway } from "./gateway.js";
import { Host } from "./host.js";
import { LoadDriver } from "./loadDriver.js";
import { Observer, type ObserverReport } from "./observer.js";
import { LAB_OFFLOADS } from "./offloads.js";
import type { LabSettings } from "./options.js";
import { INTERNAL_SUBNET, type LabPlan, planLab, type Segment, type TesterPlan } from "./plan.js";
import { type ProbeReport, Prober } from "./probes.js";
import { Server } from "./servers.js";
import { Switch } from "./switch.js";
import { waitFor } from "./waiting.js";

const KEY_FILE = "/run/rflab/cluster.key";
const START_DEADLINE_MS = 30_000;

export type Say = (line: string) => void;

export class Lab {
  readonly settings: LabSettings;
  readonly plan: LabPlan;
  readonly client = new Host("client");
  readonly router = new Host("router");
  readonly switches: Readonly<Record<Segment, Switch>> = {
    external: new Switch("sw-ext"),
    internal: new Switch("sw-int"),
  };
  readonly gateways: readonly Gateway[];
  readonly servers: readonly Server[];
  readonly #testers = new Map<string, Host>();
  #observers: readonly Observer[] = [];
  #probers: readonly Prober[] = [];
  #load: LoadDriver | undefined;
  readonly #logFolder: string;

  constructor(settings: LabSettings, logFolder: string) {
    this.settings = settings;
    this.plan = planLab(settings);
    this.#logFolder = logFolder;
    const around = { plan: this.plan, switches: this.switches, settings, logFolder, keyFile: KEY_FILE };
    this.gateways = this.plan.gateways.map((gateway) => new Gateway(gateway, around));
    this.servers = this.plan.servers.map((server) => new Server(server));
    for (const tester of [...this.plan.observers, ...this.plan.probers]) {
      this.#testers.set(tester.name, new Host(tester.name));
    }
  }

  /** Everything runs, the cluster is settled and the servers listen. */
  async bringUp(say: Say): Promise<void> {
    const { nodes, servers, backend } = this.settings;
    say(`bringing up ${nodes} gateways (${backend}) and ${servers} servers`);
    mkdirSync("/run/rflab", { recursive: true, mode: 0o755 });
    writeFileSync(KEY_FILE, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
    await Promise.all([this.switches.external.power(), this.switches.internal.power()]);
    await this.#buildClientSide();
    await Promise.all([
      ...this.gateways.map((gateway) => gateway.boot()),
      ...this.servers.map((server, index) => server.boot(this.switches.internal, index, this.#logFolder)),
      ...[...this.plan.observers, ...this.plan.probers].map((tester, index) => this.#buildTester(tester, index)),
    ]);
    await Promise.all(this.servers.map((server) => this.#waitForServer(server)));
    if (backend !== "none") await waitForCluster(this.gateways, { deadline_ms: START_DEADLINE_MS }, { spread: true });
    this.#startMeasuring();
    say("the lab is up");
  }

  get observers(): readonly Observer[] {
    return this.#observers;
  }

  get probers(): readonly Prober[] {
    return this.#probers;
  }

  get load(): LoadDriver {
    if (this.#load === undefined) throw new Error("the lab is not up");
    return this.#load;
  }

  gateway(name: string): Gateway {
    const found = this.gateways.find((gateway) => gateway.plan.name === name || String(gateway.plan.id) === name);
    if (found !== undefined) return found;
    const names = this.gateways.map((gateway) => gateway.plan.name).join(", ");
    throw new RainfrontError("RF_LAB_REFUSED", `there is no gateway ${name}`, { fix: `name one of ${names}` });
  }

  host(name: string): Host {
    const hosts = [
      ...[this.client, this.router, this.switches.external, this.switches.internal, ...this.#testers.values()],
      ...this.gateways.map((gateway) => gateway.host),
      ...this.servers.map((server) => server.host),
    ];
    const found = hosts.find((host) => host.name === name);
    if (found !== undefined) return found;
    const names = hosts.map((host) => host.name).join(", ");
    throw new RainfrontError("RF_LAB_REFUSED", `there is no host ${name}`, { fix: `name one of ${names}` });
  }

  /** Begins to ping every VIP; resolves when all have answered. A scenario that needs no probes does without their load. */
  async startProbing(): Promise<void> {
    const { plan } = this;
    this.#probers = plan.probers.map((p) => new Prober(this.host(p.name), p.address, plan.vips[p.segment]));
    await waitFor("every VIP answers", { deadline_ms: START_DEADLINE_MS }, async () => {
      const silent = (await this.probe()).flatMap((report) => report.targets).filter((target) => target.received === 0);
      return silent.length === 0 ? { met: true } : { unmet: `${silent.map((target) => target.target)} silent` };
    });
  }

  /** Starts a new window of observation on both segments. */
  resetTesters(): void {
    for (const tester of [...this.#observers, ...this.#probers]) tester.reset();
  }

  async observe(): Promise<readonly ObserverReport[]> {
    return Promise.all(this.#observers.map((observer) => observer.report()));
  }

  async probe(): Promise<readonly ProbeReport[]> {
    return Promise.all(this.#probers.map((prober) => prober.report()));
  }

  /** Packets that the firewalls of all living gateways could not assign to a connection. */
  async invalidPackets(): Promise<number> {
    const living = this.gateways.filter((gateway) => gateway.state !== "killed");
    const counters = await Promise.all(living.map((gateway) => readFirewall(gateway.host)));
    return counters.reduce((sum, each) => sum + invalidPackets(each), 0);
  }

  async #buildClientSide(): Promise<void> {
    const { plan, client, router } = this;
    await Promise.all([
      client.create(),
      router.create({
        "net/ipv4/ip_forward": 1,
        "net/ipv4/fib_multipath_hash_policy": 1,
        "net/ipv4/conf/all/send_redirects": 0,
        "net/ipv4/conf/default/send_redirects": 0,
      }),
    ]);
    await run([
      ...["ip", "link", "add", "eth0", "netns", client.namespace, "type", "veth"],
      ...["peer", "name", "lan0", "netns", router.namespace],
    ]);
    await Promise.all([
      client.run(["ethtool", "-K", "eth0", ...LAB_OFFLOADS]),
      router.run(["ethtool", "-K", "lan0", ...LAB_OFFLOADS]),
      router.ip([`addr add ${plan.clientRouter}/24 dev lan0`, "link set lan0 up"]),
      client.ip([
        ...plan.clientAddresses.map((address) => `addr add ${address}/24 dev eth0`),
        "link set eth0 up",
        `route add default via ${plan.clientRouter}`,
      ]),
    ]);
    await this.switches.external.plugIn({
      host: router,
      nic: "wan0",
      mac: "06:00:00:02:01:01",
      addresses: [`${plan.externalRouter}/24`],
    });
    const hops = plan.vips.external.map((vip) => `nexthop via ${vip} dev wan0`).join(" ");
    await router.ip([`route add ${INTERNAL_SUBNET} ${hops}`]);
  }

  async #buildTester(tester: TesterPlan, index: number): Promise<void> {
    const host = this.host(tester.name);
    await host.create();
    await this.switches[tester.segment].plugIn({
      host,
      nic: "eth0",
      mac: `06:00:00:03:00:0${index + 1}`,
      addresses: [`${tester.address}/24`],
    });
  }

  async #waitForServer(server: Server): Promise<void> {
    await waitFor(`${server.plan.name} listens`, { deadline_ms: START_DEADLINE_MS }, async () =>
      (await server.listening()) ? { met: true } : { unmet: "ports are closed" },
    );
  }

  #startMeasuring(): void {
    const { plan } = this;
    const vips = (tester: TesterPlan) => plan.vips[tester.segment];
    this.#observers = plan.observers.map((o) => new Observer(this.host(o.name), "eth0", o.address, vips(o)));
    this.#load = new LoadDriver(
      this.client,
      plan.clientAddresses,
      plan.servers.map((server) => server.address),
    );
  }
}
