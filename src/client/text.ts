/** Text from elsewhere made safe for a terminal: control characters, escapes among them, become spaces. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}

/** What somebody wrote, to be shown back to them: quoted, printable, and cut at 60 characters. */
export function quoted(text: string): string {
  const characters = Array.from(text);
  const shown = characters.length > 60 ? `${characters.slice(0, 60).join('')}…` : text;
  return JSON.stringify(shown).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (one) => {
    return `\\u${(one.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
  });
}

/** Narrower than this no column is cut: of an id or a name less says nothing. */
const LEAST_WIDTH = 12;

/** Columns of the terminal that tables are for; without one nothing is cut, for programs and files take all of it. */
let terminalColumns = Infinity;

/** How wide the terminal is that standard output is; undefined: it is none. */
export function fitTables(columns: number | undefined): void {
  terminalColumns = columns ?? Infinity;
}

/** Aligned columns under a heading; cells are made printable, and those of the widest columns cut where a terminal is narrower. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [heading, ...rows].map((row) => row.map((cell) => printable(cell) || '-'));
  const widths = heading.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  const fitted = fit(widths, terminalColumns);
  const lines = cells.map((row) => row.map((cell, column) => cut(cell, fitted[column] ?? 0)).join('  '));
  return lines.map((line) => line.trimEnd()).join('\n');
}

/** The widths, with two blanks between columns, made less from the widest down until they fit. */
function fit(widths: readonly number[], columns: number): number[] {
  const fitted = [...widths];
  const sum = () => fitted.reduce((total, width) => total + width + 2, -2);
  while (sum() > columns) {
    const widest = fitted.indexOf(Math.max(...fitted));
    if ((fitted[widest] ?? 0) <= LEAST_WIDTH) break;
    fitted[widest] = (fitted[widest] ?? 0) - 1;
  }
  return fitted;
}

function cut(cell: string, width: number): string {
  return cell.length > width ? `${cell.slice(0, width - 1)}…` : cell.padEnd(width);
}

/** One fact a line, names first; facts that there are not are left out. */
export function facts(entries: readonly (readonly [string, string | null | undefined])[], indent = ''): string {
  const known = entries.filter(([, value]) => value !== null && value !== undefined && value !== '');
  const width = Math.max(0, ...known.map(([name]) => name.length));
  return known.map(([name, value]) => `${indent}${name.padEnd(width)}  ${printable(value ?? '')}`).join('\n');
}

/** `1.2 s`, `48 s`, `3 min 05 s`, `2 h 10 min`. */
export function duration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const pad = (part: number) => String(part).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${pad(Math.floor((seconds % 3600) / 60))} min`;
}

/** How long ago, as a person says it: `7 min`, `30 h`, `12 days`; `in 3 h` of what is yet to come. */
export function age(milliseconds: number): string {
  const minutes = Math.floor(Math.abs(milliseconds) / 60_000);
  const days = Math.floor(minutes / (24 * 60));
  const text = minutes < 60 ? `${minutes} min` : days < 2 ? `${Math.floor(minutes / 60)} h` : `${days} days`;
  return milliseconds < 0 ? `in ${text}` : text;
}

/** In powers of 1000, as disks are sold: `0 B`, `1.2 kB`, `21 MB`. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  // 999.5 would be written as 1000.
  while (value >= 999.5 && units.length > 1) {
    value /= 1000;
    units.shift();
  }
  return `${units[0] === 'B' || value >= 9.95 ? Math.round(value) : value.toFixed(1)} ${units[0]}`;
}
