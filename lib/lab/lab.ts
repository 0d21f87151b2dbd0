// The lab as a whole: builds every host of the plan, starts what runs on them, and offers the parts to scenarios and to the
// live table. Runs inside the isolation (isolation.ts): nothing here needs to be taken down, it all ends with the process.

import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { familyOf } from "../config/address.js";
import { RainfrontError } from "../errors.js";
import { waitForCluster } from "./cluster.js";
import { run } from "./commands.js";
import {
  type FirewallCounters,
  type FirewallDuty,
  installFirewall,
  invalidPackets,
  readFirewall,
  refusedPackets,
} from "./firewall.js";
import { Gateway } from "./gateway.js";
import { Host } from "./host.js";
import { LoadDriver } from "./loadDriver.js";
import { Observer, type ObserverReport } from "./observer.js";
import { LAB_OFFLOADS } from "./offloads.js";
import type { LabSettings } from "./options.js";
import { ownersNow } from "./ownerTimes.js";
import { STATE_ROOT } from "./paths.js";
import {
  familySysctls,
  HTTP_PORT,
  INTERNAL_SUBNET,
  type LabPlan,
  ofFamilyOf,
  onLink,
  planLab,
  RING_PORT,
  SEGMENTS,
  type Segment,
  SUBNETS6,
  type TesterPlan,
} from "./plan.js";
import { type ProbeReport, Prober } from "./probes.js";
import { Programs } from "./programs.js";
import { LISTENER_SYSCTLS, Server, startNginx } from "./servers.js";
import { describeService, type GatewayService } from "./services.js";
import { Standstill } from "./standstill.js";
import { Switch } from "./switch.js";
import { NO_RULES, ringCutRules, splitRules } from "./switchRules.js";
import { now_ms, waitFor } from "./waiting.js";

const KEY_FILE = join(STATE_ROOT, "cluster.key");
const START_DEADLINE_MS = 30_000;

/** A VIP that was not answered for so long has no owner: each is asked for every few milliseconds. */
const SILENT_MS = 100;

/** A cut takes effect at some time between these two: the switches are told at once but obey one after the other. */
export interface CutTime {
  readonly from_ms: number;
  readonly to_ms: number;
}

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
  readonly clientPrograms: Programs;
  #clientServes = false;
  readonly #testers = new Map<string, Host>();
  #observers: readonly Observer[] = [];
  #farObservers: readonly Observer[] = [];
  #probers: readonly Prober[] = [];
  #load: LoadDriver | undefined;
  #standstill: Standstill | undefined;
  readonly #logFolder: string;

  constructor(settings: LabSettings, logFolder: string) {
    this.settings = settings;
    this.plan = planLab(settings);
    this.#logFolder = logFolder;
    const around = { plan: this.plan, switches: this.switches, settings, logFolder, keyFile: KEY_FILE };
    this.gateways = this.plan.gateways.map((gateway) => new Gateway(gateway, around));
    this.servers = this.plan.servers.map((server) => new Server(server, logFolder));
    this.clientPrograms = new Programs(this.client, join(logFolder, "client.log"));
    for (const tester of [...this.plan.observers, ...this.plan.farObservers, ...this.plan.probers]) {
      this.#testers.set(tester.name, new Host(tester.name));
    }
  }

  /** Everything runs, the cluster is settled and the servers listen. */
  async bringUp(say: Say): Promise<void> {
    const { nodes, servers, backend } = this.settings;
    say(`bringing up ${nodes} gateways (${backend}) and ${servers} servers`);
    mkdirSync(STATE_ROOT, { recursive: true, mode: 0o755 });
    writeFileSync(KEY_FILE, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
    const { families } = this.plan;
    await Promise.all(SEGMENTS.map((segment) => this.switches[segment].power(families)));
    await this.#buildClientSide();
    await Promise.all([
      ...this.gateways.map((gateway) => gateway.boot()),
      ...this.servers.map((server, index) => server.boot(this.switches.internal, index, this.plan.families)),
      ...[...this.plan.observers, ...this.plan.probers].map((tester, index) => this.#buildTester(tester, index)),
    ]);
    await Promise.all(this.servers.map((server) => server.listening()));
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

  get standstill(): Standstill {
    if (this.#standstill === undefined) throw new Error("the lab is not up");
    return this.#standstill;
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

  /** Switches every gateway off, and these on again with this service; resolves when it holds all VIPs. */
  async deploy(service: GatewayService, say: Say, on: readonly Gateway[] = this.gateways): Promise<void> {
    const which = on.length === this.gateways.length ? "all gateways" : on.map(({ plan }) => plan.name).join(" and ");
    say(`starting ${which} with ${describeService(service)}`);
    await Promise.all(this.gateways.filter((gateway) => gateway.state !== "killed").map((gateway) => gateway.kill()));
    for (const gateway of this.gateways) gateway.bury();
    for (const gateway of on) gateway.install(service);
    await Promise.all(on.map((gateway) => gateway.revive()));
    if (service.kind === "rainfront") {
      await waitForCluster(on, { deadline_ms: START_DEADLINE_MS }, { spread: true });
    }
    await this.waitForSingleOwners();
    if (this.#probers.length > 0) await this.#waitForProbes();
  }

  /** Resolves when the observers hear each VIP from one MAC and no other. */
  async waitForSingleOwners(): Promise<ReadonlyMap<string, string>> {
    return waitFor("every VIP has one owner", { deadline_ms: START_DEADLINE_MS }, async () => {
      const seen = (await this.observe()).map((report) => ownersNow(report, SILENT_MS));
      const problem = seen.find((each) => each.problem !== undefined)?.problem;
      return problem === undefined ? { met: new Map(seen.flatMap(({ owners }) => [...owners])) } : { unmet: problem };
    });
  }

  /** Begins to ping every VIP; resolves when all answer. A scenario that needs no probes does without their load. */
  async startProbing(): Promise<void> {
    const { plan } = this;
    if (this.#probers.length === 0) {
      this.#probers = plan.probers.map(
        (p) => new Prober(this.host(p.name), p.address, ofFamilyOf(p.address, plan.vips[p.segment])),
      );
    }
    await this.#waitForProbes();
  }

  /** The client answers HTTP requests, too: for connections that are opened from inside. */
  async serveFromClient(): Promise<void> {
    if (!this.#clientServes) startNginx(this.client, this.clientPrograms, this.plan.families);
    this.#clientServes = true;
    await this.clientPrograms.listening([HTTP_PORT]);
  }

  /** Every gateway's firewall does this from now on. */
  async setFirewalls(duty: FirewallDuty): Promise<void> {
    const { plan } = this;
    await Promise.all(this.gateways.map((gateway) => installFirewall(gateway.host, plan, gateway.plan.id, duty)));
  }

  /** Observers for the other side of a split. */
  async startFarObserving(): Promise<void> {
    const { farObservers, observers, probers } = this.plan;
    if (this.#farObservers.length > 0) return;
    const first = observers.length + probers.length;
    await Promise.all(farObservers.map((tester, index) => this.#buildTester(tester, first + index)));
    this.#farObservers = farObservers.map((tester) => this.#observer(tester));
  }

  /** Both switches fall into two, at once: these gateways and the far observers are on the other side. */
  async split(far: readonly string[]): Promise<CutTime> {
    const names = (segment: Segment) => this.plan.farObservers.filter((tester) => tester.segment === segment);
    return this.#filter(SEGMENTS, (segment) => splitRules([...far, ...names(segment).map((tester) => tester.name)]));
  }

  /** The ring's datagrams, and nothing else, are lost on this segment. */
  async cutRing(segment: Segment): Promise<CutTime> {
    return this.#filter([segment], () => ringCutRules(RING_PORT));
  }

  /** Every frame passes again on all segments. */
  async heal(): Promise<CutTime> {
    return this.#filter(SEGMENTS, () => NO_RULES);
  }

  async #filter(segments: readonly Segment[], rules: (segment: Segment) => string): Promise<CutTime> {
    const fire = await Promise.all(segments.map((segment) => this.switches[segment].arm(rules(segment))));
    const from_ms = now_ms();
    await Promise.all(fire.map((each) => each()));
    return { from_ms, to_ms: now_ms() };
  }

  /** Starts a new window of observation on both segments. */
  resetTesters(): void {
    for (const tester of [...this.#observers, ...this.#farObservers, ...this.#probers]) tester.reset();
  }

  async observe(): Promise<readonly ObserverReport[]> {
    return Promise.all(this.#observers.map((observer) => observer.report()));
  }

  /** Keeps data beside the logs, for whoever wants to know why a promise was broken. */
  keep(name: string, data: unknown): void {
    writeFileSync(join(this.#logFolder, `${name}.json`), `${JSON.stringify(data)}\n`, { mode: 0o600 });
  }

  async observeFar(): Promise<readonly ObserverReport[]> {
    return Promise.all(this.#farObservers.map((observer) => observer.report()));
  }

  async probe(): Promise<readonly ProbeReport[]> {
    return Promise.all(this.#probers.map((prober) => prober.report()));
  }

  /** Packets that the firewalls of all living gateways could not assign to a connection. */
  async invalidPackets(): Promise<number> {
    return (await this.firewallPackets()).invalid;
  }

  /** And those that began a connection which they do not allow. */
  async firewallPackets(): Promise<{ readonly invalid: number; readonly refused: number }> {
    const living = this.gateways.filter((gateway) => gateway.state !== "killed");
    const counters = await Promise.all(living.map((gateway) => readFirewall(gateway.host)));
    const sum = (of: (each: FirewallCounters) => number) => counters.reduce((total, each) => total + of(each), 0);
    return { invalid: sum(invalidPackets), refused: sum(refusedPackets) };
  }

  async #buildClientSide(): Promise<void> {
    const { plan, client, router } = this;
    const families = familySysctls(plan.families);
    await Promise.all([
      client.create({ ...LISTENER_SYSCTLS, ...families }),
      router.create({
        "net/ipv4/ip_forward": 1,
        "net/ipv4/fib_multipath_hash_policy": 1,
        "net/ipv4/conf/all/send_redirects": 0,
        "net/ipv4/conf/default/send_redirects": 0,
        ...families,
        ...(plan.families.includes(6)
          ? { "net/ipv6/conf/all/forwarding": 1, "net/ipv6/fib_multipath_hash_policy": 1 }
          : {}),
      }),
    ]);
    await run([
      ...["ip", "link", "add", "eth0", "netns", client.namespace, "type", "veth"],
      ...["peer", "name", "lan0", "netns", router.namespace],
    ]);
    await Promise.all([
      client.run(["ethtool", "-K", "eth0", ...LAB_OFFLOADS]),
      router.run(["ethtool", "-K", "lan0", ...LAB_OFFLOADS]),
      router.ip([...plan.clientRouters.map((address) => `addr add ${onLink(address)} dev lan0`), "link set lan0 up"]),
      client.ip([
        ...plan.clientAddresses.map((address) => `addr add ${onLink(address)} dev eth0`),
        "link set eth0 up",
        ...plan.clientRouters.map((address) => `route add default via ${address}`),
      ]),
    ]);
    await this.switches.external.plugIn({
      host: router,
      nic: "wan0",
      mac: "06:00:00:02:01:01",
      addresses: plan.externalRouters.map(onLink),
    });
    await router.ip(
      plan.families.map((family) => {
        const vips = plan.vips.external.filter((vip) => familyOf(vip) === family);
        const hops = vips.map((vip) => `nexthop via ${vip} dev wan0`).join(" ");
        return `route add ${family === 6 ? SUBNETS6.internal : INTERNAL_SUBNET} ${hops}`;
      }),
    );
  }

  async #waitForProbes(): Promise<void> {
    await waitFor("every VIP answers", { deadline_ms: START_DEADLINE_MS }, async () => {
      const silent = (await this.probe()).flatMap((report) =>
        report.targets.filter((t) => t.received === 0 || report.now_ms - t.last_answer_ms > SILENT_MS),
      );
      return silent.length === 0 ? { met: true } : { unmet: `${silent.map((target) => target.target)} silent` };
    });
  }

  #observer({ name, address, segment }: TesterPlan): Observer {
    return new Observer(this.host(name), "eth0", address, ofFamilyOf(address, this.plan.vips[segment]));
  }

  async #buildTester(tester: TesterPlan, index: number): Promise<void> {
    const host = this.host(tester.name);
    await host.create(familySysctls(this.plan.families));
    await this.switches[tester.segment].plugIn({
      host,
      nic: "eth0",
      mac: `06:00:00:03:00:${(index + 1).toString(16).padStart(2, "0")}`,
      addresses: [onLink(tester.address)],
    });
  }

  #startMeasuring(): void {
    const { plan } = this;
    this.#observers = plan.observers.map((tester) => this.#observer(tester));
    this.#standstill = new Standstill(this.client);
    this.#load = new LoadDriver(
      this.client,
      plan.clientAddresses,
      plan.servers.flatMap((server) => server.addresses),
    );
  }
}
