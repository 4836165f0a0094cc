import { execFile, spawn } from 'node:child_process';
import { createServer } from 'node:https';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** A git repository over HTTPS, by git's own server program. */
export interface GitServer {
  /** `https://<name>:<port>/site.git` */
  readonly url: string;
  /** PEM of its certificate, which signs itself. */
  readonly certificate: string;
  /** The paths that were asked for. */
  readonly asked: readonly string[];
  /** Commits a file to the branch `main`; gives the commit's id. */
  commit(path: string, content: string): Promise<string>;
  close(): Promise<void>;
}

/** Serves an empty repository at an address of this machine, under a name. */
export async function startGitServer(address: string, name: string): Promise<GitServer> {
  const directory = await mkdtemp(join(tmpdir(), 'chom-git-'));
  const environment = { PATH: process.env['PATH'], HOME: directory, GIT_CONFIG_NOSYSTEM: '1' };
  const run = async (program: string, ...words: string[]): Promise<string> =>
    (await promisify(execFile)(program, words, { cwd: directory, env: environment })).stdout;
  await run('git', 'init', '-q', '--bare', '-b', 'main', 'site.git');
  // A commit may then be asked for by its id, as the large hosters allow.
  await run('git', '-C', 'site.git', 'config', 'uploadpack.allowReachableSHA1InWant', 'true');
  await run('git', 'clone', '-q', 'site.git', 'work');
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'key.pem'];
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-days', '2'];
  await run('openssl', 'req', '-x509', ...key, ...names, '-out', 'certificate.pem');
  const certificate = await readFile(join(directory, 'certificate.pem'), 'utf8');
  const asked: string[] = [];
  const options = { key: await readFile(join(directory, 'key.pem')), cert: certificate };
  const server = createServer(options, (request, response) => {
    asked.push(request.url ?? '');
    answer(directory, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://${name}:${port}/site.git`,
    certificate,
    asked,
    async commit(path, content) {
      await writeFile(join(directory, 'work', path), content);
      await run('git', '-C', 'work', 'add', '.');
      const author = ['-c', 'user.name=lab', '-c', 'user.email=lab@lab.test'];
      await run('git', '-C', 'work', ...author, 'commit', '-q', '-m', `Write ${path}`);
      await run('git', '-C', 'work', 'push', '-q', 'origin', 'HEAD:main');
      return (await run('git', '-C', 'work', 'rev-parse', 'HEAD')).trim();
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** git-http-backend(1) as the CGI program (RFC 3875) that it is. */
function answer(root: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'https://git');
  const backend = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'],
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      REQUEST_METHOD: request.method,
      PATH_INFO: pathname,
      QUERY_STRING: searchParams.toString(),
      CONTENT_TYPE: request.headers['content-type'],
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'],
    },
  });
  request.pipe(backend.stdin);
  const chunks: Buffer[] = [];
  backend.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  backend.on('close', () => {
    const reply = Buffer.concat(chunks);
    const end = reply.indexOf('\r\n\r\n');
    for (const line of reply.toString('latin1', 0, end).split('\r\n')) {
      const [name = '', value = ''] = line.split(': ');
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10);
      else if (name !== '') response.setHeader(name, value);
    }
    response.end(reply.subarray(end + 4));
  });
}
