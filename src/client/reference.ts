import { PassThrough } from 'node:stream';
import type { Command } from 'commander';
import { chomCommand } from './commands.js';

/** The reference of all commands as Markdown: what `--help` says of each, in the order of the command line. */
export function reference(): string {
  const stream = new PassThrough();
  const program = chomCommand({ environment: {}, stdin: stream, stdout: stream, stderr: stream, exitStatus: 0 });
  return `# Commands

What \`--help\` says of each command, written by \`npm run reference\`. The options of \`chom\` itself go with every command.

${describe(program, []).join('\n\n')}
`;
}

function describe(command: Command, above: readonly string[]): string[] {
  const path = [...above, command.name()];
  const heading = `${'#'.repeat(Math.min(path.length + 1, 4))} ${path.join(' ')}`;
  const own = `${heading}\n\n\`\`\`text\n${helpOf(command).trimEnd()}\n\`\`\``;
  const below = command.createHelp().visibleCommands(command);
  return [own, ...below.filter((one) => one.name() !== 'help').flatMap((one) => describe(one, path))];
}

/** With what follows the options; without the options that every command has. */
function helpOf(command: Command): string {
  let text = '';
  const { writeOut } = command.configureOutput();
  command.configureHelp({ helpWidth: 120, showGlobalOptions: false });
  command.configureOutput({ writeOut: (more) => (text += more), getOutHasColors: () => false });
  command.outputHelp();
  command.configureOutput({ ...(writeOut && { writeOut }) });
  return text
    .split('\n')
    .map((one) => one.trimEnd())
    .join('\n');
}
