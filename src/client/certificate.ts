import type { Command } from 'commander';
import * as certificates from '../inventory/certificates.js';
import * as events from '../inventory/events.js';
import type { Site } from '../inventory/sites.js';
import { failure } from '../workflows/failures.js';
import { certificateDocument, listCertificates } from './certificate-document.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import type { Chom } from './open.js';
import { EXIT, problemOf } from './problem.js';
import { facts } from './text.js';

/** `chom certificate …` */
export function certificateCommand(program: Command, cli: Cli): void {
  const certificate = program.command('certificate').description('certificates of sites');
  certificate
    .command('issue')
    .argument('<domain>', 'domain of a site; its aliases are included')
    .description('get a certificate for a live site and serve it')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom certificate issue example.org')
    .action(action(cli, issue));
  certificate
    .command('renew')
    .argument('[domain]', 'domain of a site')
    .description('renew a certificate now; without this, a worker renews each when it is due')
    .option('--due', 'all those that are due')
    .option('--all', 'all certificates; the worker takes them up a few each minute')
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExamples:\n  chom certificate renew example.org\n  chom certificate renew --due')
    .action(action(cli, renew));
  certificate
    .command('list')
    .description('certificates that are served, the soonest to expire first, and when each is renewed')
    .option('--all', 'also those that were replaced or never installed')
    .addHelpText('after', '\nExample:\n  chom certificate list --json')
    .action(action(cli, list));
  certificate
    .command('account')
    .description("CHOM's accounts at certificate authorities")
    .command('roll')
    .description('give the account another key; the authority knows the old one no more')
    .option('--fallback', 'at the second authority (CHOM_ACME_FALLBACK_DIRECTORY)')
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom certificate account roll')
    .action(action(cli, roll));
}

async function roll(session: Session, options: FollowOptions & { fallback?: boolean }): Promise<number> {
  parseTimeout(options.timeout);
  const { rollAccount } = await import('./roll-account.js');
  const chom = await session.open();
  const operation = await rollAccount(chom, { fallback: options.fallback === true });
  return await follow(session, chom, operation, {
    ...options,
    needsWorker: true,
    tell: async ({ id }) => {
      const all = await events.list(chom.inventory.db, { operation: id });
      const data = (all.find(({ type }) => type === 'CertificateAccountRolled')?.data ?? {}) as Rolled;
      const { authority, account } = data;
      const next = 'chom backup database: no backup of CHOM itself holds this key yet';
      return {
        document: { authority, account },
        text: facts([
          ['account', account],
          ['next', next],
        ]),
      };
    },
  });
}

interface Rolled {
  authority?: string;
  account?: string;
}

async function issue(session: Session, domain: string, options: FollowOptions & { wait: boolean }): Promise<number> {
  parseTimeout(options.timeout);
  parseDomain(domain);
  const { issueCertificate } = await import('./new-certificate.js');
  const chom = await session.open();
  const { operation, site } = await issueCertificate(chom, domain, options);
  return await followCertificate(session, chom, operation, site, options);
}

async function renew(
  session: Session,
  domain: string | undefined,
  options: FollowOptions & { due?: boolean; all?: boolean },
): Promise<number> {
  parseTimeout(options.timeout);
  const { due = false, all = false } = options;
  if ([domain !== undefined, due, all].filter(Boolean).length !== 1) {
    throw failure('InvalidInput', 'Either a domain, --due or --all says what is to be renewed', {
      next: 'chom certificate list',
    });
  }
  if (domain !== undefined) parseDomain(domain);
  const { renewCertificate, renewCertificates } = await import('./renew-certificate.js');
  const chom = await session.open();
  if (domain !== undefined) {
    const { operation, site } = await renewCertificate(chom, domain);
    return await followCertificate(session, chom, operation, site, options);
  }
  const { operations, left, failures } = await renewCertificates(chom, { all });
  for (const { what, error } of failures) session.output.say(`${what}: ${problemOf(error).message}`);
  if (operations.length === 0 && left === 0) session.output.say('No certificate is due.');
  if (left > 0) session.output.say(`${left} more are taken up by a worker, a few each minute.`);
  session.output.data({ operations, left, failed: failures.map(({ what }) => what) }, operations.join('\n'));
  return failures.length > 0 ? EXIT.failed : EXIT.ok;
}

async function followCertificate(
  session: Session,
  chom: Chom,
  operation: string,
  site: Site,
  options: FollowOptions,
): Promise<number> {
  return await follow(session, chom, operation, {
    ...options,
    needsWorker: true,
    tell: async () => {
      const certificate = await certificates.installed(chom.inventory.db, site.id);
      const text = facts([
        ['site', site.domain],
        ['names', certificate?.names.join(', ')],
        ['until', certificate?.notAfter],
        ['issuer', certificate?.issuer],
        ['serial', certificate?.serial],
      ]);
      return { document: { certificate: certificate && certificateDocument(certificate) }, text };
    },
  });
}

async function list(session: Session, { all }: { all?: boolean }): Promise<void> {
  const { document, text } = await listCertificates(await session.open(), all === true);
  if (document.certificates.length === 0) {
    session.output.say('No certificates yet. Next: chom certificate issue DOMAIN');
  }
  session.output.data(document, text);
}
