import { PassThrough } from 'node:stream';
import type { Command } from 'commander';
import { chomCommand } from './commands.js';
import { describeDocument, describeNamed } from './documents/describe.js';
import { nameOf } from './remote.js';

/** The reference of all commands as Markdown: what `--help` says of each, in the order of the command line. */
export function reference(): string {
  const stream = new PassThrough();
  const program = chomCommand({ environment: {}, stdin: stream, stdout: stream, stderr: stream, exitStatus: 0 });
  return `# Commands

What \`--help\` says of each command, written by \`npm run reference\`. The options of \`chom\` itself go with every command.
Under each stands the document that it prints with \`--json\`; those that are named are [at the end](#documents). Where a command
fails, or what it asked for does, it prints a \`Problem\`. Times are ISO 8601 in UTC and sizes bytes, unless said. Fields may be
added in any version; none goes away within a major one.

${describe(program, []).join('\n\n')}

## Documents

\`\`\`text
${describeNamed().join('\n')}
\`\`\`
`;
}

function describe(command: Command, above: readonly string[]): string[] {
  const path = [...above, command.name()];
  const heading = `${'#'.repeat(Math.min(path.length + 1, 4))} ${path.join(' ')}`;
  const printed = describeDocument(nameOf(command));
  const help = `${heading}\n\n\`\`\`text\n${helpOf(command).trimEnd()}\n\`\`\``;
  const own = printed === undefined ? help : `${help}\n\n\`\`\`text\n${printed}\n\`\`\``;
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
