// stress: every core is kept busy while nobody dies, for one phase each of the layer at the lab's target, the layer at its shortest
// target, and keepalived at its shortest interval, without and with real-time priority. Promise: of the layer, no false takeover at all: no
// living member is taken out of the view, and no VIP moves. keepalived's figures stand beside it.

import { FAILOVER_TARGET_MIN_MS } from "../../raincore/timers.js";
import { Calm, type CalmFigures } from "../calm.js";
import { besideEachOther, type Row } from "../comparison.js";
import { sumCounters } from "../dataPlaneTotals.js";
import { masterEntries } from "../keepalived.js";
import type { Lab } from "../lab.js";
import { Membership, type MembershipFigures, promiseMembership } from "../membership.js";
import { whyNoPeer } from "../peer.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { describeService, type GatewayService, serviceOf } from "../services.js";
import { rounded } from "../statistics.js";
import { Stressor } from "../stressor.js";
import { measureFor, now_ms } from "../waiting.js";

/** The observers' memory is bounded, so they are read again and again. */
const WINDOW_MS = 5000;
/** Less, and the cores had time for everybody. */
const BUSY_MIN = 0.95;
const STATUS_TIMEOUT_MS = 5000;
const REFUSED_WITHOUT_LEASE = ["arp_lease_void", "nd_lease_void", "drop_lease_void"];
/** Of what is said while a phase goes on. */
const PROGRESS_MS = 30_000;

interface PhaseFigures extends CalmFigures {
  readonly seconds: number;
  readonly cpu_busy: number;
}

interface LayerFigures extends PhaseFigures, MembershipFigures {
  /** Questions for VIPs and frames refused because a lease had run out, and looks at a daemon that had none. */
  readonly lease_lapses: number;
}

interface PeerFigures extends PhaseFigures {
  /** Times that an instance became the owner. */
  readonly master_entries: number;
}

export async function stress(run: ScenarioRun): Promise<Outcome> {
  const { lab, options, say } = run;
  const promises = new Promises();
  const own = serviceOf(lab.settings);
  if (own.kind !== "rainfront") return { broken: ["plain addresses cannot be taken over"], figures: {} };
  const targets = new Set([own.failoverTarget_ms, FAILOVER_TARGET_MIN_MS]);
  const phases: Record<string, unknown> = {};
  const rows: Row[] = [];
  for (const failoverTarget_ms of targets) {
    const service: GatewayService = { ...own, failoverTarget_ms };
    const title = `rainfront_${failoverTarget_ms}ms`;
    if (failoverTarget_ms !== own.failoverTarget_ms) await lab.deploy(service, say);
    const figures = await layerPhase(lab, options.seconds, say);
    judge(title, figures, promises);
    phases[title] = figures;
    rows.push([title, { ...figures, at_least: String(figures.at_least) }]);
  }
  const why = whyNoPeer(run);
  for (const realtime of [false, true]) {
    const title = realtime ? "keepalived_realtime" : "keepalived";
    const figures = why === undefined ? await peerPhase(run, realtime) : `skipped: ${why}`;
    phases[title] = figures;
    const shown = typeof figures === "string" ? { note: figures } : { ...figures, at_least: String(figures.at_least) };
    rows.push([title, shown]);
  }
  for (const line of besideEachOther(rows)) say(line);
  return { broken: promises.broken, figures: { seconds: options.seconds, phases } };
}

function judge(title: string, figures: LayerFigures, promises: Promises): void {
  promiseMembership(promises, figures, title);
  const counts = {
    "VIP moves": figures.vip_moves,
    "announcements by others": figures.announcements_by_others,
    "lease lapses": figures.lease_lapses,
    "milliseconds with two owners": figures.double_owner_ms,
    "times nobody answered for a VIP at all": figures.silent_windows,
  };
  for (const [what, count] of Object.entries(counts)) promises.expect(count === 0, `${title}: ${count} ${what}`);
  promises.expect(
    figures.cpu_busy >= BUSY_MIN,
    `${title}: the cores were busy for ${figures.cpu_busy} of the time only`,
  );
}

async function layerPhase(lab: Lab, seconds: number, say: ScenarioRun["say"]): Promise<LayerFigures> {
  const membership = await Membership.since(lab);
  const before = await layerState(lab);
  let unleased = 0;
  const figures = await phase(lab, seconds, say, async () => {
    unleased += (await layerState(lab)).unleased;
  });
  const after = await layerState(lab);
  return {
    ...figures,
    ...(await membership.take()),
    lease_lapses: after.refused - before.refused + unleased,
  };
}

async function peerPhase({ lab, options, say }: ScenarioRun, realtime: boolean): Promise<PeerFigures | string> {
  try {
    await lab.deploy({ kind: "keepalived", realtime }, say);
    const entries = () => lab.gateways.reduce((sum, gateway) => sum + masterEntries(gateway.readLog()), 0);
    const before = entries();
    const figures = await phase(lab, options.seconds, say, async () => {});
    return { ...figures, master_entries: entries() - before };
  } catch (error) {
    // The layer's own figures are not to be lost because its peer failed.
    return `failed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** So long under stress, read window by window. */
async function phase(
  lab: Lab,
  seconds: number,
  say: ScenarioRun["say"],
  look: () => Promise<void>,
): Promise<PhaseFigures> {
  const calm = new Calm(await lab.waitForSingleOwners());
  const service = lab.gateways[0]?.service;
  say(`${service === undefined ? "" : describeService(service)}: every core busy for ${seconds} s`);
  lab.resetTesters();
  const stressor = Stressor.start();
  const begin_ms = now_ms();
  const end_ms = begin_ms + seconds * 1000;
  let told_ms = begin_ms;
  while (now_ms() < end_ms) {
    await measureFor(Math.min(WINDOW_MS, Math.max(0, end_ms - now_ms())));
    const seen = await lab.observe();
    lab.resetTesters();
    calm.add(seen);
    await look();
    if (now_ms() - told_ms < PROGRESS_MS) continue;
    told_ms = now_ms();
    const { vip_moves, longest_silence_ms } = calm.figures();
    const at_s = Math.round((told_ms - begin_ms) / 1000);
    say(`  ${at_s}/${seconds} s: ${vip_moves} VIP moves, longest silence ${longest_silence_ms} ms`);
  }
  const cpu_busy = rounded(await stressor.stop());
  return { seconds, cpu_busy, ...calm.figures() };
}

async function layerState(lab: Lab): Promise<{ refused: number; unleased: number }> {
  const statuses = await Promise.all(lab.gateways.map((gateway) => gateway.status(STATUS_TIMEOUT_MS)));
  const counters = sumCounters(statuses);
  return {
    refused: REFUSED_WITHOUT_LEASE.reduce((sum, name) => sum + (counters.get(name) ?? 0), 0),
    unleased: statuses.filter((status) => !status.lease.valid).length,
  };
}
