// keepalived through the same rounds as the layer: the owner's gateway is killed in the same way, the same probers look on. Called by the failover scenario
// after its own rounds; survive has its own rounds, with conntrackd. Nothing is promised about a peer.

import { type Gateway, nicMac } from "./gateway.js";
import { ADVERT_INTERVAL_S } from "./keepalived.js";
import type { Lab } from "./lab.js";
import { QUIET_MS } from "./rounds.js";
import type { ScenarioRun } from "./scenario.js";
import { rounded, type Spread, spreadOf } from "./statistics.js";
import { silences, waitForAnswers } from "./takeover.js";
import { whyWithout } from "./tools.js";
import { measureFor, now_ms, waitFor } from "./waiting.js";

export const PEER_ROUNDS_MAX = 10;
const TAKEOVER_DEADLINE_MS = 15_000;

export interface PeerFigures {
  readonly rounds: number;
  readonly advert_ms: number;
  readonly gap_ms: Spread;
  readonly prober_late_ms_max: number;
}

/** Why there is nothing to compare the layer with; undefined: there is. */
export function whyNoPeer(
  { lab, options }: Pick<ScenarioRun, "lab" | "options">,
  programs: readonly string[] = ["keepalived"],
): string | undefined {
  if (options.peer === "none") return "--peer none";
  if (lab.plan.families.includes(6)) return "it is compared with IPv4 VIPs only";
  return programs.map(whyWithout).find((why) => why !== undefined);
}

/** In words when there are none. */
export async function peerRounds({ lab, options, say }: ScenarioRun): Promise<PeerFigures | string> {
  const why = whyNoPeer({ lab, options });
  if (why !== undefined) return `skipped: ${why}`;
  const rounds = Math.min(options.rounds, PEER_ROUNDS_MAX);
  const gaps_ms: number[] = [];
  let prober_late_ms = 0;
  try {
    await lab.deploy({ kind: "keepalived", realtime: false }, say);
    for (let round = 0; round < rounds; round++) {
      const gateway = await ownerOfAll(lab);
      lab.resetTesters();
      await measureFor(200);
      const killed_ms = now_ms();
      await gateway.kill();
      await waitForPeerTakeover(lab, gateway, killed_ms);
      await measureFor(QUIET_MS);
      const { gaps_ms: streams_ms, late_ms } = await silences(lab);
      const gap_ms = Math.max(...streams_ms);
      gaps_ms.push(gap_ms);
      prober_late_ms = Math.max(prober_late_ms, late_ms);
      await gateway.revive();
      say(
        `keepalived ${round + 1}/${rounds}: ${gateway.plan.name} killed, longest silence ${gap_ms.toFixed(1)} ms` +
          ` (prober late ${late_ms.toFixed(1)} ms)`,
      );
    }
  } catch (error) {
    // The layer's own figures are not to be lost because its peer failed.
    return `failed after ${gaps_ms.length} rounds: ${error instanceof Error ? error.message : String(error)}`;
  }
  return {
    rounds,
    advert_ms: ADVERT_INTERVAL_S * 1000,
    gap_ms: spreadOf(gaps_ms),
    prober_late_ms_max: rounded(prober_late_ms),
  };
}

/** Resolves when another gateway has all VIPs, and all answer. */
export async function waitForPeerTakeover(lab: Lab, dead: Gateway, killed_ms: number): Promise<void> {
  await waitFor("another gateway takes over", { deadline_ms: TAKEOVER_DEADLINE_MS }, async () =>
    (await ownerOfAll(lab)) === dead ? { unmet: `${dead.plan.name} still answers` } : { met: true },
  );
  await waitForAnswers(lab, killed_ms);
}

/** The gateway that has all VIPs: it shows them under its NICs' MACs. */
export async function ownerOfAll(lab: Lab): Promise<Gateway> {
  const vip = lab.plan.vips.external[0] ?? "";
  const mac = (await lab.waitForSingleOwners()).get(vip);
  const found = lab.gateways.find((gateway) => nicMac("external", gateway.plan.id) === mac);
  if (found === undefined) throw new Error(`${vip} is on ${mac}, which is no gateway's`);
  return found;
}
