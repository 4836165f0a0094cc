import type { StorageLogin } from '../inventory/storage-login.js';
import { failure } from '../workflows/failures.js';
import type { ReadData } from '../workflows/storage-questions.js';
import { parseServerName } from './names.js';
import { parseRepository } from './repository-location.js';

/** Logins and sealed passwords are made where the files lie. */
export function unmaintained(of: 'the REST server' | 'the SFTP server') {
  const [cause, next] =
    of === 'the REST server'
      ? [
          'a REST server takes nothing but restic’s own files: logins, and the sealed passwords, are made where it runs',
          'add --maintain SERVER:/path, an enrolled server and the data directory of the REST server; or --maintain controller and --login',
        ]
      : [
          'without a user in its address each site gets a user of its own, which is made there',
          'add --maintain SERVER:/path, an enrolled server and a directory there, or write sftp:USER@HOST:/path',
        ];
  return failure('InvalidInput', `Nothing says which server keeps the files of ${of}`, { cause, next });
}

/** @throws InvalidInput */
export function parseMaintain(text: string): { server: string; path: string } {
  const [, server, path] = /^([^:]+):(\/.*)$/.exec(text) ?? [];
  if (server === undefined || path === undefined) {
    throw failure('InvalidInput', `--maintain ${text} does not name a server and a directory`, {
      next: 'write it SERVER:/path, or controller for CHOM’s own machine',
    });
  }
  const { kind, url } = parseRepository(path);
  if (kind !== 'local') throw failure('Bug', `${path} is no path`);
  return { server: parseServerName(server), path: url };
}

/** restic tells parts by a byte. @throws InvalidInput */
export function parseReadData(text: string): ReadData {
  if (text === 'all') return text;
  const [part = NaN, parts = NaN] = (/^(\d{1,3})\/(\d{1,3})$/.exec(text) ?? []).slice(1).map(Number);
  if (part >= 1 && part <= parts && parts <= 256) return { part, parts };
  throw failure('InvalidInput', `--read-data ${text} is neither all nor a part`, {
    next: 'write a part N/M, for example 2/4; M is 256 at most',
  });
}

/** `USER:PASSWORD` of a REST server. Nothing of it is in the failure. @throws InvalidInput */
export function parseLogin(text: string): StorageLogin {
  const [, user, password] = /^([A-Za-z0-9@._-]+):(\S+)\s*$/.exec(text) ?? [];
  if (user !== undefined && password !== undefined) return { kind: 'rest', user, password };
  throw failure('InvalidInput', 'The login file does not hold one line USER:PASSWORD');
}

/** Of S3. Nothing of it is in the failure. The secret stands in a file whose readers give quotes and comments a meaning. */
export function parseAccessKey(text: string): StorageLogin {
  const [, accessKeyId, secretAccessKey] = /^([A-Za-z0-9+=,.@_-]+):([^\s"'`#;\\]+)\s*$/.exec(text) ?? [];
  if (accessKeyId !== undefined && secretAccessKey !== undefined) return { kind: 's3', accessKeyId, secretAccessKey };
  throw failure('InvalidInput', 'The login file does not hold one line ACCESS_KEY_ID:SECRET_ACCESS_KEY', {
    cause: 'or the secret holds a quote, backslash, # or ;',
  });
}
