import { z } from 'zod';
import { failure, type FailureType } from '../workflows/failures.js';
import { tail } from './exit.js';
import type { Output } from './host.js';

/** How far a backup or restore is. restic leaves out what is still nothing. */
export interface ResticStatus {
  /** From 0 to 1. */
  percentDone: number;
  files: number;
  filesDone: number;
  bytes: number;
  bytesDone: number;
}

/** What a backup came to. */
export interface ResticSummary {
  /** In full, 64 hexadecimal digits. Null where nothing was saved, as with --skip-if-unchanged. */
  snapshot: string | null;
  files: number;
  bytes: number;
  /** What the repository did not have yet, as it was before compression and as it was written. */
  newBytes: number;
  storedBytes: number;
}

/** What restic said, of all that it said on stdout and stderr. Kinds that are not known are passed over. */
export interface ResticSaid {
  /** The last one. */
  status: ResticStatus | null;
  summary: ResticSummary | null;
  /** What could not be read, and why: of a backup that is partial. At most 50. */
  errors: { item: string; message: string }[];
  /** Of the end: code and message. */
  exitError: { code: number; message: string } | null;
}

const count = z.number().default(0);
const status = z.object({
  message_type: z.literal('status'),
  percent_done: count,
  total_files: count,
  files_done: count,
  total_bytes: count,
  bytes_done: count,
});
const summary = z.object({
  message_type: z.literal('summary'),
  snapshot_id: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  total_files_processed: count,
  total_bytes_processed: count,
  data_added: count,
  data_added_packed: count,
});
const problem = z.object({
  message_type: z.literal('error'),
  error: z.object({ message: z.string() }),
  item: z.string().default(''),
});
const exitError = z.object({ message_type: z.literal('exit_error'), code: z.number(), message: z.string() });
const message = z.discriminatedUnion('message_type', [status, summary, problem, exitError]);

const MOST_ERRORS = 50;

/** Reads JSON lines (restic 0.17 on; https://restic.readthedocs.io/en/stable/075_scripting.html), passing over others. */
export function parseResticLines(text: string): ResticSaid {
  const said: ResticSaid = { status: null, summary: null, errors: [], exitError: null };
  for (const line of text.split('\n')) {
    if (!line.startsWith('{')) continue;
    const parsed = message.safeParse(fromJson(line));
    if (parsed.success) take(said, parsed.data);
  }
  return said;
}

function take(said: ResticSaid, one: z.infer<typeof message>): void {
  switch (one.message_type) {
    case 'status':
      said.status = {
        percentDone: one.percent_done,
        files: one.total_files,
        filesDone: one.files_done,
        bytes: one.total_bytes,
        bytesDone: one.bytes_done,
      };
      return;
    case 'summary':
      said.summary = {
        snapshot: one.snapshot_id ?? null,
        files: one.total_files_processed,
        bytes: one.total_bytes_processed,
        newBytes: one.data_added,
        storedBytes: one.data_added_packed,
      };
      return;
    case 'error':
      if (said.errors.length < MOST_ERRORS) said.errors.push({ item: one.item, message: one.error.message });
      return;
    case 'exit_error':
      said.exitError = { code: one.code, message: one.message };
  }
}

function fromJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** A snapshot was made, and something could not be read: partial, and no failure. */
export const RESTIC_PARTIAL = 3;

/** timeout(1) ended it. */
const TIMED_OUT = 124;

/** restic's own exit codes, 0.17.1 on. Others say nothing of themselves. */
const CODES: Readonly<Record<number, FailureType>> = {
  10: 'NoRepository',
  11: 'RepositoryLocked',
  12: 'WrongPassword',
  130: 'Interrupted',
};

/** What restic, ssh and the storages say where the code is 1; the first that fits. */
const WORDS: readonly (readonly [RegExp, FailureType])[] = [
  [/REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed/, 'HostKeyMismatch'],
  [/507 Insufficient Storage|413 Request Entity Too Large|sftp: no space left/i, 'StorageFull'],
  [
    /401 Unauthorized|403 Forbidden|Permission denied|Access Denied|InvalidAccessKeyId|SignatureDoesNotMatch|x509:/,
    'StorageRefused',
  ],
  [
    /ciphertext verification failed|invalid data returned|pack .* (damaged|contains)|error loading index/i,
    'RepositoryDamaged',
  ],
  // A pack, index or snapshot that is gone, in the words of the file system, SFTP, REST and S3.
  [/Load\(<\w+\/[0-9a-f]+>.*(no such file or directory|does not exist|404)/, 'RepositoryDamaged'],
  [
    /connection (refused|reset|timed out)|no route to host|network is unreachable|i\/o timeout|no such host|Could not resolve hostname|Connection closed|ssh command exited|unable to start the sftp session|server response unexpected: (502|503|504)|: request timeout$/im,
    'StorageUnreachable',
  ],
];

/** The likely cause of each. */
export const RESTIC_CAUSES: Partial<Record<FailureType, string>> = {
  TimedOut: 'The storage did not answer in time',
  NoRepository: 'Somebody removed it, or the storage is not what it was',
  RepositoryLocked: 'Another backup, restore or check of it is at work, or died and left its lock',
  WrongPassword: 'It is another repository than the one that CHOM made there',
  StorageFull: 'The disk or quota of the storage is used up',
  StorageRefused: 'The login or the certificate of the storage is not what it was',
  StorageUnreachable: 'The storage is down, or a firewall is in between',
  RepositoryDamaged: 'The disk of the storage, or somebody, changed or removed what was written',
  HostKeyMismatch: 'Another machine answers at that address',
};

/**
 * The output where restic succeeded or, with `partial`, left something out; else a failure. `what` completes "… failed on
 * web1"; `storage` names it for the command to run next.
 */
export function expectRestic(
  output: Output,
  host: { readonly name: string },
  { what, storage, partial = false }: { what: string; storage: string; partial?: boolean },
): Output {
  const { exit } = output;
  if (exit === 0 || (partial && exit === RESTIC_PARTIAL)) return output;
  const type = resticFailure(output);
  const line = tellingLine(output, type);
  throw failure(type, `${what} failed on ${host.name}: ${line.slice(0, 300) || `exit code ${exit}`}`, {
    server: host.name,
    cause: RESTIC_CAUSES[type] ?? `restic ended with exit code ${exit}`,
    next: type === 'DiskFull' ? `df -h (on ${host.name})` : `chom storage check ${storage}`,
    output: tail(output.stderr),
  });
}

/** What an exit code other than 0 means; what is unknown is a failure too. */
export function resticFailure({ exit, stderr }: Pick<Output, 'exit' | 'stderr'>): FailureType {
  const known = CODES[exit];
  if (known !== undefined) return known;
  const told = WORDS.find(([words]) => words.test(stderr))?.[1];
  if (told !== undefined) return told;
  if (exit === TIMED_OUT) return 'TimedOut';
  // Go's words for ENOSPC are those of the C library, in small letters.
  return /no space left on device|disk quota exceeded/i.test(stderr) ? 'DiskFull' : 'CommandFailed';
}

/** Of ssh and the storage what names the cause; else what restic said in the end. */
function tellingLine({ stderr }: Pick<Output, 'stderr'>, type: FailureType): string {
  const lines = stderr.trimEnd().split('\n');
  const names = (text: string) => WORDS.some(([words, of]) => of === type && words.test(text));
  const told = lines.find((line) => !line.startsWith('{') && names(line));
  const all = parseResticLines(stderr);
  // In the end restic says how many errors there were.
  const one = all.errors.find((error) => names(error.message))?.message;
  const said = all.exitError?.message.split('\n')[0];
  return (told ?? one ?? said ?? lines.at(-1) ?? '').replace(/^\S+ returned error, retrying after \S+: /, '');
}
