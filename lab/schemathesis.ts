import { execFile } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram, type Program, type Source } from '../src/client/program.js';
import { installPackages } from './packages.js';

const run = promisify(execFile);

const VERSION = '4.32.5';

/** Tries an API by what its OpenAPI document says of it (https://schemathesis.readthedocs.io, 2026-11). */
const schemathesis: Program = {
  name: 'schemathesis',
  setting: 'CHOM_SCHEMATHESIS',
  cached: `schemathesis-${VERSION}`,
  sources: [pypi()],
};

/** Path of the program (`NotFound` when it cannot be got). */
export async function schemathesisProgram(): Promise<string> {
  return await findProgram(schemathesis);
}

function pypi(): Source {
  return {
    doing: `getting schemathesis ${VERSION} from PyPI (about half a minute, once)`,
    async fill(directory) {
      await installPackages({ python3: 'python3', pip3: 'python3-pip' });
      // No virtual environment, which cannot be moved to where it will lie.
      const target = ['--target', join(directory, 'lib'), `schemathesis==${VERSION}`];
      await run('python3', ['-m', 'pip', 'install', '-q', '--no-input', ...target], { maxBuffer: 16 << 20 });
      await writeFile(join(directory, 'schemathesis'), WRAPPER);
      await chmod(join(directory, 'schemathesis'), 0o755);
    },
  };
}

const WRAPPER = `#!/bin/sh
PYTHONPATH="$(dirname "$0")/lib" exec python3 -c 'from schemathesis.cli import schemathesis; schemathesis()' "$@"
`;
