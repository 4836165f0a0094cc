import { readdir, readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { optionsOf } from './command-shape.js';

const root = new URL('../../', import.meta.url);

/** A `chom …` that a document shows, and where. */
export interface DocumentedCommand {
  line: number;
  /** What follows `chom`, as it is written. */
  words: string[];
}

/** Those of all documents, with the file they stand in. */
export async function commandsOfDocuments(): Promise<(DocumentedCommand & { path: string })[]> {
  const below = await Promise.all(
    ['docs/', 'docs/runbooks/'].map(async (path) => (await readdir(new URL(path, root))).map((name) => path + name)),
  );
  const paths = ['README.md', 'CONTRIBUTING.md', ...below.flat()].filter((path) => path.endsWith('.md'));
  const found = await Promise.all(
    paths.map(async (path) =>
      documentedCommands(await readFile(new URL(path, root), 'utf8')).map((one) => ({ ...one, path })),
    ),
  );
  return found.flat();
}

/**
 * The commands that a Markdown text shows: lines of code blocks, and code in the running text. A comment after `#`, what is piped on and
 * what follows `&&` or `;` is no part of them.
 */
export function documentedCommands(markdown: string): DocumentedCommand[] {
  const found: DocumentedCommand[] = [];
  let fenced = false;
  let paragraph: { text: string; line: number } = { text: '', line: 1 };
  const close = () => {
    // Code in running text may be broken over lines.
    for (const { 1: code = '', index } of paragraph.text.matchAll(/`([^`]+)`/g)) {
      const line = paragraph.line + paragraph.text.slice(0, index).split('\n').length - 1;
      found.push(...commandsIn(code.replaceAll('\n', ' ')).map((words) => ({ line, words })));
    }
    paragraph = { text: '', line: 1 };
  };
  for (const [index, text] of markdown.split('\n').entries()) {
    const line = index + 1;
    if (text.trimStart().startsWith('```')) {
      close();
      fenced = !fenced;
    } else if (fenced) found.push(...commandsIn(text).map((words) => ({ line, words })));
    else if (text.trim() === '') close();
    else paragraph = { text: `${paragraph.text}${text}\n`, line: paragraph.text === '' ? line : paragraph.line };
  }
  close();
  return found;
}

/** Those in a line of a shell, also behind `sudo`, `docker compose exec worker`, variables, and what runs the command from source. */
export function commandsIn(code: string): string[][] {
  return code
    .replace(/(^|\s)#.*$/, '')
    .split(/&&|;|\s\|\s|\bthen,/)
    .flatMap((part) => {
      const [, words] = /^(?:.*\s)?chom\s+(?=\S)(.*)$/.exec(part.trim()) ?? [];
      return words === undefined || /^(Usage:|install\s)/.test(part.trim()) ? [] : [wordsOf(words)];
    });
}

/** Without the punctuation of a sentence around them. */
function wordsOf(text: string): string[] {
  return text
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/[.,:)"]+$/, ''));
}

/** What is wrong with it: a command or an option that there is not; null if nothing is. */
export function wrongWith(program: Command, words: readonly string[], aliases: readonly string[]): string | null {
  const [first = '', ...rest] = words;
  if (aliases.includes(first)) return null;
  return wrongBelow(program, [first, ...rest]);
}

function wrongBelow(command: Command, words: readonly string[]): string | null {
  const valued = optionsOf(command)
    .filter(({ required }) => required)
    .map(({ long }) => long ?? '');
  const at = words.findIndex((word, index) => !word.startsWith('-') && !valued.includes(words[index - 1] ?? ''));
  const word = words[at];
  if (word === undefined || command.commands.length === 0) return wrongOption(command, words);
  // `chom COMMAND --help`, `chom …`
  if (/^([A-Z]+|…|\.\.\.)$/.test(word)) return null;
  for (const name of word.split('|')) {
    const below = command.commands.find((one) => one.name() === name || one.aliases().includes(name));
    if (!below) return `${pathOf(command)} has no command ${name}`;
    const wrong = wrongBelow(below, words.toSpliced(at, 1));
    if (wrong !== null) return wrong;
  }
  return null;
}

function wrongOption(command: Command, words: readonly string[]): string | null {
  const known = new Set(['--help', '-h']);
  for (const { long, short } of optionsOf(command)) for (const flag of [long, short]) if (flag != null) known.add(flag);
  for (const word of words) {
    const [, flag] = /^\[?(--?[a-z][\w-]*)/.exec(word) ?? [];
    if (flag !== undefined && !known.has(flag)) return `${pathOf(command)} has no option ${flag}`;
  }
  return null;
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
