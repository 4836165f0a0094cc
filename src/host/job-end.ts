import { failure, type FailureType } from '../workflows/failures.js';
import { claimFailure, isClaimRefusal } from './claim.js';
import { isDiskFull, tail } from './exit.js';
import type { Job, Output } from './host.js';
import type { Result } from './remote-shell.js';

/** What became of a job that has no result: its first word in the record, and what it means. */
const ENDS: Record<string, { type: FailureType; what: string; cause: string }> = {
  timeout: {
    type: 'TimedOut',
    what: 'did not end in time and was stopped',
    cause: 'The server is overloaded, or a program hangs',
  },
  interrupted: {
    type: 'Interrupted',
    what: 'was interrupted, and it is not known how far it came',
    cause: 'The server restarted, or the job was killed',
  },
  cancelled: { type: 'Interrupted', what: 'was stopped', cause: 'The operation was cancelled' },
  replaced: {
    type: 'Superseded',
    what: 'was taken over by a later attempt',
    cause: 'This attempt was given up meanwhile',
  },
  locked: { type: 'TimedOut', what: 'could not begin', cause: 'Another start of the same job did not end' },
  unwritable: {
    type: 'DiskFull',
    what: 'could not be recorded',
    cause: 'The disk of /var/lib/chom or /run is full or read-only',
  },
  unstoppable: {
    type: 'CommandFailed',
    what: 'could not begin: processes of an earlier attempt do not end',
    cause: 'They hang in the kernel, for example on a dead disk or network mount',
  },
  unstarted: { type: 'CommandFailed', what: 'could not be started as a systemd unit', cause: 'systemd refused it' },
  broken: {
    type: 'CommandFailed',
    what: 'could not begin: systemd does not answer',
    cause: 'systemd or D-Bus is down',
  },
};

/** Reads what `startOrFollow` printed: the job's output, or the failure that it ended in. */
export function readEnd(result: Result, job: Job, server: string): Output {
  const line = result.stdout.indexOf('\n');
  const [word = '', ...rest] = result.stdout.subarray(0, Math.max(0, line)).toString().trim().split(' ');
  const stdout = result.stdout.subarray(line + 1).toString();
  const stderr = result.stderr.toString();
  const { milliseconds } = result;
  const step = `Step ${job.step} of ${job.operation}`;
  if (word === 'already') return { exit: 0, stdout, stderr, already: true, milliseconds };
  const ended = word === 'exited' && /^\d+$/.test(rest[0] ?? '');
  const full = rest[1] === 'full';
  if (ended && !full) return { exit: Number(rest[0]), stdout, stderr, already: false, milliseconds };
  if (isClaimRefusal(word)) throw claimFailure(word, rest.join(' '), server, job.claim);
  const details = { server, step: job.step, next: `chom op show ${job.claim.root}`, output: tail(stderr) };
  const end = ENDS[word];
  if (ended || ((end === undefined || word === 'unstarted') && isDiskFull(stderr))) {
    throw failure('DiskFull', `${step} failed on ${server}: its disk is full`, {
      ...details,
      next: `df -h (on ${server})`,
    });
  }
  if (end === undefined) {
    throw failure('CommandFailed', `${step} has no readable end on ${server}`, {
      ...details,
      cause: 'The start script failed',
    });
  }
  const why = rest.length > 0 ? ` (${rest.join(' ')})` : '';
  throw failure(end.type, `${step} on ${server} ${end.what}`, { ...details, cause: `${end.cause}${why}` });
}
