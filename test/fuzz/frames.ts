// Inputs for what has a state: a row of events, each with two small numbers and some bytes. Any bytes can be read as such
// a row. Used by the targets that feed a module, a transport or an engine.

export interface Frame {
  readonly a: number;
  readonly b: number;
  readonly bytes: Uint8Array;
}

const HEAD_BYTES = 4;
const FRAMES_MAX = 64;

export function frame(a: number, b: number, bytes: Uint8Array): Uint8Array {
  return Uint8Array.of(a, b, bytes.length >> 8, bytes.length & 0xff, ...bytes);
}

export function row(...frames: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(frames.flatMap((one) => [...one]));
}

/** A last frame that says more than there is gets what there is. */
export function readFrames(input: Uint8Array): readonly Frame[] {
  const frames: Frame[] = [];
  let at = 0;
  while (at + HEAD_BYTES <= input.length && frames.length < FRAMES_MAX) {
    const length = ((input[at + 2] ?? 0) << 8) | (input[at + 3] ?? 0);
    const from = at + HEAD_BYTES;
    frames.push({ a: input[at] ?? 0, b: input[at + 1] ?? 0, bytes: input.slice(from, from + length) });
    at = from + length;
  }
  return frames;
}
