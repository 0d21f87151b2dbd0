// drain and rolling: connections are held open and requests made while each gateway in turn is taken out of service, its daemon restarted, and brought back. `drain` lets it give
// away what it has first (rainfront drain); `rolling` does not. Promise of drain: no connection is lost and no request fails; of rolling: all connections but a few go on, and no request
// fails but at the takeover. A VIP never has two owners.

import { callControl } from "../../api/controlClient.js";
import { CONTROL_SOCKET_NAME } from "../../config/options.js";
import { waitForCluster } from "../cluster.js";
import type { Gateway } from "../gateway.js";
import { HeldConnections } from "../heldDriver.js";
import type { HeldResult } from "../heldProtocol.js";
import type { Lab } from "../lab.js";
import { errorsOf, type LostConnection, lookAtLost, survivedOf } from "../lostConnections.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { LoadedRounds, QUIET_MS } from "../rounds.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { rounded, spreadOf } from "../statistics.js";
import { CLUSTER_DEADLINE_MS } from "../takeover.js";
import { measureFor, now_ms, waitFor } from "../waiting.js";

const SURVIVED_RATIO_MIN = 0.999;
const SETTLE_MS = 2000;
const FINISH_PATIENCE_MS = 15_000;
const DRAIN_DEADLINE_MS = 30_000;

export const drain = (run: ScenarioRun): Promise<Outcome> => restarts(run, true);
export const rolling = (run: ScenarioRun): Promise<Outcome> => restarts(run, false);

async function restarts({ lab, options, say }: ScenarioRun, drains: boolean): Promise<Outcome> {
  const promises = new Promises();
  const owners = new OwnershipTotals();
  const drain_ms: number[] = [];
  const results: HeldResult[] = [];
  const lostConnections: LostConnection[] = [];
  let moved = 0;
  const targets = lab.servers.flatMap((server) => server.plan.addresses);
  const servers = lab.servers.map(({ host }) => host);
  const held = await HeldConnections.start(lab.client, servers, lab.plan.clientAddresses, targets);
  const rounds = await LoadedRounds.begin(lab, { isProbing: false });
  const half = Math.floor(options.connections / 2);
  for (let round = 0; round < options.rounds; round++) {
    const gateway = rounds.victim(round);
    const opened = await held.open(half, options.connections - half);
    promises.expect(
      opened === options.connections,
      `round ${round + 1}: ${opened} of ${options.connections} connections could be opened`,
    );
    await measureFor(SETTLE_MS);
    lab.resetTesters();
    await rounds.settle();
    const begun_ms = now_ms();
    if (drains) {
      drain_ms.push(await drained(gateway, begun_ms));
      moved += (await gateway.status()).connections?.moved ?? 0;
    }
    const left_ms = now_ms();
    await gateway.stopService();
    if (!drains) rounds.note("takeover", left_ms, now_ms() + lab.settings.failoverTarget_ms);
    await measureFor(QUIET_MS);
    await rounds.settle();
    const back_ms = now_ms();
    await gateway.startAgain();
    await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
    if (!drains) rounds.note("rejoin", back_ms);
    await measureFor(QUIET_MS);
    owners.add(await lab.observe());
    const ended = await held.finish(FINISH_PATIENCE_MS);
    results.push(...ended);
    lostConnections.push(...(await lookAtLost(lab, ended)));
    say(
      `round ${round + 1}/${options.rounds}: ${gateway.plan.name} ${drains ? `drained in ${rounded(drain_ms.at(-1) ?? 0)} ms and ` : ""}` +
        `restarted, ${survivedOf(ended)} of ${ended.length} connections went on`,
    );
  }
  const requests = await rounds.end(promises);
  const lost = results.length - survivedOf(results);
  const failed = requests.failed_after_takeover + requests.failed_in_transition + requests.failed_at_standstill;
  if (drains) {
    // Requests are judged by their rounds: no time of these is one in which any may fail.
    promises.expect(lost === 0, `${lost} of ${results.length} connections were lost`);
  } else {
    const ratio = survivedOf(results) / results.length;
    promises.expect(
      ratio >= SURVIVED_RATIO_MIN,
      `${rounded(100 * ratio)} % of the connections went on, not ${100 * SURVIVED_RATIO_MIN} %`,
    );
  }
  owners.promise(promises);
  return {
    broken: promises.broken,
    unjudged: promises.unjudged,
    figures: {
      rounds: options.rounds,
      connections: results.length,
      connections_lost: lost,
      survived_ratio: survivedOf(results) / results.length,
      ...(drains && { drain_ms: spreadOf(drain_ms), connections_moved: moved }),
      errors: errorsOf(results),
      lost: lostConnections,
      flows: await flowsOf(lab),
      stood_still_ms_max: rounded(rounds.stops.longest_ms),
      ...owners.figures(),
      requests: { ...requests, failed },
    },
  };
}

/** How long it took. */
async function drained(gateway: Gateway, begun_ms: number): Promise<number> {
  const { id } = gateway.plan;
  const socket = `${gateway.stateDir}/${CONTROL_SOCKET_NAME}`;
  await callControl(socket, "drain", { node: id, isDraining: true });
  await waitFor(`${gateway.plan.name} has given everything away`, { deadline_ms: DRAIN_DEADLINE_MS }, async () => {
    const { drains, vips, connections } = await gateway.status();
    const isDone = drains.some((one) => one.node === id && one.isDone) && vips.every((vip) => vip.currentHost !== id);
    return isDone ? { met: true } : { unmet: JSON.stringify({ drains, connections }) };
  });
  return now_ms() - begun_ms;
}

/** What the daemons said to each other, and what their data planes dropped, each since its last start. */
async function flowsOf(lab: Lab): Promise<Record<string, unknown>> {
  const statuses = await Promise.all(lab.gateways.map((gateway) => gateway.status()));
  return Object.fromEntries(
    statuses.map(({ node, flows, ports }) => {
      const drops = Object.entries(ports).flatMap(([segment, counters]) =>
        Object.entries(counters)
          .filter(([name, count]) => count > 0 && (name.startsWith("drop") || name.startsWith("punt")))
          .map(([name, count]) => [`${segment}.${name}`, count]),
      );
      return [node.name, { ...flows, ...Object.fromEntries(drops) }];
    }),
  );
}
