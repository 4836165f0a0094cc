// What a fresh clone needs before anything else can run. Plain JavaScript without dependencies: it runs before
// `npm ci` has.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Installs the Node packages that the lock file names, unless they are those already. */
export function installPackages() {
  const lock = readFileSync(`${root}package-lock.json`, 'utf8');
  const mark = `${root}node_modules/.chom-lock`;
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return;
  process.stderr.write('Installing the Node packages (about 80 s, once)\n');
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 2, 'inherit'],
  });
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(mark, lock);
}

/** Runs a program of the project to its end, with our output; returns its exit status. */
export function run(program, words, environment = {}) {
  process.stderr.write(`\n▶ ${[program, ...words].join(' ')}\n`);
  // Ctrl-C reaches the child too, which ends in order; its exit status is ours.
  const { status } = spawnSync(program, words, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${root}node_modules/.bin:${process.env.PATH}`, ...environment },
  });
  return status ?? 1;
}
