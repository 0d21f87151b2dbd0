// Prints a benchmark's rows as aligned tables: one for all rows in a sequence that have the same columns.

import { type BenchResult, type Figure, type Goal, NOT_MEASURED } from "./result.js";

type Row = BenchResult["rows"][number];

export function formatTable(result: BenchResult): string {
  const figures = Object.entries(result.figures).map(([name, value]) => `${name}: ${show(value)}`);
  const goals = (result.goals ?? []).map(goalLine);
  const broken = result.broken.map((promise) => `BROKEN: ${promise}`);
  return [...tablesOf(result.rows).flatMap((rows) => [...aligned(rows), ""]), ...figures, ...goals, ...broken].join(
    "\n",
  );
}

function goalLine({ goal, wanted, got, met }: Goal): string {
  const verdict = got === NOT_MEASURED ? "NOT MEASURED" : met ? "MET" : "MISSED";
  return `GOAL ${verdict}: ${goal}: wanted ${wanted}, got ${show(got)}`;
}

function tablesOf(rows: readonly Row[]): Row[][] {
  const tables: Row[][] = [];
  for (const row of rows) {
    const last = tables.at(-1);
    if (last?.[0] !== undefined && Object.keys(last[0]).join() === Object.keys(row).join()) last.push(row);
    else tables.push([row]);
  }
  return tables;
}

function aligned(rows: readonly Row[]): string[] {
  const columns = Object.keys(rows[0] ?? {});
  const cells = [columns, ...rows.map((row) => columns.map((column) => show(row[column] ?? "")))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => (line[index] ?? "").length)));
  return cells.map((line) =>
    line
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[index] ?? 0)))
      .join("  "),
  );
}

function show(value: Figure): string {
  if (typeof value === "string") return value;
  return Number.isInteger(value)
    ? value.toLocaleString("en-US")
    : value.toLocaleString("en-US", { maximumFractionDigits: 2 });
}
