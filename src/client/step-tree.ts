import { MARKS, type Amount, type StepProgress } from '../workflows/progress.js';
import { duration, printable, size } from './text.js';
import type { Seen } from './watch.js';

const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const STALL_MS = 60_000;

const COLOURS: Partial<Record<StepProgress['state'], number>> = {
  running: 36,
  waiting: 33,
  done: 32,
  skipped: 90,
  failed: 31,
  undoing: 33,
  undone: 33,
  'not-undone': 31,
};

/** How the tree is drawn. */
export interface Style {
  colour: boolean;
  /** Milliseconds since the epoch, for what runs. */
  now: number;
  /** Turns a mark of a running step into a frame of the spinner; left out where lines are not redrawn. */
  frame?: number;
}

/** A step as it is shown: its place in the tree, and what is known of it. */
export interface ShownStep {
  /** Tells the step apart within its tree. */
  key: string;
  depth: number;
  step: StepProgress;
  attempts: string;
}

/** The steps of an operation in their order; those of an operation inside it under the step that runs it. */
export function shownSteps(seen: Seen, depth = 0): ShownStep[] {
  return seen.steps.flatMap((step) => {
    const own = { key: `${seen.operation.id}#${step.index}`, depth, step, attempts: attempts(step) };
    const inside = seen.children.filter(({ operation }) => operation.kind === step.label);
    return [own, ...inside.flatMap((child) => shownSteps(child, depth + 1))];
  });
}

/** One line of the tree. */
export function describeStep({ step, depth, attempts: attempt }: ShownStep, style: Style): string {
  const { state } = step;
  const moves = state === 'running' || state === 'undoing';
  const frame = moves && style.frame !== undefined ? SPINNER[style.frame % SPINNER.length] : undefined;
  const mark = frame ?? MARKS[state];
  const inWords = state === 'done' || state === 'running' ? '' : ` — ${state.replace('-', ' ')}`;
  const message = step.message === undefined ? '' : `: ${printable(step.message)}`;
  const end = step.endedAt ?? (style.frame === undefined ? undefined : style.now);
  const took = end === undefined || state === 'skipped' ? '' : ` (${duration(end - step.startedAt)})`;
  const rest = ` ${printable(step.label)}${inWords}${attempt}${took}${message}`;
  const amount = step.amount === undefined ? '' : ` — ${describeAmount(step.amount)}`;
  return '  '.repeat(depth) + paint(mark, COLOURS[state], style.colour) + rest + amount;
}

/** The tree, its warnings, and what is waited for. */
export function describeTree(seen: Seen, style: Style, changedAt: number): string[] {
  const steps = shownSteps(seen).map((shown) => describeStep(shown, style));
  const stalled = describeStall(seen, style.now, changedAt);
  const waits = steps.length === 0 || seen.silence !== null ? [waitsFor(seen)] : [];
  return [
    ...steps,
    ...seen.warnings.map((warning) => `${paint('⚠', 33, style.colour)} ${printable(warning)}`),
    ...(stalled === null ? waits : [paint(stalled, 33, style.colour)]).filter((line) => line !== ''),
  ];
}

/** After a minute without any change: since when, and what is waited for. Null before. */
export function describeStall(seen: Seen, now: number, changedAt: number): string | null {
  if (seen.operation.outcome !== null || now - changedAt < STALL_MS) return null;
  const since = new Date(changedAt).toTimeString().slice(0, 8);
  return `Nothing has changed since ${since} (${duration(now - changedAt)}): ${waitsFor(seen)}`;
}

/** `files: 42 %, 325 MB of 760 MB, 8120 files` */
export function describeAmount({ phase, done, files, bytes, totalBytes }: Amount): string {
  const percent = `${Math.floor(done * 100)} %`;
  // Not everything is counted in bytes.
  const known = totalBytes === 0 ? (done > 0 && bytes === 0 ? percent : size(bytes)) : null;
  const share = known ?? `${percent}, ${size(bytes)} of ${size(totalBytes)}`;
  return `${printable(phase)}: ${share}${files === 0 ? '' : `, ${files} files`}`;
}

/** What would change if the tree is to be told by lines: of an amount, every tenth. */
export function fingerprint({ step }: ShownStep): string {
  const { amount } = step;
  const tenths = amount === undefined ? '' : `${amount.phase} ${Math.floor(amount.done * 10)}`;
  return [step.state, step.attempt, step.message ?? '', tenths].join('\n');
}

function waitsFor(seen: Seen): string {
  const { operation, silence, question } = seen;
  if (operation.outcome !== null) return '';
  if (question) return `waiting for an answer: ${printable(question.prompt)}`;
  if (operation.state === 'asked') return `asked for, waiting for a worker${silence === null ? '' : ` (${silence})`}`;
  const open = shownSteps(seen).findLast(({ step }) => ['running', 'waiting', 'undoing'].includes(step.state));
  const what = open === undefined ? 'its next step' : `“${printable(open.step.label)}”`;
  return `waiting for ${what}${silence === null ? '' : `; ${silence}`}`;
}

function attempts(step: StepProgress): string {
  return step.attempt > 1 ? `, attempt ${step.attempt}` : '';
}

function paint(text: string, colour: number | undefined, on: boolean): string {
  return on && colour !== undefined ? `\u001b[${colour}m${text}\u001b[0m` : text;
}
