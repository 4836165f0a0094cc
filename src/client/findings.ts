import { ApplicationFailure } from '@temporalio/common';
import { failureDetails } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import type { Finding } from '../workflows/inspection.js';
import type { CheckDocument } from './documents/finding.js';
import type { Output } from './output.js';
import { EXIT } from './problem.js';
import { facts, printable } from './text.js';

export type { Finding } from '../workflows/inspection.js';

const MARKS: Record<Finding['state'], string> = { ok: '✔', wrong: '✘', unknown: '?' };

/** Tells what was found. Returns the exit status: 1 when something is wrong. */
export function tellFindings(output: Output, findings: readonly Finding[], more: object = {}): number {
  const bad = findings.filter(({ state }) => state === 'wrong').map(({ name }) => name);
  output.data({ ...more, ok: bad.length === 0, checks: findingsDocument(findings) }, findingsText(findings));
  if (bad.length > 0) output.say(`Wrong: ${bad.join(', ')}`);
  return bad.length === 0 ? EXIT.ok : EXIT.failed;
}

/** Findings as programs read them. */
export function findingsDocument(findings: readonly Finding[]): CheckDocument[] {
  return findings.map(({ name, state, message, cause = null, next = null }) => {
    return { name, state, message, cause, next };
  });
}

/** Findings as people read them. */
export function findingsText(findings: readonly Finding[]): string {
  const width = Math.max(0, ...findings.map(({ name }) => name.length));
  return findings
    .flatMap(({ name, state, message, cause, next }) => [
      `${MARKS[state]} ${name.padEnd(width)}  ${printable(message)}`,
      ...(state === 'ok'
        ? []
        : [
            facts(
              [
                ['cause', cause],
                ['next', next],
              ],
              ' '.repeat(width + 4),
            ),
          ]),
    ])
    .filter((line) => line !== '')
    .join('\n');
}

/** A failure as a finding. */
export function wrong(name: string, error: unknown): Finding {
  if (!(error instanceof ApplicationFailure)) {
    return { name, state: 'wrong', message: messageOf(error) };
  }
  const { cause, next } = failureDetails(error);
  return { name, state: 'wrong', message: error.message, cause, next };
}
