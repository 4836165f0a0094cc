import { load, type Timed } from './rounds.js';

/** What is compared with CHOM, and what was hoped for. */
export interface Aim {
  other: string;
  /** How many times as long as CHOM it is to take at least; for what is the limit, CHOM's time over its at most. */
  atLeast?: number;
  atMost?: number;
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function heading(text: string): void {
  say(`\n${text}  (load ${load()})`);
}

/** A line for each contender, the first being CHOM, and one for each ratio. */
export function tell(timed: readonly Timed[], aims: readonly Aim[]): void {
  const width = Math.max(...timed.map(({ name }) => name.length));
  for (const { name, median, times, spoilt } of timed) {
    const range = `${seconds(Math.min(...times))} to ${seconds(Math.max(...times))}`;
    const failed = spoilt === 0 ? '' : `; failed ${spoilt} times, uncounted`;
    say(`  ${name.padEnd(width)}  ${seconds(median)}   median of ${times.length}, ${range}${failed}`);
  }
  const [chom] = timed;
  for (const { other, atLeast, atMost } of aims) {
    const found = timed.find(({ name }) => name === other);
    if (!chom || !found) continue;
    if (atLeast !== undefined) {
      say(
        `  ${other} takes ${ratio(found.median, chom.median)} times as long as ${chom.name} (aim: at least ${atLeast})`,
      );
    } else {
      const aim = atMost === undefined ? '' : ` (aim: at most ${atMost})`;
      say(`  ${chom.name} takes ${ratio(chom.median, found.median)} times as long as ${other}${aim}`);
    }
  }
}

/** A contender that cannot be set up: the others are measured, and the run as a whole has failed. */
export function missing(what: string, why: unknown): void {
  const text = why instanceof Error ? why.message : String(why);
  say(`  not measured: ${what}: ${text.split('\n')[0]}`);
  process.exitCode = 1;
}

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(milliseconds < 1000 ? 3 : 2)} s`;
}

export function ratio(a: number, b: number): string {
  return (a / b).toFixed(1);
}
