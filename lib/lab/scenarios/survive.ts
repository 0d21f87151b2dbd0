// survive: connections are held open, slow downloads and idle ones; each round kills a gateway, waits for the survivors, and revives it. Promise: all connections
// but a few go on, also those that the dead gateway had, and come to their end with the right content; a VIP never has two owners.

import type { GatewayStatus } from "../../api/controlProtocol.js";
import { waitForCluster } from "../cluster.js";
import { connectionKey, readConntrack } from "../conntrack.js";
import { HeldConnections } from "../heldDriver.js";
import type { HeldResult } from "../heldProtocol.js";
import type { Lab } from "../lab.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { rounded, spreadOf } from "../statistics.js";
import { CLUSTER_DEADLINE_MS, silences, waitForAnswers, waitForTakeover } from "../takeover.js";
import { measureFor, now_ms } from "../waiting.js";

const SURVIVED_RATIO_MIN = 0.999;
const SURVIVED_RATIO_DEAD_NODE_MIN = 0.995;
/** Connections have said something in both directions by then, and the others have been told. */
const SETTLE_MS = 2000;
/** What was lost in a transition is sent again by then. */
const AFTER_MS = 4000;
const FINISH_PATIENCE_MS = 15_000;

export async function survive({ lab, options, say }: ScenarioRun): Promise<Outcome> {
  const { plan } = lab;
  const promises = new Promises();
  const owners = new OwnershipTotals();
  /** Of the VIPs. */
  const gaps_ms: number[] = [];
  const gapsAtReturn_ms: number[] = [];
  const all = { total: 0, survived: 0 };
  const ofDead = { total: 0, survived: 0 };
  const errors: Record<string, number> = {};
  const servers = lab.servers.map(({ host }) => host);
  const targets = lab.servers.flatMap((server) => server.plan.addresses);
  const held = await HeldConnections.start(lab.client, servers, plan.clientAddresses, targets);
  await lab.startProbing();
  const half = Math.floor(options.connections / 2);
  for (let round = 0; round < options.rounds; round++) {
    const gateway = lab.gateways[round % lab.gateways.length];
    if (gateway === undefined) throw new Error("a lab without gateways");
    const opened = await held.open(half, options.connections - half);
    promises.expect(
      opened === options.connections,
      `round ${round + 1}: ${opened} of ${options.connections} connections could be opened`,
    );
    await measureFor(SETTLE_MS);
    const table = await readConntrack(gateway.host);
    const handled = new Set(table.filter(({ state }) => state === "ESTABLISHED").map(connectionKey));

    lab.resetTesters();
    const killed_ms = now_ms();
    await gateway.kill();
    await waitForTakeover(lab, killed_ms);
    await measureFor(AFTER_MS);
    gaps_ms.push(await longestSilence_ms(lab));
    owners.add(await lab.observe());
    gateway.bury();
    lab.resetTesters();
    const revived_ms = now_ms();
    await gateway.revive();
    await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
    await waitForAnswers(lab, revived_ms);
    await measureFor(AFTER_MS);
    gapsAtReturn_ms.push(await longestSilence_ms(lab));
    owners.add(await lab.observe());

    const results = await held.finish(FINISH_PATIENCE_MS);
    const dead = results.filter((result) => handled.has(connectionKey(result)));
    promises.expect(dead.length > 0, `round ${round + 1}: ${gateway.plan.name} had no connection`);
    add(all, results);
    add(ofDead, dead);
    for (const { kind, error } of results)
      if (error !== undefined) errors[`${kind}: ${error}`] = (errors[`${kind}: ${error}`] ?? 0) + 1;
    say(
      `round ${round + 1}/${options.rounds}: ${gateway.plan.name} killed, ${survivedOf(results)} of ${results.length} connections went on, ` +
        `${survivedOf(dead)} of ${dead.length} of its own`,
    );
  }
  const ratio = all.survived / all.total;
  const ratioOfDead = ofDead.survived / ofDead.total;
  promises.expect(
    ratio >= SURVIVED_RATIO_MIN,
    `${rounded(100 * ratio)} % of all connections went on, not ${100 * SURVIVED_RATIO_MIN} %`,
  );
  promises.expect(
    ratioOfDead >= SURVIVED_RATIO_DEAD_NODE_MIN,
    `${rounded(100 * ratioOfDead)} % of the dead gateways' connections went on, not ${100 * SURVIVED_RATIO_DEAD_NODE_MIN} %`,
  );
  owners.promise(promises);
  return {
    broken: promises.broken,
    figures: {
      rounds: options.rounds,
      connections: all.total,
      survived_ratio: ratio,
      connections_of_dead_nodes: ofDead.total,
      survived_ratio_dead_node: ratioOfDead,
      gap_ms: spreadOf(gaps_ms),
      gap_at_return_ms: spreadOf(gapsAtReturn_ms),
      errors,
      keeping: await keepingOf(lab),
      ...owners.figures(),
    },
  };
}

/** What the daemons did for that, each since its last start. */
async function keepingOf(lab: Lab): Promise<Record<string, GatewayStatus["connections"]>> {
  const statuses = await Promise.all(lab.gateways.map((gateway) => gateway.status()));
  return Object.fromEntries(statuses.map(({ node, connections }) => [node.name, connections]));
}

async function longestSilence_ms(lab: Lab): Promise<number> {
  return Math.max(...(await silences(lab)).gaps_ms);
}

function survivedOf(results: readonly HeldResult[]): number {
  return results.filter(({ error }) => error === undefined).length;
}

function add(sum: { total: number; survived: number }, results: readonly HeldResult[]): void {
  sum.total += results.length;
  sum.survived += survivedOf(results);
}
