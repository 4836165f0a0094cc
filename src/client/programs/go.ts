import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Source } from '../program.js';

const run = promisify(execFile);

/** Builds commands of one Go module with `go install`, through whatever proxy the machine's Go is set up for. */
export function goInstall(packages: readonly string[], version: string, about: string): Source {
  return {
    doing: `building ${packages[0]}@${version} with Go (about ${about}, once)`,
    async fill(directory) {
      const arguments_ = ['install', ...packages.map((name) => `${name}@${version}`)];
      // GOBIN is refused for another platform, and GOFLAGS=-mod=… of a project would break it outside a module.
      const environment = { ...process.env, GOBIN: directory, GOOS: '', GOARCH: '', GO111MODULE: 'on' };
      await run('go', arguments_, { cwd: directory, env: environment, maxBuffer: 64 << 20 }).catch((error: unknown) => {
        throw new Error(explain(error));
      });
    },
  };
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && error.code === 'ENOENT') return 'there is no Go here to build it with (https://go.dev/dl)';
  const output = 'stderr' in error ? String(error.stderr).trim().split('\n').at(-1) : '';
  return `go install failed: ${output || error.message}`;
}
