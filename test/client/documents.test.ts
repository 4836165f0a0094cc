import type { Command } from 'commander';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { chomCommand } from '../../src/client/commands.js';
import { DOCUMENTS, WITHOUT_DOCUMENT } from '../../src/client/documents/of-command.js';
import { nameOf } from '../../src/client/remote.js';
import { nameIn } from './command-shape.js';
import { checkRun } from './documents.js';

const stream = new PassThrough();
const program = chomCommand({ environment: {}, stdin: stream, stdout: stream, stderr: stream, exitStatus: 0 });

/** Commands that do something, `worker` too, which has others below it. */
function acting(command: Command): string[] {
  const acts = Reflect.get(command, '_actionHandler') !== null;
  const below = command.commands.filter((one) => one.name() !== 'help').flatMap(acting);
  return acts ? [nameOf(command), ...below] : below;
}

test('of every command the document is declared, and of nothing else', () => {
  const all = acting(program).filter((name) => name !== 'backup:database');
  expect(all.toSorted()).toEqual([...Object.keys(DOCUMENTS), ...WITHOUT_DOCUMENT].toSorted());
});

test.each([
  ['site list', ['--tenant', 'site', 'site', 'list', '--server=web1', '--json']],
  ['backup clean', ['--json', 'backup:clean', '--dry-run']],
  ['backup database', ['backup:database', '--to', 'site']],
  ['worker', ['worker', '--json']],
  ['worker builds', ['worker', 'builds']],
  ['site show', ['site', 'show', 'list']],
  ['secrets rotate', ['secrets', '--server', 'web1']],
])('%s is what these words name', (name, words) => {
  expect(nameIn(words)).toBe(name);
});

test('a document is checked field by field, also one of several and one of a failure', () => {
  const check = (words: string[], document: object) =>
    checkRun([...words, '--json'], { stdout: JSON.stringify(document), exit: 0 }, {});
  check(['key', 'retire', 'k1'], { key: 'k1', retired: true });
  expect(() => check(['key', 'retire', 'k1'], { key: 'k1', retired: true, more: 1 })).toThrow('unrecognized_keys');
  expect(() => check(['key', 'retire', 'k1'], { key: 'k1' })).toThrow('invalid_value');
  expect(() => check(['nothing'], {})).toThrow('no schema');
  const error = { type: 'NotFound', message: '', server: null, step: null, cause: null, next: null };
  check(['site', 'list'], { operation: null, status: 'failed', error });
  expect(() => check(['site', 'list'], { operation: null, status: 'failed', error: { ...error, more: 1 } })).toThrow(
    'unrecognized_keys',
  );
});
