import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import type { Host, Job, Output } from '../../src/host/host.js';
import type { Login } from '../../src/host/login.js';
import { createHosts, type Hosts } from '../../src/host/pool.js';
import { sh } from '../../src/host/shell.js';

/** How CHOM logs in to a host of the lab. */
export function loginOf(host: LabHost): Login {
  const { name, address, sshPort: port, user, hostKey } = host;
  return { name, address, port, user, hostKey, privateKey: Buffer.from(host.privateKey), keyId: 'lab' };
}

/** CHOM's hands on the hosts of a lab, by their names. `said` is what it logged. */
export function reach(hosts: readonly LabHost[], change: Partial<Login> = {}): Hosts & { said: string[] } {
  const said: string[] = [];
  const log = { info: (_: object, message: string): void => void said.push(message) };
  const resolve = async (name: string): Promise<Login> => {
    const host = hosts.find((one) => one.name === name);
    if (host === undefined) throw new Error(`no host ${name}`);
    return await Promise.resolve({ ...loginOf(host), ...change });
  };
  return { ...createHosts({ resolve, log }), said };
}

let made = 0;

/** A job of an operation of its own, later than all before it, so that tests on one host do not meet. */
export function jobOf(
  change: Partial<Job> & { root?: string; epoch?: number; scope?: string; controller?: string } = {},
): Job {
  made += 1;
  const {
    root = `op-${process.pid}-${made}`,
    epoch = made,
    scope = `site/t${made}`,
    controller = 'controller-1',
    ...job
  } = change;
  return {
    claim: { controller, scope, root, epoch },
    operation: root,
    step: '1/part',
    attempt: 'run-1/1',
    act: sh`:`,
    limitSeconds: 60,
    ...job,
  };
}

/** A file on the host whose lines count effects, and a job that adds one and then waits to be let go on. */
export function effects(host: LabHost, name: string) {
  const file = `/root/effects-${name}`;
  const gate = `/root/go-${name}`;
  return {
    file,
    /** Adds a line that survives a power cut, then waits for `letGo`, and says `done`. */
    act: sh`echo $$ >>${file} && sync ${file} /root && : >${file}.begun; while [ ! -e ${gate} ]; do sleep 0.05; done; echo done`,
    /** It is already so when one line is there. */
    check: sh`[ -s ${file} ] && echo found`,
    async count(): Promise<number> {
      const { stdout } = await host.exec(`cat ${file} 2>/dev/null | wc -l`);
      return Number(stdout);
    },
    begun: async (): Promise<unknown> =>
      await poll(`${name} has begun`, 60_000, async () => (await host.exec(`[ -e ${file}.begun ]`)).exit === 0),
    letGo: async (): Promise<unknown> => await host.exec(`touch ${gate}`),
    /** Whether the process that wrote the last line lives. */
    async lives(): Promise<boolean> {
      return (await host.exec(`kill -0 "$(tail -n 1 ${file})" 2>/dev/null`)).exit === 0;
    },
  };
}

/** Starts a job and lets go of it, as a controller that dies does. */
export async function abandon(host: Host, job: Job, once: () => Promise<unknown>): Promise<void> {
  const detach = new AbortController();
  const running = host.job(job, { detach: detach.signal }).catch((error: unknown) => error);
  await once();
  detach.abort();
  await running;
}

/** Does a job in a process of its own, which can be killed. */
export function controllerProcess(
  host: LabHost,
  { act, check, ...job }: Job,
): { pid: ChildProcess; output: Promise<Output> } {
  const program = fileURLToPath(new URL('controller.ts', import.meta.url));
  const pid = spawn(process.execPath, ['--import', 'tsx', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const scripts = { act: act.script.toString(), ...(check && { check: check.script.toString() }) };
  pid.stdin.end(
    JSON.stringify({ login: { ...loginOf(host), privateKey: host.privateKey }, job: { ...job, ...scripts } }),
  );
  const output = new Promise<Output>((resolve, reject) => {
    let said = '';
    pid.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    pid.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(said) as Output);
      else reject(new Error(`the controller ended with ${code ?? signal}`));
    });
  });
  return { pid, output };
}
