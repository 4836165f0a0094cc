import { readFile } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { chomCommand } from '../../src/client/commands.js';
import { reference } from '../../src/client/reference.js';

test('docs/reference.md says what --help says (else: npm run reference)', async () => {
  expect(await readFile(new URL('../../docs/reference.md', import.meta.url), 'utf8')).toBe(reference());
});

test('every command has a description and an example', () => {
  const stream = new PassThrough();
  const program = chomCommand({ environment: {}, stdin: stream, stdout: stream, stderr: stream, exitStatus: 0 });
  const leaves = (command: Command): Command[] => {
    const below = command
      .createHelp()
      .visibleCommands(command)
      .filter((one) => one.name() !== 'help');
    return below.length === 0 ? [command] : below.flatMap(leaves);
  };
  const text = reference();
  for (const command of leaves(program)) {
    expect(command.description()).not.toBe('');
    const path = pathOf(command);
    const section = text.split(new RegExp(`^#+ ${path}$`, 'm'))[1]?.split(/^#+ chom/m)[0] ?? '';
    expect(section, `--help of ${path}`).toMatch(/Examples?:/);
  }
});

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
