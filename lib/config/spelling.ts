// Guesses what a mistyped key was meant to be. Called by load.ts for its hints.

/** The name that differs from the text by at most two typing errors, if any. */
export function nearest(text: string, names: readonly string[]): string | undefined {
  const distances = names.map((name) => ({ name, errors: distance(name.toLowerCase(), text.toLowerCase()) }));
  distances.sort((a, b) => a.errors - b.errors);
  const best = distances[0];
  return best !== undefined && best.errors <= 2 ? best.name : undefined;
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
