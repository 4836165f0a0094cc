import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Source } from '../src/client/program.js';

const execute = promisify(execFile);

/**
 * Builds a command of a Go module as a dependency of a module of its own: modules with replacements refuse `go install`, and a
 * proxy need not list the versions that it would ask for. Without cgo it runs on every release.
 */
export function goBuild(module: string, version: string, path: string, program: string): Source {
  return {
    doing: `building ${module} ${version} with Go (1 to 4 minutes, once)`,
    async fill(directory) {
      await writeFile(`${directory}/go.mod`, `module lab\n\ngo 1.23\n\nrequire ${module} ${version}\n`);
      const environment = { ...process.env, GOOS: '', GOFLAGS: '', GO111MODULE: 'on', CGO_ENABLED: '0' };
      const build = ['build', '-mod=mod', '-trimpath', '-o', program, `${module}/${path}`];
      await execute('go', build, { cwd: directory, env: environment, maxBuffer: 64 << 20 });
    },
  };
}
