// One run of iperf3 from the client to a server. Used by the traffic scenario and by `bench scale`.

import { z } from "zod";
import { asLoad, type Host } from "./host.js";
import { IPERF_PORT } from "./plan.js";

/** iperf3 waits for its peer without an end when both of its connections are lost. */
const PATIENCE_S = 25;

const iperfSchema = z.object({
  end: z.object({ sum_received: z.object({ bits_per_second: z.number() }) }).optional(),
  error: z.string().optional(),
});

export interface IperfRun {
  readonly address: string;
  readonly source: string;
  readonly seconds: number;
  readonly streams: number;
  /** From the server to the client. */
  readonly isReverse: boolean;
}

export interface IperfReport {
  readonly bits_per_s: number;
  readonly error?: string;
}

/** What the receiving end got. */
export async function iperf(client: Host, run: IperfRun): Promise<IperfReport> {
  const { address, source, seconds, streams, isReverse } = run;
  const limit_s = seconds + PATIENCE_S;
  const argv = [
    ...["iperf3", "--client", address, "--port", String(IPERF_PORT), "--bind", source, "--json", "--interval", "0"],
    ...["--time", String(seconds), "--parallel", String(streams)],
    ...(isReverse ? ["--reverse"] : []),
  ];
  // iperf3 tells its errors in its JSON and by its status; the JSON says more, and there is none when it was ended.
  const limited = ["timeout", "--kill-after=5", String(limit_s), ...asLoad(argv)];
  const printed = await client.run(["sh", "-c", '"$@" || true', "sh", ...limited]);
  if (printed.trim() === "") return { bits_per_s: 0, error: `no end after ${limit_s} s` };
  const { end, error } = iperfSchema.parse(JSON.parse(printed));
  const bits_per_s = end?.sum_received.bits_per_second ?? 0;
  return error === undefined ? { bits_per_s } : { bits_per_s, error };
}
