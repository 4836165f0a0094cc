import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { ALIASES, chomCommand } from '../../src/client/commands.js';
import { shapesOf, shows } from './command-shape.js';
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

test('a run shows that a documented command works when it is that command, with its options and chosen values', () => {
  const ran = shapesOf([
    'site',
    'create',
    'x.example',
    '--server=web1',
    '--type',
    'php',
    '--priority',
    'high',
    '--json',
  ]);
  const shown = (text: string) => shapesOf(text.split(' ')).map((shape) => ran.some((run) => shows(run, shape)));
  expect(shown('site create example.org --server web2 --type php')).toEqual([true]);
  expect(shown('site create')).toEqual([true]);
  expect(shown('site')).toEqual([true]);
  expect(shown('site create example.org --type static --priority high')).toEqual([true]);
  expect(shown('site create example.org --priority low')).toEqual([false]);
  expect(shown('site create example.org --alias www.example.org')).toEqual([false]);
  expect(shown('site list')).toEqual([false]);
  expect(shapesOf(['schedule', 'pause|resume', 'NAME'])).toEqual([
    { name: 'schedule pause', options: [] },
    { name: 'schedule resume', options: [] },
  ]);
  expect(shapesOf(['certificate', 'account', 'roll', '[--fallback]'])).toEqual([
    { name: 'certificate account roll', options: ['--fallback'] },
  ]);
  expect(shapesOf(['queue:failed'])).toEqual([{ name: 'queue:failed', options: ['--failed'] }]);
});
