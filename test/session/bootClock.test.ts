// The clock of a ring without the addon, on a machine that is suspended and whose wall clock is set.
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { BootClock } from "../../lib/session/bootClock.js";
import { NodeDatagramPort } from "../../lib/session/datagramPortNode.js";

/** How much more than the truth it may say after a suspend: the uptime is coarse. */
const COARSE_MS = 20;

class Machine {
  monotonic_ms = 1_000.25;
  wall_ms = 1_700_000_000_000;
  boot_ms = 86_400_007;
  uptimeReads = 0;
  hasUptime = true;
  /** Passes while the uptime is read. */
  preempted_ms: number[] = [];

  clock(): BootClock {
    return new BootClock({
      monotonic_ms: () => this.monotonic_ms,
      wall_ms: () => Math.floor(this.wall_ms),
      uptime_ms: () => {
        this.uptimeReads += 1;
        this.run(this.preempted_ms.shift() ?? 0);
        return this.hasUptime ? Math.floor(this.boot_ms / 10) * 10 : undefined;
      },
    });
  }

  run(duration_ms: number): void {
    this.monotonic_ms += duration_ms;
    this.wall_ms += duration_ms;
    this.boot_ms += duration_ms;
  }

  suspend(duration_ms: number): void {
    this.wall_ms += duration_ms;
    this.boot_ms += duration_ms;
  }
}

/** What passed on a clock while something was done. */
function passed(clock: BootClock, act: () => void): number {
  const before_ms = clock.now_ms();
  act();
  return clock.now_ms() - before_ms;
}

it("goes on over a suspend of the machine", () => {
  const machine = new Machine();
  const clock = machine.clock();
  machine.run(500);
  for (const slept_ms of [150, 3_600_000, 2_000]) {
    const told_ms = passed(clock, () => machine.suspend(slept_ms));
    assert.ok(told_ms >= slept_ms - COARSE_MS && told_ms <= slept_ms + COARSE_MS, `${told_ms} of ${slept_ms}`);
    assert.ok(Math.abs(passed(clock, () => machine.run(70)) - 70) < 0.01);
  }
});

it("does not move when only the wall clock is set, forward or back", () => {
  const machine = new Machine();
  const clock = machine.clock();
  for (const step_ms of [3_600_000, -7_200_000, 40, -40]) {
    const set = (): void => {
      machine.wall_ms += step_ms;
      machine.run(10);
    };
    assert.ok(Math.abs(passed(clock, set) - 10) < 0.01);
  }
});

it("asks for the uptime only when the wall clock has moved against its own", () => {
  const machine = new Machine();
  const clock = machine.clock();
  const { uptimeReads } = machine;
  for (let n = 0; n < 1000; n++) {
    machine.run(1.7);
    clock.now_ms();
  }
  assert.equal(machine.uptimeReads, uptimeReads);
});

it("takes a reading that was slow for no suspend", () => {
  const machine = new Machine();
  machine.preempted_ms = [700, 900, 30];
  const clock = machine.clock();
  machine.preempted_ms = [500, 800, 300];
  machine.wall_ms += 5_000;
  const start_ms = machine.monotonic_ms;
  const told_ms = passed(clock, () => {});
  assert.ok(told_ms <= machine.monotonic_ms - start_ms, `${told_ms} ms`);
});

it("is the monotonic clock where the uptime is not known", () => {
  const machine = new Machine();
  machine.hasUptime = false;
  const clock = machine.clock();
  assert.equal(
    passed(clock, () => machine.suspend(60_000)),
    0,
  );
});

it("never goes back, and never stays behind by more than the uptime's step, whatever happens", () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant("run" as const), ms: fc.double({ min: 0, max: 5_000, noNaN: true }) }),
    fc.record({ what: fc.constant("suspend" as const), ms: fc.double({ min: 50, max: 1e7, noNaN: true }) }),
    fc.record({ what: fc.constant("set" as const), ms: fc.integer({ min: -1e6, max: 1e6 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const machine = new Machine();
      const clock = machine.clock();
      const start = { told_ms: clock.now_ms(), boot_ms: machine.boot_ms };
      let last_ms = start.told_ms;
      for (const { what, ms } of steps) {
        if (what === "set") machine.wall_ms += ms;
        else machine[what](ms);
        const now_ms = clock.now_ms();
        assert.ok(now_ms >= last_ms);
        last_ms = now_ms;
        const ahead_ms = now_ms - start.told_ms - (machine.boot_ms - start.boot_ms);
        assert.ok(Math.abs(ahead_ms) <= COARSE_MS + 0.01, `${ahead_ms} ms ahead`);
      }
    }),
    { numRuns: 500, seed: 6 },
  );
});

it("reads this machine's clocks", async () => {
  const clock = new BootClock();
  const start = { before_ms: performance.now(), told_ms: clock.now_ms(), after_ms: performance.now() };
  await new Promise((resolve) => setTimeout(resolve, 30));
  const [before_ms, told_ms, after_ms] = [performance.now(), clock.now_ms(), performance.now()];
  const passed_ms = told_ms - start.told_ms;
  assert.ok(passed_ms >= before_ms - start.after_ms && passed_ms <= after_ms - start.before_ms);
});

it("is the clock of node's own datagram port", async (context) => {
  const port = await NodeDatagramPort.open({ addresses: ["127.0.4.1"], port: 0, peers: [] });
  try {
    const told_ms = port.now_ms();
    // As after a suspend: all other clocks are a second ahead of it.
    const now = performance.now.bind(performance);
    context.mock.method(performance, "now", () => now() - 1000);
    assert.ok(port.now_ms() >= told_ms);
  } finally {
    port.close();
  }
});
