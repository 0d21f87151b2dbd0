// rejoin: each round kills a gateway and revives it. Promise: it owns VIPs again, a VIP never has two owners, and no request that is
// begun once it is a ready member fails, although the spreading of the VIPs goes on.

import { waitForCluster } from "../cluster.js";
import type { Gateway } from "../gateway.js";
import { REQUEST_TIMEOUT_MS } from "../loadProtocol.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { spreadOf } from "../statistics.js";
import { CLUSTER_DEADLINE_MS, waitForTakeover } from "../takeover.js";
import { judgeRequests, type Transition } from "../transitions.js";
import { measureFor, now_ms } from "../waiting.js";
import { REQUESTS_PER_S } from "./failover.js";

export async function rejoin({ lab, options, say }: ScenarioRun): Promise<Outcome> {
  const promises = new Promises();
  promises.expect(lab.gateways.length > 1, "a single gateway has nobody to join");
  if (promises.broken.length > 0) return { broken: promises.broken, figures: { rounds: 0 } };

  const owners = new OwnershipTotals();
  const transitions: Transition[] = [];
  const ready_ms: number[] = [];
  let ownsAgain = 0;
  await lab.startProbing();
  lab.load.rate(REQUESTS_PER_S);
  for (let round = 0; round < options.rounds; round++) {
    const gateway = lab.gateways[round % lab.gateways.length] as Gateway;
    lab.resetTesters();
    const killed_ms = now_ms();
    await gateway.kill();
    transitions.push({ kind: "takeover", from_ms: killed_ms, to_ms: await waitForTakeover(lab, killed_ms) });

    const revived_ms = now_ms();
    await gateway.revive();
    await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS });
    ready_ms.push(now_ms() - revived_ms);
    transitions.push({ kind: "rejoin", from_ms: revived_ms, to_ms: now_ms() });
    const statuses = await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, { spread: true });
    const own =
      statuses.find((status) => status.node.id === gateway.plan.id)?.vips.filter((vip) => vip.answering).length ?? 0;
    if (own > 0) ownsAgain++;
    await measureFor(REQUEST_TIMEOUT_MS + 200);
    owners.add(await lab.observe());
    say(
      `round ${round + 1}/${options.rounds}: ${gateway.plan.name} ready ${ready_ms.at(-1)?.toFixed(0)} ms after its start, owns ${own} VIPs`,
    );
  }
  await lab.load.stop();

  const requests = judgeRequests(lab.load.takeResults(), transitions);
  promises.expect(ownsAgain === options.rounds, `it owned VIPs again in ${ownsAgain} of ${options.rounds} rounds`);
  owners.promise(promises);
  promises.expect(requests.ok > 0, "no request succeeded");
  promises.expect(
    requests.failed_after_takeover === 0,
    `${requests.failed_after_takeover} requests failed in quiet times`,
  );
  return {
    broken: promises.broken,
    figures: {
      rounds: options.rounds,
      owns_again: ownsAgain,
      ready_ms: spreadOf(ready_ms),
      ...owners.figures(),
      requests,
    },
  };
}
