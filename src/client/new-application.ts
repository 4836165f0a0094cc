import { randomInt } from 'node:crypto';
import type { Config } from '../config.js';
import { failure } from '../workflows/failures.js';
import { wordpress as wordpressPlan, type SitePlan, type Source, type WordpressPlan } from '../workflows/plans.js';
import { quoted } from './text.js';

/** What may be said of the program that a site is for. */
export interface NewApplication {
  /** For type `php`: a database and a database user of its own. WordPress and Laravel always have them. */
  database?: boolean;
  /** For type `wordpress`; the domain unless said. */
  title?: string;
  /** For type `wordpress`; `admin` unless said. */
  adminUser?: string;
  /** For type `wordpress`: where WordPress sends what its administrator should know. */
  adminEmail?: string;
}

/**
 * wordpress.org publishes no SHA-256; this is the one by which NixOS takes the same archive
 * (nixpkgs, pkgs/servers/web-apps/wordpress/default.nix, 2026-11). Minor releases a site installs by itself.
 */
const WORDPRESS = {
  url: 'https://wordpress.org/wordpress-7.0.1.tar.gz',
  sha256: 'dc10592da9b580c7525632850e0cced371b13081853ac29afe93b5d5bb00db98',
};

/** What is wrong with it for a site of this type. @throws InvalidInput */
export function checkApplication(
  wanted: NewApplication,
  { domain, type }: Pick<SitePlan, 'domain' | 'type'>,
): Pick<SitePlan, 'database' | 'wordpress'> {
  const { database = false, title, adminUser, adminEmail } = wanted;
  if (database && type === 'static') {
    throw failure('InvalidInput', 'A static site has no database', { next: 'add --type php, or leave --database out' });
  }
  if (type !== 'wordpress') {
    const given = Object.entries({ '--title': title, '--admin-user': adminUser, '--admin-email': adminEmail });
    const [first] = given.find(([, value]) => value !== undefined) ?? [];
    if (first !== undefined) {
      throw failure('InvalidInput', `${first} is for WordPress, and this is a ${type} site`, {
        next: `add --type wordpress, or leave ${first} out`,
      });
    }
    return database || type === 'laravel' ? { database: true } : {};
  }
  return { database: true, wordpress: checkWordpress(wanted, domain) };
}

function checkWordpress({ title, adminUser = 'admin', adminEmail }: NewApplication, domain: string): WordpressPlan {
  if (adminEmail === undefined) {
    throw failure('InvalidInput', 'A WordPress needs the e-mail address of its administrator', {
      cause: 'WordPress sends new passwords and warnings there',
      next: 'add --admin-email YOU@…',
    });
  }
  const checked = wordpressPlan.safeParse({ title: (title ?? domain).trim(), adminUser, adminEmail });
  if (checked.success && !/[\p{Cc}]/u.test(checked.data.title)) return checked.data;
  const field = checked.error?.issues[0]?.path[0] ?? 'title';
  const option = { title: '--title', adminUser: '--admin-user', adminEmail: '--admin-email' }[String(field)];
  const causes: Record<string, string> = {
    title: 'it has 1 to 200 characters, none of them a control character',
    adminUser: 'it has up to 60 of the characters A-Z, a-z, 0-9, _ . @ -',
    adminEmail: 'it is no e-mail address',
  };
  const value = { title, adminUser, adminEmail }[String(field)] ?? '';
  throw failure('InvalidInput', `${quoted(value)} cannot be the ${option}`, { cause: causes[String(field)] ?? '' });
}

/** Where a WordPress comes from unless `--from` says it. @throws InvalidInput a URL without its checksum */
export function wordpressRelease({ wordpressUrl, wordpressSha256 }: Config): Source {
  if (wordpressUrl === undefined && wordpressSha256 === undefined) return { kind: 'release', ...WORDPRESS };
  if (wordpressUrl !== undefined && wordpressSha256 !== undefined) {
    return { kind: 'release', url: wordpressUrl, sha256: wordpressSha256 };
  }
  throw failure('InvalidInput', 'CHOM_WORDPRESS_URL and CHOM_WORDPRESS_SHA256 are set both or not at all', {
    cause: 'what is fetched is compared with its checksum',
    next: 'sha256sum of the archive, from where you trust it',
  });
}

/** 20 characters that a person can type, without those that look alike: about 115 bits. */
export function newPassword(): string {
  const letters = 'abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
  return Array.from({ length: 20 }, () => letters[randomInt(letters.length)]).join('');
}
