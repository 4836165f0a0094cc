import type { Finding } from '../inventory/findings.js';
import type { Health } from '../inventory/server-checks.js';
import type { FindingDocument, HealthDocument } from './documents/finding.js';
import { facts, printable } from './text.js';

/** A finding as programs read it. */
export function findingDocument({
  name,
  severity,
  site,
  message,
  cause,
  next,
  openedAt,
  lastSeenAt,
}: Finding): FindingDocument {
  return { name, severity, site, message, cause, next, since: openedAt, lastSeenAt };
}

/** Findings as people read them. */
export function findingsText(findings: readonly Finding[]): string {
  const width = Math.max(0, ...findings.map(({ name }) => name.length));
  const lines = findings.flatMap(({ severity, name, message, cause, next, openedAt }) => [
    `${severity === 'serious' ? '✘' : '!'} ${name.padEnd(width)}  ${printable(message)}`,
    facts(
      [
        ['cause', cause],
        ['next', next],
        ['since', openedAt],
      ],
      ' '.repeat(width + 4),
    ),
  ]);
  return lines.filter((line) => line !== '').join('\n');
}

/** One line: how many there are, and when somebody last looked. */
export function healthWords({ checkedAt, open, serious }: Health = { checkedAt: null, open: 0, serious: 0 }): string {
  if (checkedAt === null) return 'never checked';
  const found = open === 0 ? 'nothing wrong' : `${open} wrong${serious > 0 ? `, ${serious} of it serious` : ''}`;
  return `${found}, checked ${checkedAt}`;
}

/** The same for programs. */
export function healthDocument(
  { checkedAt, open, serious }: Health = { checkedAt: null, open: 0, serious: 0 },
): HealthDocument {
  return { checkedAt, open, serious };
}
