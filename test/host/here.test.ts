import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { poll } from '../../lab/poll.js';
import { runHere } from '../../src/host/here.js';
import { sh } from '../../src/host/shell.js';

let directory: string;
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'chom-here.test-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string) => join(directory, name);
const text = (name: string) => readFileSync(at(name), 'utf8').trim();
/** Says where its secrets are and that it began; told to stop, it takes a while for it, as restic does. */
const slow = () => sh`echo "$CREDENTIALS_DIRECTORY" >${at('where')}
perl -e ${`$SIG{INT} = sub { sleep 1; open my $f, '>', $ARGV[1]; print $f "left\\n"; exit 130 };
open my $f, '>', $ARGV[0]; print $f "began\\n"; close $f; sleep 1 while 1;`} ${at('began')} ${at('left')} && echo not >${at('after')}`;

test('gives a script its secrets as files of ours alone, and what it prints', async () => {
  const script = sh`cat "$CREDENTIALS_DIRECTORY/password"; stat -c %a "$CREDENTIALS_DIRECTORY" "$CREDENTIALS_DIRECTORY/password"
echo "$CREDENTIALS_DIRECTORY" >${at('where')}; env | grep -c CHOM_; cat; echo it is >&2; exit 7`;
  process.env['CHOM_OF_A_TEST'] = 'x';
  const output = await runHere(script, { secrets: { password: Buffer.from("it's\n") }, limitSeconds: 30 });
  delete process.env['CHOM_OF_A_TEST'];
  expect(output).toMatchObject({ exit: 7, stdout: "it's\n700\n600\n0\n", stderr: 'it is\n' });
  expect(existsSync(text('where'))).toBe(false);
});

test('told to stop it waits until what it runs has ended as it likes, and throws the reason', async () => {
  const stop = new AbortController();
  const running = runHere(slow(), { limitSeconds: 30, signal: stop.signal });
  running.catch(() => undefined);
  await poll('it began', 10_000, async () => existsSync(at('began')));
  stop.abort(new Error('cancelled'));
  await expect(running).rejects.toThrow('cancelled');
  expect([text('left'), existsSync(at('after')), existsSync(text('where'))]).toEqual(['left', false, false]);
});

test('over its limit it is ended alike, and has taken too long', async () => {
  await expect(runHere(slow(), { limitSeconds: 1 })).rejects.toMatchObject({ type: 'TimedOut' });
  expect(text('left')).toBe('left');
});

test('where its process is killed it ends by itself, and leaves no secret', async () => {
  const program = `import { runHere } from ${JSON.stringify(new URL('../../src/host/here.ts', import.meta.url).href)};
await runHere({ script: Buffer.from(process.env.SLOW, 'base64') }, { secrets: { password: Buffer.from('x') }, limitSeconds: 60 });`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    env: { ...process.env, SLOW: slow().script.toString('base64') },
    stdio: 'inherit',
  });
  await poll('it began', 20_000, async () => existsSync(at('began')));
  expect(statSync(text('where')).mode & 0o777).toBe(0o700);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await poll('it has left', 10_000, async () => existsSync(at('left')) && !existsSync(text('where')));
  expect(existsSync(at('after'))).toBe(false);
});
