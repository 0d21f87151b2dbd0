// Figures of ours and of peers beside each other, as lines of text. Pure; used by failover and stress.

export type Row = readonly [title: string, figures: Readonly<Record<string, number | string>>];

/** One column per row's title, one line per figure; a figure that a row does not have is `-`. */
export function besideEachOther(rows: readonly Row[]): string[] {
  const names = [...new Set(rows.flatMap(([, figures]) => Object.keys(figures)))];
  const table = [
    ["", ...rows.map(([title]) => title)],
    ...names.map((name) => [name, ...rows.map(([, f]) => cell(f[name]))]),
  ];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0))) ?? [];
  return table.map((line) =>
    line
      .map((text, column) => (column === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

function cell(value: number | string | undefined): string {
  return value === undefined ? "-" : String(value);
}
