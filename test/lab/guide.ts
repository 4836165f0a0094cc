import { readFile } from 'node:fs/promises';
import { commandsIn } from '../client/documented-commands.js';
import { noteCommand } from '../client/noted-commands.js';

const guide = await readFile(new URL('../../docs/guide.md', import.meta.url), 'utf8');

/** The very commands of the operator's guide: the block after the comment `<!-- name -->`. */
export function marked(name: string): string {
  const [, block] = new RegExp(`<!-- ${name} -->\n\n\`\`\`sh\n(.*?)\`\`\``, 's').exec(guide) ?? [];
  if (block === undefined) throw new Error(`the guide has no commands to ${name}`);
  return block;
}

/** The blocks of commands of the section that begins so, in order. */
export function sectionBlocks(heading: string): string[] {
  const [, section] = guide.split(`\n## ${heading}`);
  if (section === undefined) throw new Error(`the guide has no section ${heading}`);
  const [text = ''] = section.split('\n## ');
  return [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, block = '']) => block);
}

/** What asks on a terminal is answered with yes; the rest of the lines stays as it is. */
export function answered(block: string, asking: readonly string[]): string {
  return block
    .split('\n')
    .map((line) =>
      asking.some((command) => line.startsWith(command)) ? `echo yes | script -qec '${line}' /dev/null` : line,
    )
    .join('\n');
}

/** Notes the commands of a script that has run to its good end. */
export function noteScript(script: string): void {
  const lines = script.replaceAll('\\\n', ' ').split('\n');
  for (const line of lines) for (const words of commandsIn(line)) noteCommand(words);
}
