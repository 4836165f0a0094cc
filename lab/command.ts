import { execFile } from 'node:child_process';

/** What a command gave back. `exit` is null when it died by a signal. */
export interface Result {
  exit: number | null;
  stdout: string;
  stderr: string;
}

/** Administrators' programs (ip, losetup, mkfs) lie in sbin, which not every root shell has on its PATH. */
const environment = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin`, LC_ALL: 'C' };

/** Runs a program and gives its result, whatever it is. Rejects only when it cannot be started. */
export async function attempt(program: string, arguments_: readonly string[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    const options = { env: environment, maxBuffer: 64 << 20 };
    const child = execFile(program, arguments_, options, (error, stdout, stderr) => {
      if (error && typeof error.code === 'string') reject(error);
      else resolve({ exit: child.exitCode, stdout, stderr });
    });
    // Nothing comes: what reads it must not wait.
    child.stdin?.end();
  });
}

/** Runs a program that must succeed, and gives its standard output. */
export async function run(program: string, ...arguments_: string[]): Promise<string> {
  const { exit, stdout, stderr } = await attempt(program, arguments_);
  if (exit === 0) return stdout;
  const output = (stderr.trim() || stdout.trim()).split('\n').slice(-5).join('\n');
  throw new Error(`${program} ${arguments_.join(' ')} ended with ${exit ?? 'a signal'}: ${output}`);
}
