import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Program, findProgram } from '../src/client/program.js';
import { goBuild } from './go-build.js';

const VERSION = 'v2.40.3';

/** Docker Compose by itself; one on PATH has to be a second version too. */
const compose: Program = {
  name: 'docker-compose',
  setting: 'CHOM_LAB_DOCKER_COMPOSE',
  cached: `docker-compose-${VERSION.slice(1)}`,
  accept: async (path) => {
    const { stdout } = await promisify(execFile)(path, ['version', '--short'], { timeout: 20_000 });
    return /^v?2\./.test(stdout);
  },
  sources: [goBuild('github.com/docker/compose/v2', VERSION, 'cmd', 'docker-compose')],
};

/** Path of the program. */
export async function composeProgram(): Promise<string> {
  return await findProgram(compose);
}
