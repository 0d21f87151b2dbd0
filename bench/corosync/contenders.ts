// The ways in which corosync competes, so that it is at its best in every figure: as it comes (its best throughput), without
// encryption, and with the fastest failure detection that is stable on the machine of the run.
//
// What was tried for throughput, 4 nodes, 1 KiB, encrypted, messages/s (three seconds each, on two cores):
//   window_size 50, max_messages 17 (default)  18,500 with 64 own messages on their way, 20,000 with 512
//   window_size 100, max_messages 30           17,300 to 20,300
//   window_size 170, max_messages 60           17,600 to 19,300
//   window_size 250, max_messages 120          17,500 to 18,900
//   window_size 300, max_messages 300          16,800 to 18,800
// so the defaults stay. netmtu stays as well: knet finds the path's MTU by itself (1,500 on the veths of the bench, as for
// Rainfront), and corosync packs small messages into packets of that size.
//
// What was tried for failure detection: the token timeout may be as low as 60 ms with one retransmission before a loss (its
// retransmission timeout and hold time may not be under 30 ms); token_coefficient 0 keeps it there with more nodes, and consensus follows
// as 1.2 of it. knet's own pings have to be slower than what is computed from such a token timeout: with a timeout of half the
// token's, links flap when the CPU is busy, and views with them. join 30 and send_join 0 changed nothing.

import { join } from "node:path";
import type { Contender } from "../raincore/measure.js";
import { CorosyncSystem } from "./corosyncSystem.js";
import type { CorosyncSettings } from "./settings.js";

/** Fastest first; the run climbs until nothing happens without a cause. */
const TOKEN_MS = [60, 80, 100, 150, 200, 300, 500, 1000];
const QUICK_TOKEN_MS = 300;
const PING_MS = [200, 1000] as const;

/** Longer than the default of 8 nodes needs: token 6.9 s, consensus 8.3 s. */
const PATIENCE_MS = 60_000;
/** With so slow a detection each kill takes half a minute. */
const KILLS_MAX = 3;

export function corosyncContenders(client: string, folder: string): Contender[] {
  const asItComes: Omit<CorosyncSettings, "name" | "encrypted"> = { totem: {}, realTime: true };
  const at = (settings: CorosyncSettings, setting: string) => configured(settings, setting, client, folder);
  return [
    {
      name: "corosync",
      settings: [at({ name: "default", encrypted: true, ...asItComes }, "as it comes, aes256 + sha256")],
      kills_max: KILLS_MAX,
    },
    {
      name: "corosync unencrypted",
      settings: [at({ name: "unencrypted", encrypted: false, ...asItComes }, "as it comes")],
      kills_max: KILLS_MAX,
    },
    { name: "corosync fast", settings: TOKEN_MS.map((token_ms) => at(fast(token_ms), `token ${token_ms} ms`)) },
  ];
}

/** One setting that is stable on any machine and does not take seconds for each kill. */
export function quickCorosync(client: string, folder: string): Contender {
  return {
    name: "corosync",
    settings: [configured(fast(QUICK_TOKEN_MS), `token ${QUICK_TOKEN_MS} ms`, client, folder)],
  };
}

function configured(
  settings: CorosyncSettings,
  setting: string,
  client: string,
  folder: string,
): Contender["settings"][number] {
  return { system: new CorosyncSystem(settings, client, join(folder, settings.name), PATIENCE_MS), setting };
}

function fast(token_ms: number): CorosyncSettings {
  return {
    name: `token-${token_ms}`,
    encrypted: true,
    totem: { token: token_ms, token_coefficient: 0, token_retransmits_before_loss_const: 1 },
    ping_ms: PING_MS,
    realTime: true,
  };
}
