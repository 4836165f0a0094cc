import { expect, it } from 'vitest';
import { checkNewStorage } from '../../src/client/new-storage.js';
import { parseRepository } from '../../src/client/repository-location.js';
import { type FailureDetails, failureDetails } from '../../src/workflows/failures.js';
import { ApplicationFailure } from '@temporalio/common';

it.each([
  ['sftp:backup@box.example:/backups', 'sftp', 'sftp://backup@box.example:22//backups'],
  ['sftp://backup@Box.example:2222//srv/backups/', 'sftp', 'sftp://backup@box.example:2222//srv/backups'],
  ['sftp:backup@[2001:db8::1]:/b', 'sftp', 'sftp://backup@[2001:db8::1]:22//b'],
  ['sftp:store.example', 'sftp', 'sftp://store.example:22'],
  ['sftp://[2001:db8::1]:2222/', 'sftp', 'sftp://[2001:db8::1]:2222'],
  ['rest:https://store.example:8000/', 'rest', 'rest:https://store.example:8000'],
  ['rest:https://store.example/backups/', 'rest', 'rest:https://store.example/backups'],
  ['s3:https://s3.example/bucket/path', 's3', 's3:https://s3.example/bucket/path'],
  ['/srv/backups', 'local', '/srv/backups'],
])('%s is %s at %s', (text, kind, url) => {
  expect(parseRepository(text)).toMatchObject({ kind, url });
});

it.each([
  'backups',
  'sftp:box.example:/backups',
  'sftp:backup@box.example:backups',
  'sftp:-oProxyCommand=x@box.example:/b',
  'sftp:backup@box.example:/a b',
  'sftp:backup@box.example:/a"b',
  'rest:http://store.example/',
  'rest:store.example',
  'rest:https://store.example/?x=y',
  's3:https://s3.example',
  '/srv/../etc',
  '/srv//backups',
  '/',
  '/srv/$(id)',
])('%j is refused', (text) => {
  expect(refusal(() => parseRepository(text))).toMatchObject({ type: 'InvalidInput' });
});

it('shows no login that was written into an address', () => {
  const said = refusal(() => parseRepository('rest:https://me:open-sesame@store.example/'));
  expect(said).toMatchObject({ type: 'InvalidInput' });
  expect(JSON.stringify(said)).not.toContain('sesame');
});

const rest = { name: 'store', repository: 'rest:https://store.example/', maintain: 'store1:/srv/rest' };
const s3 = { name: 's3', repository: 's3:https://s3.example/bucket' };
it.each([
  [{ name: 'own', repository: 'sftp:h.example' }, 'Nothing says which server keeps the files of the SFTP server'],
  [{ ...rest, maintain: undefined }, 'Nothing says which server keeps the files of the REST server'],
  [{ ...rest, maintain: 'store1' }, '--maintain store1 does not name a server and a directory'],
  [{ ...rest, login: 'no colon' }, 'The login file does not hold one line USER:PASSWORD'],
  [{ ...rest, ca: 'x' }, 'The file that --ca names holds no certificate in PEM form'],
  [{ ...rest, hostKey: 'SHA256:x' }, '--host-key is for SFTP, and this is rest'],
  [{ ...rest, name: 'a b' }, '"a b" is no name for a storage'],
  [
    { name: 'box', repository: 'sftp:a@b.example:/c', login: 'a:b' },
    '--login is for a REST server or S3, and this is sftp',
  ],
  [s3, 'Nothing says with which access key S3 is reached'],
  [{ ...s3, login: 'AKIA' }, 'The login file does not hold one line ACCESS_KEY_ID:SECRET_ACCESS_KEY'],
  [{ ...s3, login: 'AKIA:a"b' }, 'The login file does not hold one line ACCESS_KEY_ID:SECRET_ACCESS_KEY'],
  [
    { ...s3, login: 'AKIA:a', maintain: 'store1:/s3' },
    '--maintain SERVER:/path is for servers that keep restic’s files as files, and this is s3',
  ],
  [{ ...s3, login: 'AKIA:a', maintainLogin: 'AKIB:b' }, '--maintain-login is for --maintain controller'],
  [
    { ...s3, login: 'AKIA:a', maintain: 'controller' },
    'Nothing says with which login CHOM’s own machine gets in to delete',
  ],
  [
    { ...s3, login: 'AKIA:a', maintain: 'controller', maintainLogin: 'b' },
    'The login file does not hold one line ACCESS_KEY_ID:SECRET_ACCESS_KEY',
  ],
  [
    {
      ...s3,
      login: 'AKIA:a',
      maintain: 'controller',
      maintainLogin: 'a:b',
      maintainRepository: 'rest:https://h.example',
    },
    '--maintain-repository names another storage than s3:https://s3.example/bucket',
  ],
  [
    { ...rest, maintain: 'controller', maintainLogin: 'a:b' },
    'Nothing says which server keeps the files of the REST server',
  ],
  [
    { name: 'trial', repository: '/srv/backups', maintain: 'controller', maintainLogin: 'a:b' },
    'The directory of a server is not reached from CHOM’s own machine',
  ],
])('%j is refused: %s', (wanted, message) => {
  const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
  expect(refusal(() => checkNewStorage(given as typeof rest))).toMatchObject({ type: 'InvalidInput', message });
});

it('has CHOM’s own machine reach a storage by another address, where that is said', () => {
  const at = { maintain: 'controller', maintainLogin: 'pruner:sesame\n' };
  const login = { kind: 'rest', user: 'pruner', password: 'sesame' };
  const own = checkNewStorage({ ...rest, ...at, login: 'a:b' });
  expect(own.keeper).toEqual({ url: 'rest:https://store.example', login });
  const other = { ...rest, ...at, login: 'a:b', maintainRepository: 'rest:https://store.example:8001/' };
  expect(checkNewStorage(other).keeper).toEqual({ url: 'rest:https://store.example:8001', login });
});

it('takes an access key of S3 as a file holds it', () => {
  const { login } = checkNewStorage({ ...s3, login: 'AKIA:a/b+c=\n' });
  expect(login).toEqual({ kind: 's3', accessKeyId: 'AKIA', secretAccessKey: 'a/b+c=' });
});

function refusal(fn: () => unknown): { type: string | undefined | null; message: string; details: FailureDetails } {
  try {
    fn();
  } catch (error) {
    if (!(error instanceof ApplicationFailure)) throw error;
    return { type: error.type, message: error.message, details: failureDetails(error) };
  }
  throw new Error('It was not refused');
}
