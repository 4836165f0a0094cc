import { shapesOf, shows } from '../test/client/command-shape.js';
import { commandsOfDocuments } from '../test/client/documented-commands.js';
import { notedCommands } from '../test/client/noted-commands.js';

/** Ends `npm test`: with 1 where a document shows a command that no test has run to its good end, with those options. */
const runs = (await notedCommands()).flatMap((words) => shapesOf(words));
const shown = (await commandsOfDocuments())
  // What stands for any command: `chom COMMAND --help`, `chom …`.
  .filter(({ words }) => !words.some((word) => /^(COMMAND|…|\.\.\.)$/.test(word)) || words.length > 2)
  .flatMap(({ path, line, words }) => shapesOf(words).map((shape) => ({ at: `${path}:${line}`, words, shape })));
const never = shown.filter(({ shape }) => !runs.some((run) => shows(run, shape)));
for (const { at, words, shape } of never) {
  console.error(
    `error: no test runs this: ${at}: chom ${words.join(' ')} (${[shape.name, ...shape.options].join(' ')})`,
  );
}
console.log(`${shown.length - never.length} of ${shown.length} commands of the documents were run`);
process.exitCode = never.length > 0 ? 1 : 0;
