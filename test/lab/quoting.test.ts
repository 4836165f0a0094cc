import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLab, type Lab } from '../../lab/index.js';
import { logIn, type LoggedIn } from '../../src/host/login.js';
import { runScript } from '../../src/host/remote-shell.js';
import { sh, writeFile, type Script } from '../../src/host/shell.js';
import { words } from '../host/words.js';
import { jobOf, loginOf, reach } from './reach.js';

let lab: Lab;
const sessions = new Map<string, LoggedIn>();

beforeAll(async () => {
  lab = await startLab({ hosts: [{ name: 'new' }, { name: 'old', debian: 12 }] });
  for (const host of lab.hosts) sessions.set(host.name, await logIn(loginOf(host)));
});
afterAll(async () => {
  for (const { socket } of sessions.values()) socket.destroy();
  await lab.down();
});

/** The exact bytes that a script prints on a host. */
async function bytesFrom(name: string, script: Script): Promise<Buffer> {
  const session = sessions.get(name);
  if (session === undefined) throw new Error(`no host ${name}`);
  const run = { script, limitSeconds: 60, stdoutBytes: 10_000_000 };
  return (await runScript(session.client, { name, user: 'root' }, run)).stdout;
}

const NUL = Buffer.from([0]);

describe.each(['new', 'old'])('a shell over SSH on the %s host', (name) => {
  it('echoes 10 000 generated values byte by byte', async () => {
    const batch = fc.array(words, { minLength: 1_000, maxLength: 1_000 });
    const property = fc.asyncProperty(batch, async (values) => {
      const echoed = await bytesFrom(name, sh`printf '%s\0' ${values}`);
      expect(echoed.equals(Buffer.concat(values.flatMap((value) => [value, NUL])))).toBe(true);
    });
    await fc.assert(property, { numRuns: 10, interruptAfterTimeLimit: 200_000, markInterruptAsFailure: true });
  });

  it('hands values on to programs and files, and they do nothing else', async () => {
    const hostile = [
      `$(touch /root/pwned)`,
      '`touch /root/pwned`',
      "'; touch /root/pwned; '",
      '\n touch /root/pwned\n',
      '-rf',
      '*',
    ];
    for (const value of hostile) {
      const path = `/root/file ${value.replaceAll('/', '_')}`;
      expect(await bytesFrom(name, sh`env printf %s ${value}`)).toEqual(Buffer.from(value));
      expect(await bytesFrom(name, sh`${writeFile({ path, content: value, mode: '0600' })} && cat -- ${path}`)).toEqual(
        Buffer.from(value),
      );
    }
    expect((await lab.host(name).exec('ls /root/pwned')).exit).not.toBe(0);
  });

  it('carries a script larger than any argument list', async () => {
    const value = 'x'.repeat(3_000_000);
    expect((await bytesFrom(name, sh`printf %s ${value} | wc -c`)).toString().trim()).toBe('3000000');
  });

  it('hands the same bytes to a job', async () => {
    const values = fc.sample(words, 500);
    const hosts = reach(lab.hosts);
    const job = jobOf({ act: sh`printf '%s\0' ${values} | sha256sum; printf '%s\0' ${values} >/root/values` });
    const { exit, stdout } = await (await hosts.for(name)).job(job);
    await hosts.close();
    const expected = Buffer.concat(values.flatMap((value) => [value, NUL]));
    expect(exit).toBe(0);
    expect((await bytesFrom(name, sh`cat /root/values`)).equals(expected)).toBe(true);
    expect(stdout).toMatch(/^[0-9a-f]{64} /);
  });
});
