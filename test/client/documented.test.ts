import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { ALIASES, chomCommand } from '../../src/client/commands.js';
import { commandsOfDocuments, documentedCommands, wrongWith } from './documented-commands.js';

const stream = new PassThrough();
const program = chomCommand({ environment: {}, stdin: stream, stdout: stream, stderr: stream, exitStatus: 0 });

test('every command that the documents show is one that there is, with options that it has', async () => {
  const all = await commandsOfDocuments();
  const wrong = all.flatMap(({ path, line, words }) => {
    const problem = wrongWith(program, words, Object.keys(ALIASES));
    return problem === null ? [] : [`${path}:${line}: chom ${words.join(' ')}: ${problem}`];
  });
  expect(wrong).toEqual([]);
  expect(all.length).toBeGreaterThan(150);
});

test('finds commands wherever documents show them', () => {
  const text = [
    'Run `chom op list --failed`, or `chom op\nshow ID`; not chom itself.',
    '',
    '```sh',
    'npm ci && npm link      # puts `chom` on PATH',
    'export A=b; sudo -u chom chom doctor --json | jq .   # chom nothing',
    'docker compose exec worker chom op list',
    '```',
  ].join('\n');
  expect(documentedCommands(text)).toEqual([
    { line: 1, words: ['op', 'list', '--failed'] },
    { line: 1, words: ['op', 'show', 'ID'] },
    { line: 6, words: ['doctor', '--json'] },
    { line: 7, words: ['op', 'list'] },
  ]);
});

test('tells a command or an option that there is not', () => {
  const told = (text: string) => wrongWith(program, text.split(' '), Object.keys(ALIASES));
  expect(told('certificate list|renew')).toBeNull();
  expect(told('queue:failed')).toBeNull();
  expect(told('--tenant acme site list --json')).toBeNull();
  expect(told('site destroy example.org')).toBe('chom site has no command destroy');
  expect(told('site list --everything')).toBe('chom site list has no option --everything');
});
