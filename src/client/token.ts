import type { Command } from 'commander';
import * as tokens from '../inventory/api-tokens.js';
import type { ApiToken } from '../inventory/api-tokens.js';
import { action, type Cli, type Session } from './cli.js';
import type { TokenDocument } from './documents/tenant.js';
import { parseTokenName } from './names.js';
import { table } from './text.js';
import { checkNewToken, createToken } from './token-verbs.js';

/** `chom token …` */
export function tokenCommand(program: Command, cli: Cli): void {
  const token = program.command('token').description('tokens with which tenants use the API (chom serve)');
  token
    .command('create')
    .argument('<name>', 'what you call it: whose it is, or what uses it')
    .description('make a token for the tenant; it is shown this once')
    .option(
      '--scope <scope>',
      'read; operate, which changes things too; admin, which deletes and restores sites too',
      'read',
    )
    .option('--expires <time>', 'how long it is good for: 90d, 12h, or never', '90d')
    .addHelpText('after', '\nExample:\n  chom --tenant acme token create deploy --scope operate')
    .action(action(cli, create));
  token
    .command('list')
    .description('the tenant’s tokens, and when each was last used')
    .addHelpText('after', '\nExample:\n  chom --tenant acme token list')
    .action(action(cli, list));
  token
    .command('revoke')
    .argument('<name>')
    .description('let nobody in with a token from now on; what was asked for with it goes on')
    .addHelpText('after', '\nExample:\n  chom --tenant acme token revoke deploy')
    .action(action(cli, revoke));
}

async function create(session: Session, name: string, options: { scope: string; expires: string }): Promise<void> {
  const wanted = { name, ...options };
  checkNewToken(wanted);
  const { text, token } = await createToken(await session.open(), wanted);
  session.output.say(`Keep this token of ${token.tenant}, which is not shown again:`);
  session.output.data({ token: text, ...documentOf(token) }, text);
}

async function list(session: Session): Promise<void> {
  const { inventory, tenant } = await session.open();
  const found = await tokens.list(inventory.db, { tenant });
  const rows = found.map((one) => [
    one.name,
    one.scope,
    stateOf(one),
    one.expiresAt ?? 'never',
    one.lastUsedAt ?? 'never',
  ]);
  if (found.length === 0) session.output.say('No tokens yet. Next: chom token create NAME');
  const text = found.length === 0 ? '' : table(['TOKEN', 'SCOPE', 'STATE', 'EXPIRES', 'LAST USED'], rows);
  session.output.data({ tokens: found.map(documentOf) }, text);
}

async function revoke(session: Session, name: string): Promise<void> {
  parseTokenName(name);
  const { inventory, tenant } = await session.open();
  const revoked = await inventory.transaction(async (trx) => await tokens.revoke(trx, tenant, name));
  session.output.data({ revoked: documentOf(revoked) }, '');
}

function stateOf({ revokedAt, expiresAt }: ApiToken): TokenDocument['state'] {
  if (revokedAt !== null) return 'revoked';
  return expiresAt !== null && Date.parse(expiresAt) <= Date.now() ? 'expired' : 'good';
}

function documentOf(token: ApiToken): TokenDocument {
  const { id, name, tenant, scope, createdAt, expiresAt, revokedAt, lastUsedAt } = token;
  return { id, name, tenant, scope, state: stateOf(token), createdAt, expiresAt, revokedAt, lastUsedAt };
}
