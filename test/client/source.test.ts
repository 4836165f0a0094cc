import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseGitUrl } from '../../src/client/git-url.js';
import { parseSource } from '../../src/client/source.js';

const run = promisify(execFile);
let place = '';
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'chom-source-'));
});
afterAll(async () => await rm(place, { recursive: true, force: true }));

async function bytes(source: Awaited<ReturnType<typeof parseSource>>): Promise<Buffer> {
  if (source.kind !== 'archive') throw new Error('It is no archive');
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.content()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function archive(name: string, ...words: string[]): Promise<string> {
  const file = join(place, name);
  await run('tar', ['-cf', file, ...words]);
  return file;
}

test('without a source the site gets its placeholder', async () => {
  expect(await parseSource(undefined)).toEqual({ kind: 'plan', plan: { kind: 'placeholder' } });
});

test('a directory becomes an archive whose names are relative to it', async () => {
  const app = join(place, '-C odd $(name)');
  await mkdir(join(app, 'public'), { recursive: true });
  await writeFile(join(app, 'public', 'index.html'), 'hello');
  await writeFile(join(app, '.hidden'), '');
  const packed = join(place, 'packed.tar.gz');
  await writeFile(packed, await bytes(await parseSource(app)));
  const { stdout } = await run('tar', ['-tzf', packed]);
  expect(stdout.trim().split('\n').sort()).toEqual(['./', './.hidden', './public/', './public/index.html']);
});

test('an archive is taken as it is, with gzip or without', async () => {
  await mkdir(join(place, 'site'));
  await writeFile(join(place, 'site', 'index.html'), 'hello');
  const plain = await archive('site.tar', '-C', join(place, 'site'), '.');
  const zipped = await archive('site.tar.gz', '-z', '-C', join(place, 'site'), '.');
  for (const file of [plain, zipped]) expect(await bytes(await parseSource(file))).toEqual(await readFile(file));
});

test('what would lie outside the site, is cut short or is no archive is refused', async () => {
  await writeFile(join(place, 'x'), 'x');
  const refused = async (file: string) =>
    await parseSource(file).then(
      () => 'taken',
      (error: { details: { cause: string }[] }) => error.details[0]?.cause,
    );
  expect(await refused(await archive('absolute.tar', '-P', join(place, 'x')))).toContain('outside the site');
  const up = await archive('up.tar', '-P', '-C', place, '--transform', 's,x,../x,', 'x');
  expect(await refused(up)).toContain('outside the site');
  const cutShort = await archive('short.tar.gz', '-z', '-C', place, 'x');
  await truncate(cutShort, 60);
  expect(await refused(cutShort)).toContain('cannot be read as a tar archive');
  await writeFile(join(place, 'site.zip'), 'PK\u0003\u0004');
  expect(await refused(join(place, 'site.zip'))).toContain('no tar archive');
  await mkdir(join(place, 'empty'));
  expect(await refused(join(place, 'empty'))).toContain('empty');
  await symlink('/dev/null', join(place, 'device'));
  expect(await refused(join(place, 'device'))).toContain('neither a directory nor a file');
  await writeFile(join(place, 'huge.tar'), '');
  await truncate(join(place, 'huge.tar'), 513 * 1024 * 1024);
  await expect(parseSource(join(place, 'huge.tar'))).rejects.toThrow('larger than 512 MiB');
});

test('a directory that cannot be packed whole fails instead of giving half', async () => {
  const app = join(place, 'vanishing');
  await mkdir(app);
  await writeFile(join(app, 'a'), 'a');
  const source = await parseSource(app);
  await rm(app, { recursive: true });
  await expect(bytes(source)).rejects.toMatchObject({ type: 'InvalidInput' });
});

test.each([
  ['https://git.example/a/b.git', 'https://git.example/a/b.git', null],
  ['https://git.example/a/b.git#v1.2', 'https://git.example/a/b.git', 'v1.2'],
  ['ssh://git@git.example:2222/a/b#feature/x', 'ssh://git@git.example:2222/a/b', 'feature/x'],
])('%s is passed on', (text, url, ref) => {
  expect(parseGitUrl(text)).toEqual({ kind: 'git', url, ref });
});

test.each([
  'http://git.example/a',
  'git://git.example/a',
  'file:///etc',
  'https://user:secret@git.example/a',
  'https://token@git.example/a',
  'ssh://-oProxyCommand=reboot/a',
  'ssh://-l@git.example/a',
  'https://git.example/',
  'https://git.example/a#--upload-pack=reboot',
  'https://git.example/a#a..b',
  'https://git.example/a b',
  `https://git.example/${'a'.repeat(2000)}`,
])('%s is refused', (text) => {
  expect(() => parseGitUrl(text)).toThrow('is no git URL to fetch');
});

test('a login is not repeated in the message', () => {
  expect(() => parseGitUrl('https://user:secret@git.example/a')).not.toThrow('secret');
});

test('the short form of git gets its long form as advice', async () => {
  await expect(parseSource('git@git.example:a/b.git')).rejects.toMatchObject({
    details: [{ next: 'for git: --from ssh://git@git.example/a/b.git' }],
  });
});
