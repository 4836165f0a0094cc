import { PassThrough } from 'node:stream';
import type { Command, Option } from 'commander';
import { ALIASES, chomCommand } from '../../src/client/commands.js';
import { nameOf } from '../../src/client/remote.js';

/** What two command lines share when one of them shows that the other works. */
export interface CommandShape {
  /** The command, as `nameOf` calls it, or an alias. */
  name: string;
  /** Its options, by their long names, with the value of those that know which ones there are. */
  options: string[];
}

/** Whether a run of that shape shows that a command of this one works. */
export function shows(run: CommandShape, wanted: CommandShape): boolean {
  const isVerbOf = isNoun(wanted.name) && run.name.startsWith(`${wanted.name} `.trimStart());
  return (run.name === wanted.name || isVerbOf) && wanted.options.every((option) => run.options.includes(option));
}

/** Of a command line, which may name alternatives, as in `schedule pause|resume`, and options that may be left out, in brackets. */
export function shapesOf(words: readonly string[]): CommandShape[] {
  const at = words.findIndex((word) => /^[a-z]+(\|[a-z]+)+$/.test(word));
  if (at === -1) return [shapeOf(words.map((word) => word.replace(/^\[(-.*?)\]?$/, '$1')))];
  return words[at]!.split('|').flatMap((word) => shapesOf(words.with(at, word)));
}

/** The command that a command line names, as `nameOf` calls it. */
export function nameIn(words: readonly string[]): string {
  return walk(words).name;
}

function shapeOf(words: readonly string[]): CommandShape {
  const { name, options } = walk(words);
  return { name: words.find((word) => Object.hasOwn(ALIASES, word)) ?? name, options: options.toSorted() };
}

const stream = new PassThrough();
const program = chomCommand({ environment: {}, stdin: stream, stdout: stream, stderr: stream, exitStatus: 0 });

/** Whether it does nothing by itself, as `site`, or the program: then any verb of it will do. */
function isNoun(name: string): boolean {
  const named = (at: Command, word: string) => at.commands.find((one) => one.name() === word);
  const command = name.split(' ').reduce((at, word) => named(at, word) ?? at, program);
  return command.commands.length > 0 && !Reflect.get(command, '_actionHandler');
}

function walk(given: readonly string[]): CommandShape {
  const words = given.flatMap(
    (word) => ALIASES[word] ?? [word === 'backup:database' ? ['backup', 'database'] : word].flat(),
  );
  let command: Command = program;
  let isNamed = false;
  let valueOf: Option | undefined;
  const options: string[] = [];
  const take = ({ long, argChoices }: Option, value: string) => {
    options.push(argChoices === undefined ? (long ?? '') : `${long}=${value}`);
  };
  for (const word of words) {
    if (valueOf) {
      take(valueOf, word);
      valueOf = undefined;
      continue;
    }
    const [flag = '', value] = word.split('=', 2);
    const option = word.startsWith('-') ? optionOf(command, flag) : undefined;
    if (option?.required && value === undefined) valueOf = option;
    else if (option) take(option, value ?? '');
    const next: Command | undefined = isNamed ? undefined : command.commands.find((one) => one.name() === word);
    if (next) command = next;
    else isNamed ||= !word.startsWith('-');
  }
  // Of `secrets` alone the verb is known.
  const otherwise: unknown = Reflect.get(command, '_defaultCommandName');
  return { name: nameOf(command.commands.find((one) => one.name() === otherwise) ?? command), options };
}

function optionOf(command: Command, flag: string): Option | undefined {
  return optionsOf(command).find(({ long, short }) => long === flag || short === flag);
}

/** With those of the commands above it, which go with it too. */
export function optionsOf(command: Command): Option[] {
  return [...command.options, ...(command.parent === null ? [] : optionsOf(command.parent))];
}
