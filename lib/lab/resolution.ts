// What the lab's way of measuring may add to a time, so that a promise about the time can name its limit. Pure.

/** A probe goes out every millisecond, the port's receive ring holds a frame for up to one, an answer takes some of one. */
const PROBE_MS = 5;

/** Of a silence between two probes' answers, when the prober itself was late by up to `late_ms`. */
export function probeResolution_ms(late_ms: number): number {
  return PROBE_MS + late_ms;
}

/** The observer asks for one VIP each millisecond, so for each only after all the others. */
export function observerResolution_ms(late_ms: number, vips: number): number {
  return PROBE_MS + vips + late_ms;
}

/**
 * What a silence after a loss may be longer than its bound when the machine stood still. All gateways stand on the lab's one machine: a
 * stop that is longer than a hand-over waits (a third of the bound) ends the survivors' own leases too, and who has none waits for up to the
 * bound once more.
 */
export function standstill_ms(bound_ms: number, late_ms: number): number {
  return late_ms > bound_ms / 3 ? bound_ms : 0;
}

/** The longest silence after a loss beside which a promise of `bound_ms` is kept, on a machine that was late or stood still for so long. */
export function judgedSilence_ms(bound_ms: number, late_ms: number): number {
  return bound_ms + probeResolution_ms(late_ms) + standstill_ms(bound_ms, late_ms);
}
