import { createHosts } from '../../src/host/pool.js';
import type { Job } from '../../src/host/host.js';
import type { Login } from '../../src/host/login.js';

/**
 * A controller in a process of its own: does the job that it reads from stdin and prints its output. Tests run several
 * of them at once and kill them.
 */
const order = JSON.parse(await read()) as { login: Omit<Login, 'privateKey'> & { privateKey: string }; job: JobText };

/** A job as JSON: scripts are text. */
interface JobText extends Omit<Job, 'act' | 'check' | 'secrets'> {
  act: string;
  check?: string;
}

async function read(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const { login, job } = order;
const hosts = createHosts({
  resolve: () => Promise.resolve({ ...login, privateKey: Buffer.from(login.privateKey) }),
  log: { info: () => undefined },
});
const script = (text: string): Job['act'] => ({ script: Buffer.from(text) });
const { act, check, ...rest } = job;
const host = await hosts.for(login.name);
const output = await host.job({ ...rest, act: script(act), ...(check !== undefined && { check: script(check) }) });
process.stdout.write(JSON.stringify(output));
await hosts.close();
