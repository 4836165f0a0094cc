import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Program, type Source, findProgram } from '../src/client/program.js';
import { run } from './command.js';
import { downloadPackages } from './debian-packages.js';
import { goBuild } from './go-build.js';

/** Debian 13's own, which runs on Debian 12 too; otherwise built. */
const restic: Program = {
  name: 'restic',
  setting: 'CHOM_LAB_RESTIC',
  cached: 'lab-restic-0.18',
  sources: [
    fromDebian('restic', 'usr/bin/restic', 'restic'),
    goBuild('github.com/restic/restic', 'v0.18.1', 'cmd/restic', 'restic'),
  ],
};

const restServer: Program = {
  name: 'rest-server',
  setting: 'CHOM_LAB_REST_SERVER',
  cached: 'lab-rest-server-1',
  sources: [
    fromDebian('restic-rest-server', 'usr/bin/restic-rest-server', 'rest-server'),
    goBuild('github.com/restic/rest-server', 'v0.14.0', 'cmd/rest-server', 'rest-server'),
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
