// What was changed on this machine and what it was before, written to disk before each change, so that a daemon that was
// killed leaves nothing that its next start could not undo. An entry goes when it was undone. Used by installer.ts.

import { readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { SOLICITED_NODE } from "../config/ipv6.js";
import { RainfrontError } from "../errors.js";
import { OFFLOAD_RECEIVE_MERGE } from "../native.js";

const JournalContent = z.object({
  /** Where that was. Earlier versions did not say. */
  place: z.string().optional(),
  links: z.array(z.string()),
  sysctls: z.array(z.object({ path: z.string().startsWith("/proc/sys/net/"), previous: z.string() })),
  /** `mask`: the bits that were changed. Earlier versions changed no others than merging. */
  offloads: z.array(
    z.object({ nic: z.string(), previous: z.number(), mask: z.number().default(OFFLOAD_RECEIVE_MERGE) }),
  ),
  /** NICs with our XDP program. Earlier versions did not have them. */
  programs: z.array(z.object({ nic: z.string() })).default([]),
  /** Groups that a NIC is in for us. Earlier versions did not have them. */
  groups: z.array(z.object({ nic: z.string(), address: z.string().startsWith(SOLICITED_NODE) })).default([]),
});

type Content = Omit<z.infer<typeof JournalContent>, "place">;
export type JournalEntry = Content[keyof Content][number];

export class Journal {
  readonly #file: string;
  readonly #place: string;
  #content: Content = { links: [], sysctls: [], offloads: [], programs: [], groups: [] };

  /** The folder exists: the control socket is in it. */
  constructor(stateDir: string, place = currentPlace()) {
    this.#file = join(stateDir, "installed.json");
    this.#place = place;
  }

  /**
   * Takes over what an earlier daemon left; false when it cleaned up. A file that cannot be understood is treated as none, and so is one from before the machine
   * was started. Throws `RF_STATE_DIR` for one of another network namespace: here, nothing of it can be undone.
   */
  takeOver(): boolean {
    const found = this.#read();
    if (found === undefined) return false;
    const { place, ...content } = found;
    if (place !== undefined && place !== this.#place) {
      if (bootOf(place) !== bootOf(this.#place)) return false;
      throw new RainfrontError(
        "RF_STATE_DIR",
        `${this.#file} says what a daemon installed in another network namespace`,
        {
          fix: "run this in that namespace (ip netns exec NAME), give each namespace a stateDir of its own, or remove the file if the namespace is gone",
        },
      );
    }
    this.#content = content;
    return true;
  }

  #read(): z.infer<typeof JournalContent> | undefined {
    try {
      return JournalContent.parse(JSON.parse(readFileSync(this.#file, "utf8")));
    } catch {
      return undefined;
    }
  }

  get content(): Readonly<Content> {
    return this.#content;
  }

  addLink(name: string): void {
    if (this.#content.links.includes(name)) return;
    this.#write({ ...this.#content, links: [...this.#content.links, name] });
  }

  // Of two entries for one thing the first has the value from before Rainfront: a second is not taken.

  addSysctl(path: string, previous: string): void {
    if (this.#content.sysctls.some((entry) => entry.path === path)) return;
    this.#write({ ...this.#content, sysctls: [...this.#content.sysctls, { path, previous }] });
  }

  addOffloads(nic: string, previous: number, mask: number): void {
    const known = this.#content.offloads.filter((entry) => entry.nic === nic);
    // What was changed before has its first value there.
    const fresh = known.reduce((left, entry) => left & ~entry.mask, mask);
    if (fresh === 0) return;
    this.#write({ ...this.#content, offloads: [...this.#content.offloads, { nic, previous, mask: fresh }] });
  }

  addProgram(nic: string): void {
    if (this.#content.programs.some((entry) => entry.nic === nic)) return;
    this.#write({ ...this.#content, programs: [...this.#content.programs, { nic }] });
  }

  addGroup(nic: string, address: string): void {
    if (this.#content.groups.some((entry) => entry.nic === nic && entry.address === address)) return;
    this.#write({ ...this.#content, groups: [...this.#content.groups, { nic, address }] });
  }

  /** An entry of `content` was undone. The file goes with the last one. */
  forget(undone: JournalEntry): void {
    this.#write({
      links: this.#content.links.filter((entry) => entry !== undone),
      sysctls: this.#content.sysctls.filter((entry) => entry !== undone),
      offloads: this.#content.offloads.filter((entry) => entry !== undone),
      programs: this.#content.programs.filter((entry) => entry !== undone),
      groups: this.#content.groups.filter((entry) => entry !== undone),
    });
  }

  #write(content: Content): void {
    this.#content = content;
    if (Object.values(content).every((entries) => entries.length === 0)) {
      rmSync(this.#file, { force: true });
      return;
    }
    const next = `${this.#file}.new`;
    writeFileSync(next, JSON.stringify({ place: this.#place, ...content }, null, 2), { mode: 0o600 });
    renameSync(next, this.#file);
  }
}

/** This start of the machine, and this network namespace of it. */
function currentPlace(): string {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return `${boot} ${readlinkSync("/proc/self/ns/net")}`;
}

function bootOf(place: string): string | undefined {
  return place.split(" ")[0];
}
