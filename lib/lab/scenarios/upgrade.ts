// upgrade: under a stream of numbered packets, each round a daemon goes away by agreement (as for a new version) and is started again, while its
// kernel and its XDP program go on. Promise: not one packet is lost, and nobody takes a VIP over.

import { waitForCluster } from "../cluster.js";
import { OwnershipTotals } from "../ownershipTotals.js";
import { type Outcome, Promises, type ScenarioRun } from "../scenario.js";
import { Stops } from "../standstill.js";
import { rounded, spreadOf } from "../statistics.js";
import { Echo, STREAM_PATIENCE_MS, Stream, type StreamReport } from "../stream.js";
import { CLUSTER_DEADLINE_MS } from "../takeover.js";
import { measureFor, now_ms } from "../waiting.js";

const FLOWS = 64;
const AWAY_MS = 10_000;
const QUIET_MS = 1000;

export async function upgrade({ lab, options, say }: ScenarioRun): Promise<Outcome> {
  const promises = new Promises();
  const owners = new OwnershipTotals();
  const restart_ms: number[] = [];
  const echoes = lab.servers.flatMap(({ host, plan }) => plan.addresses.map((address) => new Echo(host, address)));
  for (const echo of echoes) await echo.report();
  const stream = new Stream(lab.client, {
    sources: lab.plan.clientAddresses,
    targets: lab.plan.servers.flatMap((server) => server.addresses),
    flows: FLOWS,
    packets_per_s: Math.floor(options.packets_per_s / 2),
  });
  const stops = await Stops.since(lab.standstill, lab.settings.failoverTarget_ms);
  const totals = { sent: 0, lost: 0, duplicates: 0, unsent: 0, overflow: 0 };
  const judge = (report: StreamReport, when: string, began_ms = 0) => {
    for (const key of ["sent", "lost", "duplicates", "unsent", "overflow"] as const) totals[key] += report[key];
    promises.expect(report.sent > 0 && report.received > 0, `${when}: nothing was carried`);
    const excuseFor = ({ from_ms, to_ms }: Loss) => stops.excuseFor(from_ms, to_ms);
    const excused = report.losses.filter((loss) => excuseFor(loss) !== undefined);
    const others = report.losses.filter((loss) => excuseFor(loss) === undefined);
    const lost = (losses: readonly Loss[], count: number) =>
      `${when}: ${count} of ${report.sent} packets were lost: ${lossesSince(losses, began_ms)}`;
    // Not all that is lost need be told with its time.
    const left = report.lost - countOf(excused);
    promises.expect(left === 0, lost(others, left));
    const why = [...new Set(excused.map(excuseFor))].join("; ");
    if (excused.length > 0) promises.leaveOpen(lost(excused, countOf(excused)), why);
  };

  // Connections begin, neighbours are found; and what is lost while nothing happens is not the restart's.
  await measureFor(QUIET_MS);
  stream.reset();
  await measureFor(QUIET_MS + STREAM_PATIENCE_MS);
  await stops.take_ms();
  judge(await stream.report(), "before the first round");

  for (let round = 0; round < options.rounds; round++) {
    const gateway = lab.gateways[round % lab.gateways.length];
    if (gateway === undefined) break;
    lab.resetTesters();
    stream.reset();
    await measureFor(QUIET_MS);
    const hostsBefore = await hostsOf(lab.gateways);
    const began_ms = now_ms();
    await gateway.restartDaemon(AWAY_MS);
    const left_ms = now_ms();
    await waitForCluster(lab.gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, {});
    restart_ms.push(now_ms() - began_ms);
    await measureFor(QUIET_MS + STREAM_PATIENCE_MS);
    await stops.take_ms();
    promises.expect(
      (restart_ms.at(-1) as number) < AWAY_MS,
      `round ${round + 1}: the daemon was back only after ${rounded(restart_ms.at(-1) as number)} ms`,
    );
    const report = await stream.report();
    judge(report, `round ${round + 1}`, began_ms);
    const hosts = await hostsOf(lab.gateways);
    promises.excuse(stops.excuseFor(began_ms, now_ms()));
    promises.expect(hosts === hostsBefore, `round ${round + 1}: VIPs have another owner`);
    promises.excuse(undefined);
    owners.add(await lab.observe());
    say(
      `round ${round + 1}/${options.rounds}: the daemon of ${gateway.plan.name} away after ${(left_ms - began_ms).toFixed(0)} ms, a member again after` +
        ` ${restart_ms.at(-1)?.toFixed(0)} ms, ${report.lost} of ${report.sent} packets lost`,
    );
  }
  for (const echo of echoes) totals.overflow += (await echo.report()).overflow;
  owners.promise(promises);
  return {
    broken: promises.broken,
    unjudged: promises.unjudged,
    figures: {
      rounds: options.rounds,
      packets_per_s: options.packets_per_s,
      flows: FLOWS,
      ...totals,
      restart_ms: spreadOf(restart_ms),
      stood_still_ms_max: rounded(stops.longest_ms),
      ...owners.figures(),
    },
  };
}

/** Who owns what, in one line. */
async function hostsOf(gateways: ScenarioRun["lab"]["gateways"]): Promise<string> {
  const [status] = await waitForCluster(gateways, { deadline_ms: CLUSTER_DEADLINE_MS }, {});
  return (status?.vips ?? []).map(({ address, currentHost }) => `${address}@${currentHost}`).join(" ");
}

type Loss = StreamReport["losses"][number];

function countOf(losses: readonly Loss[]): number {
  return losses.reduce((sum, { count }) => sum + count, 0);
}

/** When what was lost was sent, since the restart began. */
function lossesSince(losses: readonly Loss[], began_ms: number): string {
  return losses
    .map(
      ({ from_ms, to_ms, count }) => `${count} from ${rounded(from_ms - began_ms)} to ${rounded(to_ms - began_ms)} ms`,
    )
    .join(", ");
}
