import { execFile } from 'node:child_process';
import { copyFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Program, type Source, findProgram } from '../src/client/program.js';
import { goInstall } from '../src/client/programs/go.js';
import { run } from './command.js';
import { downloadPackages } from './debian-packages.js';

const execute = promisify(execFile);

/** Debian 13's own, which runs on Debian 12 too; otherwise built. */
const RESTIC_VERSION = '0.18.1';
const restic: Program = {
  name: 'restic',
  setting: 'CHOM_LAB_RESTIC',
  cached: 'lab-restic-0.18',
  sources: [fromDebian('restic', 'usr/bin/restic', 'restic'), goBuild()],
};

const REST_SERVER_VERSION = 'v0.14.0';
const restServer: Program = {
  name: 'rest-server',
  setting: 'CHOM_LAB_REST_SERVER',
  cached: 'lab-rest-server-1',
  sources: [
    fromDebian('restic-rest-server', 'usr/bin/restic-rest-server', 'rest-server'),
    goInstall(['github.com/restic/rest-server/cmd/rest-server'], REST_SERVER_VERSION, '1 minute'),
  ],
};

/** Path of the restic that stands for the pinned release where the distribution's is too old. */
export async function resticProgram(): Promise<string> {
  return await findProgram(restic);
}

/** Path of restic's REST server. */
export async function restServerProgram(): Promise<string> {
  return await findProgram(restServer);
}

function fromDebian(name: string, file: string, as: string): Source {
  return {
    doing: `getting ${name} from Debian 13 (about 10 s, once)`,
    async fill(directory) {
      const apt = join(directory, 'apt');
      for (const each of await downloadPackages(apt, 'trixie', [name]))
        await run('dpkg-deb', '-x', each, `${apt}/root`);
      await copyFile(join(apt, 'root', file), join(directory, as));
      await rm(apt, { recursive: true });
    },
  };
}

/** `go install` refuses it, for its go.mod has replacements. Without cgo it runs on every release. */
function goBuild(): Source {
  const module = 'github.com/restic/restic';
  return {
    doing: `building ${module} ${RESTIC_VERSION} with Go (about 1 minute, once)`,
    async fill(directory) {
      const text = `module lab\n\ngo 1.23\n\nrequire ${module} v${RESTIC_VERSION}\n`;
      await writeFile(join(directory, 'go.mod'), text);
      const environment = { ...process.env, GOOS: '', GOFLAGS: '', GO111MODULE: 'on', CGO_ENABLED: '0' };
      const build = ['build', '-mod=mod', '-trimpath', '-o', 'restic', `${module}/cmd/restic`];
      await execute('go', build, { cwd: directory, env: environment, maxBuffer: 64 << 20 });
    },
  };
}
