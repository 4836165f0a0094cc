import { randomBytes } from 'node:crypto';
import type { Client } from 'ssh2';
import { failure } from '../workflows/failures.js';
import { captureAfter, OUTPUT_BYTES } from './capture.js';
import { runCommand } from './channel.js';
import type { Login } from './login.js';
import { sh, type Script } from './shell.js';

export interface Run {
  script: Script;
  /** The script's stdin; it has none otherwise. */
  input?: AsyncIterable<Uint8Array>;
  limitSeconds: number;
  signal?: AbortSignal;
  /** How much of stdout is kept, in bytes. */
  stdoutBytes?: number;
}

export interface Result {
  exit: number;
  stdout: Buffer;
  stderr: Buffer;
  milliseconds: number;
}

/** Where programs are looked for on a host, whatever its shells and units were given. */
export const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Runs a script as root. It travels by stdin, so that no value, secret or size meets an argument list: the command line
 * is fixed text, whatever the user's login shell is. `head` reads exactly the script's bytes and leaves the rest of
 * stdin to it. One compound command goes over: where the link breaks half-way the shell finds no end and runs nothing.
 * No file is written, so that it also works where the disk or /run is full.
 * Failures: those of `runCommand`, and LoginRefused where the account cannot run commands as root.
 */
export async function runScript(client: Client, login: Pick<Login, 'name' | 'user'>, run: Run): Promise<Result> {
  const began = performance.now();
  const mark = `chom:${randomBytes(12).toString('hex')}\n`;
  const { script } = sh`{ PATH=${PATH} LC_ALL=C; export PATH LC_ALL; umask 022
printf %s ${mark}; printf %s ${mark} >&2
${run.input === undefined ? sh`exec </dev/null` : sh`:`}
${run.script}
}
`;
  const stdout = captureAfter(Buffer.from(mark), run.stdoutBytes ?? OUTPUT_BYTES);
  const stderr = captureAfter(Buffer.from(mark), OUTPUT_BYTES);
  const noise = captureAfter(Buffer.alloc(0), 2_000);
  // Closing a channel ends no program, and not every sshd passes signals on: what we gave up ends itself soon after.
  const shell = `timeout -k 5 ${Math.ceil(run.limitSeconds) + 5} /bin/sh -c 's=$(head -c ${script.length}) && eval "$s"'`;
  const exit = await runCommand(client, login.name, {
    line: login.user === 'root' ? `exec ${shell}` : `exec sudo -n ${shell}`,
    input: bytesThen(script, run.input),
    onStdout: (chunk) => stdout.take(chunk),
    onStderr: (chunk) => {
      noise.take(chunk);
      stderr.take(chunk);
    },
    limitSeconds: run.limitSeconds,
    ...(run.signal && { signal: run.signal }),
  });
  const out = stdout.bytes();
  if (out === null) throw noShell(login, noise.bytes()?.toString() ?? '');
  return { exit, stdout: out, stderr: stderr.bytes() ?? Buffer.alloc(0), milliseconds: performance.now() - began };
}

async function* bytesThen(first: Uint8Array, rest?: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  if (rest !== undefined) yield* rest;
}

/** The script never began: what the account said instead tells why. */
function noShell({ name: server, user }: Pick<Login, 'name' | 'user'>, said: string): Error {
  if (said.includes('Syntax error'))
    return failure('Bug', `A script for ${server} is not valid shell`, { server, output: said.trim() });
  const sudo = /^sudo: /m.test(said);
  const message = sudo
    ? `${user} may not become root on ${server} without a password`
    : `${user} cannot run commands on ${server}`;
  return failure('LoginRefused', message, {
    server,
    cause: sudo ? 'No NOPASSWD rule for this user' : 'Its login shell, or a forced command',
    next: sudo ? `visudo (on ${server}): ${user} ALL=(ALL) NOPASSWD: ALL` : `ssh ${user}@… true`,
    output: said.trim(),
  });
}
