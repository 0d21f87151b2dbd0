// FTP through the layer: vsftpd on the hosts that are called, curl on those that call. What arrives is compared by its hash. Used by scenarios/symmetry.ts.

import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AddressFamily } from "../config/address.js";
import type { Caller } from "./calls.js";
import { outcomeOf } from "./commands.js";
import { asLoad, type Host } from "./host.js";
import { STATE_ROOT } from "./paths.js";
import { FTP_PORT } from "./plan.js";
import type { Programs } from "./programs.js";
import { curlOperation, parseOutcomes, portsNeeded, type Transfer, transfersInTurn } from "./transfers.js";

const FILE = "file";
/** Many packets, and little to wait for. */
const FILE_BYTES = 65_536;
/** A lost packet is sent again after one second and three; then the transfer must still be able to succeed. */
const TRANSFER_LIMIT_S = 10;
/** One process of curl makes so many transfers, one after the other; fewer, where some processes would have nothing to do. */
const BATCH_MAX = 20;
const AT_ONCE = 8;
/** So many failures say enough; each may have lasted as long as the limit. */
const FAILURES_MAX = 40;

/**
 * One process in the foreground, and one for each session. It stays who it is: a user's namespace has no other user to change to. Its own
 * sandbox would need one, too.
 */
export function vsftpdConfig(root: string, families: readonly AddressFamily[]): string {
  const six = families.includes(6);
  return `listen=${six ? "NO" : "YES"}
listen_ipv6=${six ? "YES" : "NO"}
listen_port=${FTP_PORT}
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=${root}
local_enable=NO
write_enable=NO
port_enable=YES
pasv_enable=YES
connect_from_port_20=NO
xferlog_enable=NO
run_as_launching_user=YES
isolate=NO
isolate_network=NO
seccomp_sandbox=NO
max_per_ip=0
`;
}

/** Starts vsftpd on a host; the hash of the file that it has to give. */
export async function startFtp(host: Host, programs: Programs, families: readonly AddressFamily[]): Promise<string> {
  const folder = join(STATE_ROOT, host.name);
  const root = join(folder, "ftp");
  mkdirSync(root, { recursive: true, mode: 0o755 });
  const content = randomBytes(FILE_BYTES);
  writeFileSync(join(root, FILE), content, { mode: 0o644 });
  const config = join(folder, "vsftpd.conf");
  writeFileSync(config, vsftpdConfig(root, families), { mode: 0o600 });
  programs.start(["vsftpd", config]);
  await programs.listening([FTP_PORT]);
  return hashOf(content);
}

export interface TransferResult extends Transfer {
  /** Of what arrived. */
  readonly hash: string;
  /** Absent when curl had everything. */
  readonly error?: string;
}

/** Makes transfers, until too many have failed; remembers which source ports were used, for no two of its transfers have the same. */
export class FtpClients {
  #skip = 0;

  async transfer(callers: readonly Caller[], targets: readonly string[], total: number): Promise<TransferResult[]> {
    const sources = callers.flatMap((caller) => caller.sources);
    const transfers = transfersInTurn(total, sources, targets, this.#skip);
    this.#skip += portsNeeded(total, sources);
    const size = Math.min(BATCH_MAX, Math.ceil(total / AT_ONCE));
    const batches = callers.flatMap(({ host, sources: own }) => {
      const ofHost = transfers.filter(({ source }) => own.includes(source));
      return inBatches(ofHost, size).map((batch) => ({ host, batch }));
    });
    const results: TransferResult[] = [];
    const next = async (): Promise<void> => {
      for (let work = batches.shift(); work !== undefined; work = batches.shift()) {
        const { host, batch } = work;
        const made = await transferBatch(host, batch);
        results.push(...made);
        if (results.filter(({ error }) => error !== undefined).length >= FAILURES_MAX) return;
        if (made.length < batch.length) batches.push({ host, batch: batch.slice(made.length) });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
    return results;
  }
}

/** Results up to the first that failed. */
async function transferBatch(host: Host, batch: readonly Transfer[]): Promise<TransferResult[]> {
  const [first] = batch;
  const folder = join(STATE_ROOT, host.name, `received-${first?.source}-${first?.firstPort}`);
  mkdirSync(folder, { recursive: true });
  const operations = batch.map((one, index) => curlOperation(one, FILE, join(folder, String(index)), TRANSFER_LIMIT_S));
  const argv = asLoad(["curl", "-q", "--fail-early", "-K", "-"]);
  const { stdout, stderr } = await outcomeOf(host.inside(argv), operations.join("\nnext\n"));
  const outcomes = parseOutcomes(stdout);
  const ends = outcomes.length === 0 ? [`curl ended: ${stderr.trim()}`] : outcomes;
  const results = batch.slice(0, ends.length).map((transfer, index): TransferResult => {
    const error = ends[index];
    const result = { ...transfer, hash: hashOf(received(join(folder, String(index)))) };
    return error === undefined ? result : { ...result, error };
  });
  rmSync(folder, { recursive: true });
  return results;
}

function received(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch {
    return Buffer.alloc(0); // nothing came
  }
}

function hashOf(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

function inBatches(transfers: readonly Transfer[], size: number): Transfer[][] {
  return Array.from({ length: Math.ceil(transfers.length / size) }, (_, index) =>
    transfers.slice(index * size, (index + 1) * size),
  );
}
