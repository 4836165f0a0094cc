import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Script } from '../../src/host/shell.js';

/** A user's home on no host, for scripts that change its authorized_keys: they run here, as whoever runs the test. */
export interface KeyHome {
  /** Its authorized_keys. */
  readonly file: string;
  readonly directory: string;
  /** As a host's shell does. */
  run(script: Script): { exit: number; stdout: string; stderr: string };
  write(text: string): void;
  text(): string;
  /** Empty again. */
  empty(): void;
  close(): void;
}

/** Makes one; call `close` when done with it. */
export function keyHome(): KeyHome {
  const root = mkdtempSync(join(tmpdir(), 'chom-keys-'));
  const [programs, home] = [join(root, 'bin'), join(root, 'home')];
  const directory = join(home, '.ssh');
  const file = join(directory, 'authorized_keys');
  mkdirSync(programs);
  // In the place of those that know users, and of one that has the disk wait.
  const shims = {
    getent: `echo "u:x:1:1::${home}:/bin/sh"`,
    id: 'echo 0',
    setpriv: 'while [ "$1" != sh ]; do shift; done; exec "$@"',
    sync: 'exit 0',
  };
  for (const [name, text] of Object.entries(shims)) {
    writeFileSync(join(programs, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  const self: KeyHome = {
    file,
    directory,
    run({ script }) {
      const env = { PATH: `${programs}:/usr/bin:/bin`, LC_ALL: 'C' };
      const { status, stdout, stderr } = spawnSync('dash', ['-c', script.toString()], { env, encoding: 'utf8' });
      return { exit: status ?? -1, stdout, stderr };
    },
    write: (text) => writeFileSync(file, text, 'latin1'),
    text: () => readFileSync(file, 'latin1'),
    empty() {
      rmSync(home, { recursive: true, force: true });
      mkdirSync(directory, { recursive: true });
    },
    close: () => rmSync(root, { recursive: true, force: true }),
  };
  self.empty();
  return self;
}
