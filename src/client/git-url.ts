import { failure } from '../workflows/failures.js';
import type { Source } from '../workflows/plans.js';
import { quoted } from './text.js';

/**
 * The URL of a git repository, with the branch or tag behind `#`. What the server may fetch is decided there; refused
 * here is what could never be right.
 * @throws InvalidInput
 */
export function parseGitUrl(text: string): Source {
  const refuse = (cause: string) =>
    failure('InvalidInput', `${quoted(withoutPassword(text))} is no git URL to fetch`, { cause });
  // The URL parser would drop line breaks and encode spaces without a word.
  if (/[\s\p{C}]/u.test(text)) throw refuse('it holds a space or a control character');
  if (text.length > 2000) throw refuse('it has more than 2000 characters');
  if (!URL.canParse(text)) throw refuse('it cannot be read as a URL');
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'ssh:') throw refuse('only https and ssh URLs are fetched');
  if (url.password !== '' || (url.protocol === 'https:' && url.username !== '')) {
    throw refuse('it holds a login, and a URL is no place for a secret');
  }
  // A host or user that begins with a hyphen would become an option of ssh.
  if (!/^(\[[0-9a-f:.]+\]|[a-z0-9][a-z0-9._-]*)$/i.test(url.hostname)) throw refuse('its host is no host name');
  if (url.username.startsWith('-')) throw refuse('its user is no user name');
  if (/^\/*$/.test(url.pathname)) throw refuse('it names no repository');
  const ref = url.hash === '' ? null : url.hash.slice(1);
  // git-check-ref-format(1), and nothing that git would take for an option or a range.
  if (ref !== null && (!/^[A-Za-z0-9][A-Za-z0-9._/+-]{0,254}$/.test(ref) || ref.includes('..'))) {
    throw refuse(`${quoted(ref)} is no branch, tag or commit`);
  }
  url.hash = '';
  return { kind: 'git', url: url.href, ref };
}

function withoutPassword(text: string): string {
  return text.replace(/\/\/[^/@]*@/, '//…@');
}
