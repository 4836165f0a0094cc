import { readFile } from 'node:fs/promises';
import { failure } from '../workflows/failures.js';
import type { Session } from './cli.js';
import { readPrivateKey } from './private-key.js';
import type { Maintenance } from './storage-maintenance.js';
import { quoted } from './text.js';

/** What the command line says of from where a storage is maintained; logins are files. */
export interface MaintainOptions {
  maintain?: string;
  maintainLogin?: string;
  maintainKey?: string;
  maintainRepository?: string;
}

export const MAINTAIN_OPTIONS = {
  login: [
    '--maintain-login <file>',
    'of the controller: USER:PASSWORD of a REST server, ACCESS_KEY_ID:SECRET_ACCESS_KEY of S3, which may delete. - is stdin',
  ],
  key: ['--maintain-key <file>', 'of the controller over SFTP: private SSH key of a user who may delete'],
  repository: [
    '--maintain-repository <place>',
    'of the controller: the same storage as it reaches it, where that is another address or user',
  ],
} as const;

/** @throws InvalidInput a file cannot be read, or two are to be read from stdin */
export async function maintenanceIn(
  session: Session,
  options: MaintainOptions & { login?: string },
): Promise<Maintenance> {
  const { maintain, maintainLogin: login, maintainKey: key, maintainRepository } = options;
  if (login === '-' && options.login === '-') {
    throw failure('InvalidInput', 'Of --login and --maintain-login only one can be read from stdin');
  }
  return {
    ...(maintain !== undefined && { maintain }),
    ...(login !== undefined && { maintainLogin: await readLogin(session, '--maintain-login', login) }),
    ...(key !== undefined && { maintainKey: await readPrivateKey(key) }),
    ...(maintainRepository !== undefined && { maintainRepository }),
  };
}

/** What a file holds, or stdin for `-`. @throws InvalidInput */
export async function readLogin({ cli }: Session, option: string, file: string): Promise<string> {
  if (file !== '-') return await readText(option, file);
  let text = '';
  for await (const part of cli.stdin) text += String(part);
  return text;
}

/** @throws InvalidInput */
export async function readText(option: string, file: string): Promise<string> {
  return await readFile(file, 'utf8').catch((error: unknown) => {
    const cause = String(Reflect.get(Object(error), 'code'));
    throw failure('InvalidInput', `${option}: the file ${quoted(file)} cannot be read`, { cause });
  });
}
