import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { attempt, run } from '../../lab/command.js';
import { installPackages } from '../../lab/packages.js';
import { cacheDirectory } from '../../src/client/programs/cache.js';

/** A Docker daemon of the tests' own. Its images stay in the cache. */
export interface Docker {
  /** Of the daemon. */
  pid: number;
  /** For `DOCKER_HOST`. */
  host: string;
  /** Runs `docker` with these words; what it printed. Throws unless it succeeds. */
  docker(...words: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** Of TEST-NET-1 (RFC 5737): there, and nowhere else, somebody answers. */
const NAMES = '192.0.2.53';
/** Says of each name that there is none (RFC 1035: a response, RCODE 3). */
const NOBODY = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (question, { port, address }) => {
    question[2] |= 0x80; question[3] = 0x83; question.writeUInt16BE(0, 10);
    socket.send(question, port, address);
  });
  socket.bind(53, "${NAMES}");
`;

/**
 * `networks: 'own'`: containers have networks, in a network namespace that goes with the daemon, and no way out; ports are published
 * there. `'none'`: what is built uses this machine's (`--network host`). Neither changes anything of this machine's own network.
 */
export async function startDocker(networks: 'own' | 'none'): Promise<Docker> {
  await installPackages({ dockerd: 'docker.io', docker: 'docker.io', iptables: 'iptables' });
  const data = join(cacheDirectory(), 'docker');
  await mkdir(data, { recursive: true });
  const directory = await mkdtemp(join(tmpdir(), 'chom-docker-'));
  const host = `unix://${directory}/socket`;
  const where = [
    '--data-root',
    data,
    '--exec-root',
    `${directory}/exec`,
    '--pidfile',
    `${directory}/pid`,
    '--host',
    host,
  ];
  // The daemon is its PID namespace's first process: however it ends, the kernel ends all that it has started, and their mounts go too.
  const enclosed = [
    'unshare',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    ...(networks === 'own' ? ['--net'] : []),
  ];
  // Nobody there knows other names than the containers': gRPC asks for more of each, and would wait for the answer.
  const up = `ip link set lo up && ip address add ${NAMES} dev lo && { node -e '${NOBODY}' & exec dockerd --dns ${NAMES} "$@"; }`;
  const started = ['sh', '-c', up, 'dockerd'];
  const without = ['dockerd', '--bridge=none', '--iptables=false', '--ip-forward=false', '--ip-masq=false'];
  // `unshare` waits with SIGTERM blocked: when the tests are killed, it has to be killed too.
  const words = ['--pdeathsig', 'KILL', '--', ...enclosed, '--', ...(networks === 'own' ? started : without), ...where];
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
  const daemon = spawn('setpriv', words, { stdio: ['ignore', 'ignore', 'pipe'], env });
  let log = '';
  daemon.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-8000)));
  const hasEnded = () => daemon.exitCode !== null || daemon.signalCode !== null;
  const stop = async () => {
    const ended = hasEnded() || once(daemon, 'exit');
    const first = await readFile(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8').catch(() => '');
    // In order, as its images are kept.
    await attempt('kill', ['-TERM', ...first.trim().split(' ').filter(Boolean)]);
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  const deadline = Date.now() + 120_000;
  while ((await attempt('docker', ['--host', host, 'version'])).exit !== 0) {
    if (hasEnded() || Date.now() > deadline) {
      await stop();
      throw new Error(`dockerd did not start:\n${log}`);
    }
    await sleep(200);
  }
  return { pid: daemon.pid ?? 0, host, docker: async (...more) => await run('docker', '--host', host, ...more), stop };
}
