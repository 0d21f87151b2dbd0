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
