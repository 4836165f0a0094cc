import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { backupCommand } from './backup.js';
import { batchCommands } from './batch.js';
import { certificateCommand } from './certificate.js';
import type { Cli } from './cli.js';
import { completionCommands } from './completion.js';
import { configCommand } from './config.js';
import { controlPlaneKitCommand } from './control-plane-kit.js';
import { doctorCommand } from './doctor.js';
import { eventCommand } from './event.js';
import { foregroundCommands } from './foreground.js';
import { opCommand } from './op.js';
import { keyCommand } from './key.js';
import { globalOptions } from './global-options.js';
import { openOutput, outputFormIn } from './output.js';
import { EXIT, problemOf } from './problem.js';
import { refuseNotOverApi } from './remote.js';
import { restoreControlPlaneCommand } from './restore-control-plane.js';
import { scheduleCommand } from './schedule.js';
import { secretsCommand } from './secrets.js';
import { serverCommand } from './server.js';
import { serveCommand } from './serve.js';
import { siteCommand } from './site.js';
import { storageCommand } from './storage.js';
import { tenantCommand } from './tenant.js';
import { tokenCommand } from './token.js';
import { webhookCommand } from './webhook.js';

/** Runs one command line, without the program's own name. Returns the exit status; never throws. */
export async function runCommandLine(given: readonly string[], cli: Cli): Promise<number> {
  const program = chomCommand(cli);
  const words = withoutAlias(given);
  try {
    await program.parseAsync(words, { from: 'user' });
    return cli.exitStatus;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    // `chom site` alone: commander has shown what there is.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage;
    // Nothing was parsed where the command line is wrong, so the form that is wanted is looked up in its words.
    const problem = problemOf(error);
    if (problem.type === 'InvalidInput') problem.next ??= helpOf(program, words);
    return (await openOutput(cli, outputFormIn(words))).problem(problem);
  }
}

/** Names that commands had elsewhere. */
export const ALIASES: Readonly<Record<string, readonly string[]>> = {
  'backup:clean': ['backup', 'clean'],
  'secrets:rotate': ['secrets', 'rotate'],
  'queue:failed': ['op', 'list', '--failed'],
  'queue:retry': ['op', 'retry'],
  'queue:forget': ['op', 'forget'],
  'queue:flush': ['op', 'forget', '--all'],
};

/** The first word that is an alias: no value of an option before the command is one. */
function withoutAlias(words: readonly string[]): string[] {
  const at = words.findIndex((word) => Object.hasOwn(ALIASES, word));
  return at === -1 ? [...words] : [...words.slice(0, at), ...(ALIASES[words[at] ?? ''] ?? []), ...words.slice(at + 1)];
}

/** The command that says how the one that these words name is used. */
function helpOf(program: Command, words: readonly string[]): string {
  let command = program;
  const path = [program.name()];
  for (const word of words) {
    const named = command.commands.find((one) => one.name() === word);
    if (!named) continue;
    command = named;
    path.push(word);
  }
  return `${path.join(' ')} --help`;
}

/** The whole `chom` command. */
export function chomCommand(cli: Cli): Command {
  const program = globalOptions(new Command('chom'))
    .description('Runs web-hosting operations on plain Debian and Ubuntu servers, as durable workflows.')
    .version(version(), '--version')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => cli.stdout.write(text),
      writeErr: (text) => cli.stderr.write(text),
      // Told once, in CHOM's own form, by whoever runs the command line.
      outputError: () => {},
    })
    .showSuggestionAfterError(true)
    .allowExcessArguments(false)
    .exitOverride()
    .hook('preAction', (_, command) => {
      refuseNotOverApi(command, cli.environment);
    })
    .addHelpText(
      'after',
      `
Exit statuses: 0 ok, 1 failed, 2 wrong usage or input, 3 a batch failed in part, 4 not allowed, 5 not found,
  11 another operation is at work there, 12 no Temporal or no worker, 124 --timeout passed, 130 left with Ctrl-C.

Examples:
  chom dev
  chom server add web1 --host 203.0.113.10 --key ~/.ssh/id_ed25519
  chom site create example.org --server web1 --from ./public`,
    );
  serverCommand(program, cli);
  siteCommand(program, cli);
  certificateCommand(program, cli);
  storageCommand(program, cli);
  backupCommand(program, cli);
  secretsCommand(program, cli);
  eventCommand(program, cli);
  keyCommand(program, cli);
  scheduleCommand(program, cli);
  opCommand(program, cli);
  batchCommands(program, cli);
  tenantCommand(program, cli);
  webhookCommand(program, cli);
  tokenCommand(program, cli);
  serveCommand(program, cli);
  doctorCommand(program, cli);
  controlPlaneKitCommand(program, cli);
  restoreControlPlaneCommand(program, cli);
  configCommand(program, cli);
  completionCommands(program, cli);
  foregroundCommands(program, cli);
  return program;
}

function version(): string {
  const about = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(about, 'utf8')) as { version: string }).version;
}
