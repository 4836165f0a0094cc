import type { Operation } from '../inventory/operations.js';
import type { KeyAge } from '../inventory/rotations.js';
import type { Session } from './cli.js';
import { ENDS_ALL, exitOfEach } from './follow-each.js';
import { follow, type FollowOptions, type Told } from './follow.js';
import type { Chom } from './open.js';
import { EXIT, problemDocument, problemOf, describeProblem, type Problem } from './problem.js';
import { rotateCredentials, type Rotation } from './rotate-credentials.js';
import { table } from './text.js';

interface Each extends Omit<Rotation, 'server'>, FollowOptions {
  tell: (ended: Operation) => Promise<Told>;
}

/**
 * Rotates one server after the other, so that what is wrong with the first is seen before the last; a failure stops none
 * of the others, whose old keys still get in. Lists those that failed. Returns the exit status.
 */
export async function rotateEach(
  session: Session,
  chom: Chom,
  servers: readonly KeyAge[],
  options: Each,
): Promise<number> {
  const { output } = session;
  const { tell, emergency = false, overlapHours, wait = true, ...following } = options;
  const documents: object[] = [];
  const texts: string[] = [];
  const failed: { name: string; problem: Problem }[] = [];
  const statuses: number[] = [];
  for (const [n, { name }] of servers.entries()) {
    if (servers.length > 1) output.say(`Rotating ${n + 1} of ${servers.length}: ${name}`);
    const quiet: Session = {
      ...session,
      output: {
        ...output,
        data: (document, text) => void (documents.push({ server: name, ...document }), text !== '' && texts.push(text)),
        problem(problem, status = 'failed', more = {}) {
          output.say(describeProblem(problem));
          documents.push({ server: name, ...problemDocument(problem, status), ...more });
          failed.push({ name, problem });
          return problem.exitStatus;
        },
      },
    };
    const how = { server: name, emergency, wait, ...(overlapHours !== undefined && { overlapHours }) };
    const asked = await rotateCredentials(chom, how).catch((error: unknown) => problemOf(error));
    if ('operation' in asked && 'plan' in asked) {
      statuses.push(await follow(quiet, chom, asked.operation, { ...following, needsWorker: true, tell }));
    } else statuses.push(quiet.output.problem(asked));
    const status = statuses.at(-1) ?? EXIT.ok;
    if (!ENDS_ALL.includes(status)) continue;
    const left = servers.length - n - 1;
    if (left > 0) output.say(`${left} more ${left === 1 ? 'was' : 'were'} not asked for`);
    break;
  }
  if (failed.length > 0) output.say(`\nNot rotated:\n${failures(failed)}`);
  output.data({ rotated: documents }, texts.join('\n\n'));
  return exitOfEach(statuses);
}

function failures(failed: readonly { name: string; problem: Problem }[]): string {
  const rows = failed.map(({ name, problem: { message, next } }) => [name, message, next ?? '']);
  return table(['SERVER', 'WHY', 'NEXT'], rows);
}
