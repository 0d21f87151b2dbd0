// survive: connections are held open, slow downloads and idle ones; each round kills a gateway, waits for the survivors, and revives it. Promise: all connections
// but a few go on, also those that the dead gateway had, and come to their end with the right content; a VIP never has two owners. Then keepalived with
// conntrackd goes through the same, for comparison.

import type { GatewayStatus } from "../../api/controlProtocol.js";
import { waitForCluster } from "../cluster.js";
import { besideEachOther } from "../comparison.js";
import { HeldConnections } from "../heldDriver.js";
import type { Lab } from "../lab.js";
import { ownerOfAll, PEER_ROUNDS_MAX, waitForPeerTakeover, whyNoPeer } from "../peer.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { rounded } from "../statistics.js";
import { type SurvivalFigures, type Survivors, survivalRounds } from "../survival.js";
import { CLUSTER_DEADLINE_MS, waitForAnswers, waitForTakeover } from "../takeover.js";

const SURVIVED_RATIO_MIN = 0.999;
const SURVIVED_RATIO_DEAD_NODE_MIN = 0.995;

export async function survive(run: ScenarioRun): Promise<Outcome> {
  const { lab, options, say } = run;
  const promises = new Promises();
  const servers = lab.servers.map(({ host }) => host);
  const targets = lab.servers.flatMap((server) => server.plan.addresses);
  const held = await HeldConnections.start(lab.client, servers, lab.plan.clientAddresses, targets);
  await lab.startProbing();
  const { rounds, connections } = options;
  const { figures, owners, problems } = await survivalRounds({ lab, held, rounds, connections, say }, layer(lab));
  const keeping = await keepingOf(lab);

  for (const problem of problems) promises.expect(false, problem);
  const { survived_ratio, survived_ratio_dead_node } = figures;
  promises.expect(
    survived_ratio >= SURVIVED_RATIO_MIN,
    `${rounded(100 * survived_ratio)} % of all connections went on, not ${100 * SURVIVED_RATIO_MIN} %`,
  );
  promises.expect(
    survived_ratio_dead_node >= SURVIVED_RATIO_DEAD_NODE_MIN,
    `${rounded(100 * survived_ratio_dead_node)} % of the dead gateways' connections went on, not ${100 * SURVIVED_RATIO_DEAD_NODE_MIN} %`,
  );
  owners.promise(promises);
  const keepalived_conntrackd = await peerSurvival(run, held);
  for (const line of besideEachOther([
    ["survive", shown(figures)],
    [
      "keepalived + conntrackd",
      typeof keepalived_conntrackd === "string" ? { note: keepalived_conntrackd } : shown(keepalived_conntrackd),
    ],
  ]))
    say(line);
  return {
    broken: promises.broken,
    figures: { ...figures, keeping, ...owners.figures(), keepalived_conntrackd },
  };
}

/** Each gateway dies in turn. */
function layer(lab: Lab): Survivors {
  return {
    name: "round",
    victim: async (round) => {
      const gateway = lab.gateways[round % lab.gateways.length];
      if (gateway === undefined) throw new Error("a lab without gateways");
      return gateway;
    },
    takenOver: async (_dead, killed_ms) => {
      await waitForTakeover(lab, killed_ms);
    },
    isBack: async (revived_ms) => {
      await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
      await waitForAnswers(lab, revived_ms);
    },
  };
}

interface PeerFigures extends SurvivalFigures {
  readonly problems: readonly string[];
}

/** The same connections through a pair, of which the active one has them all and dies. In words when there are no figures. */
async function peerSurvival(run: ScenarioRun, held: HeldConnections): Promise<PeerFigures | string> {
  const { lab, options, say } = run;
  const why = whyNoPeer(run, ["keepalived", "conntrackd"]);
  if (why !== undefined) return `skipped: ${why}`;
  const pair: Survivors = {
    name: "keepalived + conntrackd",
    victim: () => ownerOfAll(lab),
    takenOver: (dead, killed_ms) => waitForPeerTakeover(lab, dead, killed_ms),
    isBack: async (revived_ms) => {
      await waitForAnswers(lab, revived_ms);
    },
  };
  try {
    await lab.deploy({ kind: "keepalived", realtime: false, conntrackd: true }, say, lab.gateways.slice(0, 2));
    const rounds = Math.min(options.rounds, PEER_ROUNDS_MAX);
    const { figures, problems } = await survivalRounds(
      { lab, held, rounds, connections: options.connections, say },
      pair,
    );
    return { ...figures, problems };
  } catch (error) {
    // The layer's own figures are not to be lost because its peer failed.
    return `failed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function shown(figures: SurvivalFigures): Record<string, number> {
  return {
    connections: figures.connections,
    survived_ratio: rounded(figures.survived_ratio),
    connections_of_dead_nodes: figures.connections_of_dead_nodes,
    survived_ratio_dead_node: rounded(figures.survived_ratio_dead_node),
    gap_ms_p95: figures.gap_ms.p95,
    gap_ms_max: figures.gap_ms.max,
  };
}

/** What the daemons did for that, each since its last start. */
async function keepingOf(lab: Lab): Promise<Record<string, GatewayStatus["connections"]>> {
  const statuses = await Promise.all(lab.gateways.map((gateway) => gateway.status()));
  return Object.fromEntries(statuses.map(({ node, connections }) => [node.name, connections]));
}
