import type { Finding } from '../workflows/inspection.js';

/** Says of a command on which server it is given. */
export type Here = (command: string) => string;

export function fine(name: string, message: string): Finding {
  return { name, state: 'ok', message };
}

export function wrong(name: string, message: string, next: string, cause?: string): Finding {
  return { name, state: 'wrong', message, next, ...(cause !== undefined && { cause }) };
}

/** Says which of several of that name is meant. */
export function about(which: string, finding: Finding): Finding {
  return { ...finding, about: which };
}

/** Puts back what a live site needs on its server, but for its files and what was in its database. */
export function repair(domain: string): string {
  return `chom site repair ${domain}`;
}

/** What belongs to the server comes back by enrolling it again; what belongs to one site by its copy. */
export function putBack(path: string, copy: string, server: string, here: Here): string {
  const [, ofNginx] = /\/chom\.d\/(s[a-z2-7]{9})\.conf$/.exec(path) ?? [];
  const [, ofPhp] = /\/php\/(s[a-z2-7]{9})\//.exec(path) ?? [];
  // With the directory, should that be gone as well.
  const install = `install -D -m 0644 ${copy} ${path}`;
  if (ofNginx !== undefined) return here(`${install} && nginx -t && systemctl reload-or-restart nginx`);
  if (ofPhp !== undefined) return here(`${install} && systemctl restart chom-php@${ofPhp}`);
  return `chom server add ${server}`;
}
