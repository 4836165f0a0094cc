import { readFileSync } from 'node:fs';
import type { Finding } from './findings.js';

/** Whether this Node is one that CHOM runs on: its package says which. */
export function nodeFinding(version: string): Finding {
  const about = new URL('../../package.json', import.meta.url);
  const { engines } = JSON.parse(readFileSync(about, 'utf8')) as { engines: { node: string } };
  const least = engines.node.replace(/^>=/, '');
  if (!older(version, least)) return { name: 'node', state: 'ok', message: `Node ${version}` };
  return {
    name: 'node',
    state: 'wrong',
    message: `Node ${version} is too old`,
    cause: `CHOM needs ${least} or newer`,
    next: 'install a newer Node (https://nodejs.org/en/download)',
  };
}

function older(version: string, than: string): boolean {
  const numbers = (text: string) => text.split('.').map((part) => Number.parseInt(part, 10));
  const own = numbers(version);
  for (const [index, least] of numbers(than).entries()) {
    const part = own[index] ?? 0;
    if (part !== least) return part < least;
  }
  return false;
}
