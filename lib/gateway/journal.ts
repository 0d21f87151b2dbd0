// What was changed on this machine and what it was before, written to disk before each change, so that a daemon that was
// killed leaves nothing that its next start (or `rainfront down`) could not undo. Used by installer.ts.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const JournalContent = z.object({
  links: z.array(z.string()),
  sysctls: z.array(z.object({ path: z.string().startsWith("/proc/sys/net/"), previous: z.string() })),
  offloads: z.array(z.object({ nic: z.string(), previous: z.number() })),
});

type Content = z.infer<typeof JournalContent>;

export class Journal {
  readonly #file: string;
  #content: Content = { links: [], sysctls: [], offloads: [] };

  constructor(stateDir: string) {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    this.#file = join(stateDir, "installed.json");
  }

  /** What an earlier daemon left; undefined when it cleaned up. A file that cannot be understood is treated as none. */
  readLeftover(): Content | undefined {
    try {
      return JournalContent.parse(JSON.parse(readFileSync(this.#file, "utf8")));
    } catch {
      return undefined;
    }
  }

  get content(): Content {
    return this.#content;
  }

  addLink(name: string): void {
    this.#content.links.push(name);
    this.#write();
  }

  addSysctl(path: string, previous: string): void {
    this.#content.sysctls.push({ path, previous });
    this.#write();
  }

  addOffloads(nic: string, previous: number): void {
    this.#content.offloads.push({ nic, previous });
    this.#write();
  }

  clear(): void {
    this.#content = { links: [], sysctls: [], offloads: [] };
    rmSync(this.#file, { force: true });
  }

  #write(): void {
    const next = `${this.#file}.new`;
    writeFileSync(next, JSON.stringify(this.#content, null, 2), { mode: 0o600 });
    renameSync(next, this.#file);
  }
}
