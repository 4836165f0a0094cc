import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const CHOM = fileURLToPath(new URL('../../dist/cli/chom.js', import.meta.url));

/** What the demo did, how long it took, and what was seen. */
const rows: [what: string, seconds: number, seen: string][] = [];
let asking: ChildProcess | undefined;

/** Runs the command line as an operator would; `onLine` sees each line of its progress. */
export async function chom(
  environment: NodeJS.ProcessEnv,
  words: string[],
  onLine?: (line: string) => void,
): Promise<void> {
  say(`\n$ chom ${words.join(' ')}`);
  const child = spawn(process.execPath, [CHOM, ...words], { env: environment, stdio: ['ignore', 'inherit', 'pipe'] });
  asking = child;
  for await (const line of createInterface({ input: child.stderr })) {
    say(`  ${line}`);
    onLine?.(line);
  }
  const status = await ended(child);
  if (status !== 0) throw new Error(`chom ${words[0]} ended with ${status}`);
}

/** The same, and the worker is killed as soon as the step is seen. */
export async function chomKilled(
  environment: NodeJS.ProcessEnv,
  words: string[],
  { dev, step }: { dev: ChildProcess; step: string },
): Promise<void> {
  let killed = false;
  await chom(environment, words, (line) => {
    if (killed || !line.includes(`▶ ${step}`)) return;
    killed = true;
    const worker = workerOf(dev);
    process.kill(worker, 'SIGKILL');
    say(`\n  ⚡ kill -9 ${worker}: the worker is dead, in the middle of this step\n`);
  });
  if (!killed) throw new Error(`the worker was not killed: the step ${step} was not seen`);
}

/** What `chom … --json` prints. */
export function chomJson(environment: NodeJS.ProcessEnv, words: string[]): unknown {
  const options = { env: environment, encoding: 'utf8' as const, timeout: 60_000 };
  return JSON.parse(execFileSync(process.execPath, [CHOM, ...words, '--json'], options));
}

/** Temporal, its UI and a worker, until `end` is called. Resolves once the worker has started. */
export async function startDev(
  environment: NodeJS.ProcessEnv,
  [port, ui, codec]: readonly [number, number, number],
): Promise<{ dev: ChildProcess; end(): Promise<unknown> }> {
  say(`\n$ chom dev --port ${port} --ui-port ${ui} --codec-port ${codec}`);
  // Its own server: an address that is set would be taken for somebody's Temporal.
  const { TEMPORAL_ADDRESS: _, ...own } = environment;
  const words = [CHOM, 'dev', '--port', `${port}`, '--ui-port', `${ui}`, '--codec-port', `${codec}`];
  const dev = spawn(process.execPath, words, { env: own, stdio: ['ignore', 'ignore', 'pipe'] });
  const end = async () => {
    dev.kill('SIGINT');
    return await ended(dev);
  };
  try {
    await new Promise<void>((resolve, reject) => {
      const lines = createInterface({ input: dev.stderr });
      lines.on('line', (line) => {
        // The worker's log is for its operator; here its start alone is told.
        if (!line.startsWith('{')) say(`  ${line}`);
        if (line.includes('"worker started"')) resolve();
      });
      dev.once('exit', (status) => reject(new Error(`chom dev ended with ${status}`)));
    });
  } catch (error) {
    await end();
    throw error;
  }
  return { dev, end };
}

/** The worker is the one child of `chom dev` that is a Node process. */
function workerOf(dev: ChildProcess): number {
  const children = execFileSync('ps', ['--ppid', String(dev.pid), '-o', 'pid=,comm='], { encoding: 'utf8' });
  const line = children.split('\n').find((text) => text.includes('node'));
  const pid = Number(line?.trim().split(/\s+/)[0]);
  if (!pid) throw new Error(`no worker found below ${dev.pid}: ${children}`);
  return pid;
}

async function ended(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode ?? child.signalCode;
}

/** Ends the command that runs. */
export function stopAsking(): void {
  asking?.kill();
}

export async function timed<Result>(what: string, seen: string, fn: () => Promise<Result>): Promise<Result> {
  const started = performance.now();
  const result = await fn();
  rows.push([what, (performance.now() - started) / 1000, seen]);
  return result;
}

/** The same for what tells itself what was seen. */
export async function visited(what: string, look: () => Promise<string>): Promise<void> {
  const started = performance.now();
  const answer = await look();
  rows.push([what, (performance.now() - started) / 1000, answer]);
}

/** All that was done, in order. */
export function table(): string {
  const width = Math.max(...rows.map(([what]) => what.length));
  return rows
    .map(([what, seconds, answer]) => `${what.padEnd(width)}  ${seconds.toFixed(1).padStart(6)} s  ${answer}`)
    .join('\n');
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
