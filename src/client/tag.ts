import type { Command } from 'commander';
import * as servers from '../inventory/servers.js';
import * as sites from '../inventory/sites.js';
import * as tags from '../inventory/tags.js';
import type { TagChange } from '../inventory/tags.js';
import { failure } from '../workflows/failures.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { parseServerName, parseTag } from './names.js';
import type { Chom } from './open.js';

/** `chom site tag …` */
export function siteTagCommands(site: Command, cli: Cli): void {
  const example = { of: '<domain>', about: 'its domain or one of its aliases', name: 'shop.example.org' };
  tagCommands(site, cli, { ...example, noun: 'site' }, async (chom, domain, change) => {
    return await tagSite(chom, domain, change);
  });
}

/** `chom server tag …` */
export function serverTagCommands(server: Command, cli: Cli): void {
  const example = { of: '<name>', about: '', name: 'web1' };
  tagCommands(server, cli, { ...example, noun: 'server' }, async (chom, name, change) => {
    return await tagServer(chom, name, change);
  });
}

interface Noun {
  noun: 'site' | 'server';
  of: string;
  about: string;
  name: string;
}

type Change = (chom: Chom, which: string, change: TagChange) => Promise<{ tags: string[] }>;

function tagCommands(parent: Command, cli: Cli, { noun, of, about, name }: Noun, change: Change): void {
  const tag = parent.command('tag').description(`words of your own, by which a ${noun} is listed and selected`);
  const verbs = { add: `give a ${noun} tags`, remove: `take tags away from a ${noun}` } as const;
  for (const [verb, description] of Object.entries(verbs) as [keyof typeof verbs, string][]) {
    tag
      .command(verb)
      .argument(of, about)
      .argument('<tag...>', 'lower-case letters, digits and hyphens')
      .description(`${description}, and list all that it then has`)
      .addHelpText('after', `\nExample:\n  chom ${noun} tag ${verb} ${name} live`)
      .action(
        action(cli, async (session: Session, which: string, words: string[]) => {
          const said = { [verb]: words.map((word) => parseTag(word)) };
          const document = await change(await session.open(), which, said);
          session.output.data(document, document.tags.join('\n'));
        }),
      );
  }
}

/** Changes the tags of a site. Returns all that it then has. @throws InvalidInput; NotFound; Conflict there are too many */
export async function tagSite(
  { inventory, tenant }: Chom,
  text: string,
  change: TagChange,
): Promise<{ site: string; tags: string[] }> {
  const said = parseChange(change);
  const { id, domain } = await sites.byDomain(inventory.db, parseDomain(text), { tenant });
  return { site: domain, tags: await inventory.transaction(async (trx) => await tags.change(trx, 'sites', id, said)) };
}

/** The same of a server. */
export async function tagServer(
  { inventory, tenant }: Chom,
  text: string,
  change: TagChange,
): Promise<{ server: string; tags: string[] }> {
  const said = parseChange(change);
  const { id, name } = await servers.byName(inventory.db, tenant, parseServerName(text));
  return {
    server: name,
    tags: await inventory.transaction(async (trx) => await tags.change(trx, 'servers', id, said)),
  };
}

function parseChange({ add = [], remove = [] }: TagChange): TagChange {
  if (add.length + remove.length === 0) throw failure('InvalidInput', 'Neither add nor remove names a tag');
  return { add: add.map((tag) => parseTag(tag)), remove: remove.map((tag) => parseTag(tag)) };
}
