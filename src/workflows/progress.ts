/** How far one step has come. */
export interface StepProgress {
  index: number;
  label: string;
  state: 'running' | 'waiting' | 'done' | 'skipped' | 'failed' | 'undoing' | 'undone' | 'not-undone';
  attempt: number;
  /** Milliseconds since the epoch, workflow time. */
  startedAt: number;
  endedAt?: number;
  /** Why it failed or waits. */
  message?: string;
  /** Of a running one, by whoever watches; the workflow does not know it. */
  amount?: Amount;
  /** Every attempt that failed, for the operation's log. */
  failures?: StepFailure[];
}

/** How much of a step is done, where it can be counted. */
export interface Amount {
  /** What of it, in a word or two. */
  phase: string;
  /** From 0 to 1; 0 where nobody knows how much there is. */
  done: number;
  files: number;
  bytes: number;
  /** 0: not known. */
  totalBytes: number;
}

/** An attempt of a step that failed. */
export interface StepFailure {
  attempt: number;
  /** Milliseconds since the epoch, workflow time. */
  at: number;
  type: string;
  message: string;
  /** Last lines of what the program on the server said. */
  output?: string;
}

/** What the operator is asked, while an operation waits for the answer. */
export interface Question {
  name: string;
  prompt: string;
  /** What a yes would accept, for example a host key's fingerprint. */
  value: string;
}

/** What the `progress` query answers: everything `chom op watch` shows. */
export interface Progress {
  operation: string;
  kind: string;
  attempts: number;
  attempt: number;
  committed: boolean;
  steps: StepProgress[];
  warnings: string[];
  question: Question | null;
}

/** Wherever a step is shown. */
export const MARKS: Record<StepProgress['state'], string> = {
  running: '▶',
  waiting: '…',
  done: '✔',
  skipped: '–',
  failed: '✘',
  undoing: '↩',
  undone: '↩',
  'not-undone': '✘',
};

/** The step tree as Markdown, for the current details in the Temporal UI. */
export function describeProgress(progress: Progress): string {
  const lines = progress.steps.map((step) => {
    const seconds = step.endedAt === undefined ? '' : ` (${((step.endedAt - step.startedAt) / 1000).toFixed(1)} s)`;
    const attempt = step.attempt > 1 ? `, attempt ${step.attempt} of ${progress.attempts}` : '';
    const state = step.state === 'done' ? '' : ` — ${step.state}`;
    return `- ${MARKS[step.state]} ${step.label}${state}${attempt}${seconds}${step.message ? `: ${step.message}` : ''}`;
  });
  const question = progress.question ? [`\n**${progress.question.prompt}** \`${progress.question.value}\``] : [];
  const warnings = progress.warnings.map((warning) => `\n⚠ ${warning}`);
  return [...lines, ...question, ...warnings].join('\n');
}
