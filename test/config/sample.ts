// A correct configuration in a temporary folder, for tests that spoil one thing in it.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const SAMPLE_KEY = "0123456789abcdef".repeat(4);

export const SAMPLE = `cluster: front
keyFile: cluster.key
node: 1
nodes:
  - { id: 1, name: gw1, addresses: { external: 192.0.2.11, internal: 10.77.0.11 } }
  - { id: 2, name: gw2, addresses: { external: 192.0.2.12, internal: 10.77.0.12 } }
segments:
  external: { interface: ext0, subnet: 192.0.2.0/24 }
  internal: { interface: int0, subnet: 10.77.0.0/24 }
vips:
  - { address: 192.0.2.101, segment: external, preferredHost: 1 }
  - { address: 10.77.0.101, segment: internal, persistence: 1 }
`;

/** Calls `use` with the path of a configuration file, its key beside it; removes both. */
export function withConfig<T>(yaml: string, use: (file: string, folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "rainfront-config-"));
  try {
    const file = join(folder, "gw.yaml");
    writeFileSync(file, yaml);
    writeFileSync(join(folder, "cluster.key"), `${SAMPLE_KEY}\n`, { mode: 0o600 });
    chmodSync(join(folder, "cluster.key"), 0o600);
    return use(file, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
