// A daemon's locks as a test wants them. Used by the tests of the lock socket and of its commands.
import type { LockParams, LockProvider, LockProviderEvent, LockStatus } from "../../lib/api/lockProtocol.js";
import { type Daemon, withDaemon } from "./daemon.js";

interface Asked {
  readonly id: number;
  readonly params: LockParams;
  readonly tell: (event: LockProviderEvent) => void;
}

/** Locks of a group of one, whose bad news the test makes up. */
export class FakeLocks implements LockProvider {
  readonly asked: Asked[] = [];
  readonly released: number[] = [];
  /** Gives every lock at once; else the test says what becomes of it. */
  grants = true;
  #fence = 41n;
  #watchers: (() => void)[] = [];

  acquire(params: LockParams, tell: (event: LockProviderEvent) => void): number {
    const id = this.asked.length + 1;
    this.asked.push({ id, params, tell });
    if (this.grants) setImmediate(() => this.grant(id));
    this.#changed();
    return id;
  }

  grant(id: number): void {
    this.#fence += 1n;
    this.asked[id - 1]?.tell({ type: "granted", fence: this.#fence });
  }

  async release(id: number): Promise<void> {
    this.released.push(id);
    this.#changed();
  }

  list(): LockStatus[] {
    return [
      { name: "backup", holder: { id: 2, name: "gw2" }, fence: "18446744073709551615", waiters: 3, client: null },
      { name: "orphan", holder: null, fence: "0", waiters: 1, client: null },
    ];
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }

  #changed(): void {
    for (const wake of this.#watchers.splice(0)) wake();
  }
}

export async function withLocks(use: (daemon: Daemon, locks: FakeLocks) => Promise<void>): Promise<void> {
  const locks = new FakeLocks();
  await withDaemon((daemon) => use(daemon, locks), { locks });
}
