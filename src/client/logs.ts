import type { Command } from 'commander';
import * as operations from '../inventory/operations.js';
import { action, type Cli, type Session } from './cli.js';
import { parseOperationId } from './names.js';
import { operationDocument, statusOf, targetOf } from './operation.js';
import { readLog, type LogEntry } from './operation-log.js';
import { duration, facts, printable } from './text.js';

/** `chom op logs` */
export function logsCommand(op: Command, cli: Cli): void {
  op.command('logs')
    .argument('<id>')
    .description('what an operation did, in order of time')
    .addHelpText(
      'after',
      `
Every step with its attempts, what failed with the last lines that the program on the server wrote, what was taken
back, and the events. The output of what went well is not kept here; on the server it lies below /var/lib/chom/jobs
for two weeks.

Example:
  chom op logs provision-site-abcdefghijkl`,
    )
    .action(action(cli, logs));
}

async function logs(session: Session, text: string): Promise<void> {
  const id = parseOperationId(text);
  const chom = await session.open();
  const operation = await operations.byId(chom.inventory.db, id, chom);
  const { entries, warnings, silence } = await readLog(chom, operation);
  const lines = [
    facts([
      ['operation', id],
      ['kind', operation.kind],
      ['status', statusOf(operation)],
      ['target', await targetOf(chom.inventory.db, operation)],
    ]),
    ...entries.flatMap((entry) => describe(entry, id)),
    ...warnings.map((warning) => `⚠ ${printable(warning)}`),
  ];
  if (silence !== null) session.output.say(`What it does now cannot be said: ${silence}`);
  session.output.data({ ...operationDocument(operation), warnings, log: entries }, lines.join('\n'));
}

function describe(entry: LogEntry, shown: string): string[] {
  const { at, operation, what, name, output } = entry;
  const of = operation === shown ? '' : `${operation.replace(`${shown}/`, '')}: `;
  const indented = (output ?? '').split('\n').map((line) => `    ${printable(line)}`);
  return [`${at}  ${of}${WORDS[what](entry, printable(name))}`, ...(output === undefined ? [] : indented)];
}

const WORDS: Record<LogEntry['what'], (entry: LogEntry, name: string) => string> = {
  asked: (_, name) => `asked for ${name}`,
  begun: () => 'begun',
  step: ({ state, attempt = 1, tookMs }, name) => {
    const took = tookMs === undefined || state === 'skipped' ? '' : ` (${duration(tookMs)})`;
    return `${name}: ${state}${attempt > 1 ? `, attempt ${attempt}` : ''}${took}`;
  },
  failure: ({ attempt, type, message = '' }, name) =>
    `${name}: attempt ${attempt} failed, ${type}: ${printable(message)}`,
  undo: ({ state, message }, name) =>
    state === 'undone' ? `taken back: ${name}` : `not taken back: ${name}: ${printable(message ?? '')}`,
  event: (_, name) => `event ${name}`,
  ended: ({ type, message }, name) =>
    [`ended: ${name}`, type === undefined ? '' : `${type}: ${printable(message ?? '')}`].filter(Boolean).join(', '),
};
