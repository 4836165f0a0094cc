import { spawn } from 'node:child_process';
import type { Message } from './message.js';
import type { Told } from './post.js';

/** What a command needs of an environment; CHOM's own settings may hold secrets. */
const PASSED = ['PATH', 'HOME', 'LANG', 'TZ', 'USER'] as const;

/** Runs a command line of sh(1) with the event as JSON on its standard input. Exit status 0 is a success. Never throws. */
export async function runAlertCommand(command: string, message: Message, timeout: number): Promise<Told> {
  const environment = Object.fromEntries(PASSED.map((name) => [name, process.env[name]]));
  return await new Promise((done) => {
    // A group of its own, so that what it started ends with it.
    const child = spawn('sh', ['-c', command], {
      env: { ...environment, CHOM_EVENT: message.type },
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
    });
    let said = '';
    const late = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      said = `it did not end within ${timeout / 1000} s`;
    }, timeout);
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said = `${said}${text}`.slice(-500)));
    child.once('error', (error) => done({ ok: false, reason: error.message }));
    child.once('close', (status) => {
      clearTimeout(late);
      const ended = status === null ? 'it was ended' : `its exit status was ${status}`;
      done(
        status === 0 ? { ok: true } : { ok: false, reason: said.trim() === '' ? ended : `${ended}: ${said.trim()}` },
      );
    });
    // It may end without reading.
    child.stdin.once('error', () => undefined);
    child.stdin.end(`${JSON.stringify(message)}\n`);
  });
}
