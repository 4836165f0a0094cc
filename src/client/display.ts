import type { Cli } from './cli.js';
import { describeStall, describeStep, describeTree, fingerprint, shownSteps, type Style } from './step-tree.js';
import { printable } from './text.js';
import type { Seen } from './watch.js';

/** Shows an operation while it is watched. */
export interface Display {
  show(seen: Seen): void;
  /** Leaves the terminal to a question, until `show` is called again. */
  pause(): void;
  /** Draws for the last time. */
  end(): void;
}

/** A live tree on a terminal, one line per change elsewhere. */
export function openDisplay({ stderr, environment }: Pick<Cli, 'stderr' | 'environment'>): Display {
  const live = stderr.isTTY === true && environment['TERM'] !== 'dumb';
  return live ? liveTree(stderr, !environment['NO_COLOR']) : linePerChange(stderr);
}

function linePerChange(stream: NodeJS.WritableStream): Display {
  const told = new Map<string, string>();
  const stall = stallClock();
  let saidStall: number | null = null;
  const say = (key: string, state: string, line: string) => {
    if (told.get(key) === state) return;
    told.set(key, state);
    stream.write(`${line}\n`);
  };
  return {
    show(seen) {
      for (const shown of shownSteps(seen)) {
        say(shown.key, fingerprint(shown), describeStep(shown, { colour: false, now: Date.now() }));
      }
      for (const warning of seen.warnings) say(`warning ${warning}`, '', `⚠ ${printable(warning)}`);
      const changedAt = stall(seen);
      const stalled = describeStall(seen, Date.now(), changedAt);
      if (stalled !== null && saidStall !== changedAt) {
        saidStall = changedAt;
        stream.write(`${stalled}\n`);
      }
    },
    pause() {},
    end() {},
  };
}

function liveTree(stream: Cli['stderr'], colour: boolean): Display {
  const stall = stallClock();
  let drawn = 0;
  let frame = 0;
  let last: Seen | null = null;
  let changedAt = Date.now();
  let timer: NodeJS.Timeout | undefined;
  const erase = () => {
    if (drawn > 0) stream.write(`\u001b[${drawn}A\u001b[J`);
    drawn = 0;
  };
  const draw = (style: Partial<Style> = {}) => {
    if (!last) return;
    const now = Date.now();
    const whole = describeTree(last, { colour, now, ...style }, changedAt);
    // What has left the screen at the top cannot be drawn over.
    const room = 'frame' in style ? Math.max(1, (stream.rows || 24) - 1) : whole.length;
    const lines = whole.slice(-room).map((line) => cut(line, (stream.columns || 80) - 1));
    erase();
    stream.write(lines.map((line) => `${line}\n`).join(''));
    drawn = lines.length;
  };
  const tick = () => draw({ frame: (frame += 1) });
  return {
    show(seen) {
      last = seen;
      changedAt = stall(seen);
      timer ??= setInterval(tick, 125);
    },
    pause() {
      clearInterval(timer);
      timer = undefined;
      tick();
      drawn = 0;
    },
    end() {
      clearInterval(timer);
      timer = undefined;
      draw();
    },
  };
}

/** When something last changed, of all that is shown; at first as far as the rows and steps tell. */
function stallClock(): (seen: Seen) => number {
  let before: string | null = null;
  let changedAt = 0;
  return (seen) => {
    const { state, outcome } = seen.operation;
    const all = JSON.stringify([
      state,
      outcome,
      shownSteps(seen).map((shown) => [fingerprint(shown), shown.step.amount]),
      seen.warnings,
      seen.question,
    ]);
    if (before === null) changedAt = lastKnownChange(seen);
    else if (all !== before) changedAt = Date.now();
    before = all;
    return changedAt;
  };
}

function lastKnownChange(seen: Seen): number {
  const { askedAt, startedAt } = seen.operation;
  const steps = shownSteps(seen).map(({ step }) => step.endedAt ?? step.startedAt);
  return Math.min(Date.now(), Math.max(Date.parse(startedAt ?? askedAt), ...steps));
}

const COLOUR = new RegExp(`${String.fromCodePoint(27)}\\[\\d+m`, 'g');

/** Cuts a line to a width; colours take no room. */
function cut(line: string, width: number): string {
  const characters = Array.from(line.replaceAll(COLOUR, ''));
  if (characters.length <= width) return line;
  // Losing the colour of a line that is too long costs less than counting around it.
  return `${characters.slice(0, Math.max(1, width - 1)).join('')}…`;
}
