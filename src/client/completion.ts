import { Argument, type Command, type Option } from 'commander';
import { action, type Cli, type Session } from './cli.js';
import { COMPLETION_SCRIPTS, type Shell } from './completion-scripts.js';
import { liveNames, type Nameable } from './live-names.js';

/** `chom completion SHELL`, and `chom complete`, which the scripts that it prints call. */
export function completionCommands(program: Command, cli: Cli): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>').choices(Object.keys(COMPLETION_SCRIPTS)))
    .description('print what completes commands and names in a shell')
    .addHelpText(
      'after',
      `
Examples:
  source <(chom completion bash)                                 # in ~/.bashrc
  chom completion zsh >"\${fpath[1]}/_chom"
  chom completion fish >~/.config/fish/completions/chom.fish`,
    )
    .action(
      action(cli, async (session: Session, shell: string) => {
        session.output.data({ shell, script: COMPLETION_SCRIPTS[shell as Shell] }, COMPLETION_SCRIPTS[shell as Shell]);
      }),
    );
  program
    .command('complete', { hidden: true })
    .argument('[words...]')
    .action(
      action(cli, async (session: Session, words: string[]) => {
        const { fixed, names, files } = suggest(program, words);
        const live = names === null ? [] : await liveNames(session, names, settingsIn(words));
        const typed = words.at(-1) ?? '';
        const value = typed.startsWith('--') ? typed.replace(/^--[\w-]+=/, '') : typed;
        const all = [...fixed, ...live].filter(({ name }) => name.startsWith(value));
        const lines = all.map(({ name, about }) => `${name}\t${about}`);
        session.cli.stdout.write([...lines, files ? ':files' : ':none', ''].join('\n'));
      }),
    );
}

export interface Suggestion {
  name: string;
  about: string;
}

/** What may come where the last of the words is being typed. */
export interface Suggested {
  /** Commands, options and choices; not yet cut down to what was typed. */
  fixed: Suggestion[];
  /** Names that only the inventory has; null: none. */
  names: Nameable | null;
  /** A file or directory may come. */
  files: boolean;
}

/** `words`: all behind `chom`, the last one being typed and perhaps empty. */
export function suggest(program: Command, words: readonly string[]): Suggested {
  const typed = words.at(-1) ?? '';
  let command = program;
  let positional = 0;
  let pending: Option | undefined;
  for (const word of words.slice(0, -1)) {
    if (pending) pending = undefined;
    else if (word.startsWith('-')) {
      const option = optionOf(command, word);
      if (option && takesValue(option) && !word.includes('=')) pending = option;
    } else {
      const next = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
      if (next && positional === 0) command = next;
      else positional += 1;
    }
  }
  const joined = typed.startsWith('--') && typed.includes('=') ? optionOf(command, typed) : undefined;
  const option = pending ?? joined;
  if (option) return ofValue(command, option.argChoices, option.attributeName(), option.flags);
  if (typed.startsWith('-')) return { fixed: optionsOf(command), names: null, files: false };
  const visible = command.createHelp().visibleCommands(command);
  const commands = positional > 0 ? [] : visible.map((one) => ({ name: one.name(), about: one.description() }));
  if (commands.length > 0) return { fixed: commands, names: null, files: false };
  const argument =
    command.registeredArguments[positional] ?? command.registeredArguments.findLast((one) => one.variadic);
  if (!argument) return { fixed: [], names: null, files: false };
  return ofValue(command, argument.argChoices, argument.name(), argument.name());
}

/** By what an argument or option is called. */
const NAMED: Readonly<Record<string, Nameable>> = {
  domain: 'sites',
  site: 'sites',
  server: 'servers',
  from: 'servers',
  toServer: 'servers',
  storage: 'storages',
  upload: 'storages',
  backupStorage: 'storages',
  tenant: 'tenants',
  backup: 'backups',
};
/** By the noun whose `name` or `id` it is. */
const OF_NOUN: Readonly<Record<string, Nameable>> = {
  server: 'servers',
  storage: 'storages',
  tenant: 'tenants',
  webhook: 'webhooks',
  schedule: 'schedules',
  op: 'operations',
  backup: 'backups',
};

function ofValue(command: Command, choices: readonly string[] | undefined, called: string, flags: string): Suggested {
  if (choices) return { fixed: choices.map((name) => ({ name, about: '' })), names: null, files: false };
  const noun = command.parent?.name() ?? '';
  const isNew = command.name() === 'add' || command.name() === 'create';
  const own = called === 'name' || called === 'id' || called === 'operation';
  // What is to be made has no name yet; of a site the directory or archive it is made from is called `from`, too.
  const files = /file|dir|path|key|\bfrom\b/i.test(flags) && !(called === 'from' && noun === 'storage');
  if (own && isNew) return { fixed: [], names: null, files: false };
  const names = own ? (OF_NOUN[noun] ?? null) : files ? null : (NAMED[called] ?? null);
  return { fixed: [], names, files };
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

function optionOf(command: Command, word: string): Option | undefined {
  const name = word.split('=')[0] ?? word;
  for (let one: Command | null = command; one !== null; one = one.parent) {
    const found = one.options.find(({ long, short }) => long === name || short === name);
    if (found) return found;
  }
  return undefined;
}

function optionsOf(command: Command): Suggestion[] {
  const help = command.createHelp();
  const own = [...help.visibleOptions(command), ...(command.parent ? help.visibleGlobalOptions(command) : [])];
  return own.map(({ long, short, description }) => ({ name: long ?? short ?? '', about: description }));
}

/** Settings that were typed and say whose names are wanted. */
function settingsIn(words: readonly string[]): { tenant?: string } {
  const at = words.indexOf('--tenant');
  const tenant = at === -1 ? words.find((word) => word.startsWith('--tenant='))?.slice(9) : words[at + 1];
  return tenant ? { tenant } : {};
}
