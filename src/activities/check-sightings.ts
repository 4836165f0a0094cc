import type { Sighting } from '../inventory/findings.js';
import type { Looked } from '../workflows/check-plan.js';
import type { Finding } from '../workflows/inspection.js';

/** By name: what keeps sites from being served or kept safe, or CHOM from seeing to it. All else can wait for daylight. */
const SERIOUS: ReadonlySet<string> = new Set([
  ...['login', 'disk', 'nginx', 'mariadb', 'php', 'claim'],
  ...['http', 'https', 'certificate', 'backup'],
]);

/** Whether it counts in a check, if perhaps not yet: what one look does not tell a doctor leaves open. */
export function isWrong({ state, counts }: Finding): boolean {
  return state === 'wrong' || counts !== undefined;
}

/** A finding as it is kept. Its key holds no value that changes from one look to the next. */
export function sighting({ name, message, cause, next, about, counts, site }: Looked['findings'][number]): Sighting {
  const severity = SERIOUS.has(name) ? 'serious' : 'warning';
  const key = [site, name, about].filter((part) => part !== undefined).join('/');
  const said = { message, cause: cause ?? null, next: next ?? null };
  return { key, name, site: site ?? null, severity, ...said, counts: counts ?? { checks: 1 } };
}
