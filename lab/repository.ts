import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { run } from './command.js';

/** Makes a directory of Debian packages a flat repository: https://wiki.debian.org/DebianRepository/Format. */
export async function indexRepository(directory: string, suite: string): Promise<void> {
  const paragraphs: string[] = [];
  for (const name of (await readdir(directory)).toSorted()) {
    if (!name.endsWith('.deb')) {
      await rm(join(directory, name), { recursive: true });
      continue;
    }
    const content = await readFile(join(directory, name));
    const control = (await run('dpkg-deb', '--field', join(directory, name))).trim();
    const sha256 = createHash('sha256').update(content).digest('hex');
    paragraphs.push(`${control}\nFilename: ./${name}\nSize: ${content.length}\nSHA256: ${sha256}\n`);
  }
  const index = paragraphs.join('\n');
  await writeFile(join(directory, 'Packages'), index);
  // mmdebstrap asks apt for the packages of the suite by name, which stands here.
  const hash = createHash('sha256').update(index).digest('hex');
  const release = `Suite: ${suite}\nCodename: ${suite}\nDate: ${new Date().toUTCString()}\n`;
  await writeFile(join(directory, 'Release'), `${release}SHA256:\n ${hash} ${Buffer.byteLength(index)} Packages\n`);
}

/** Serves the files of directories, `/<name>/<file>`, over HTTP at one address. */
export async function serveRepositories(
  directories: Readonly<Record<string, string>>,
  address: string,
  port: number,
): Promise<Server> {
  const server = createServer((request, response) => {
    // Only plain names, so that nothing outside the directories can be named; apt encodes `:`, `+` and `~`.
    const [, name = '', file = ''] = /^\/([\w-]+)\/(?:\.\/)?([\w.%+~-]+)$/.exec(request.url ?? '') ?? [];
    const directory = directories[name];
    const path = directory && join(directory, decodeURIComponent(file).replaceAll('/', ''));
    if (!path) {
      response.writeHead(404).end();
      return;
    }
    stat(path)
      .then(({ size }) => {
        response.writeHead(200, { 'content-length': size });
        createReadStream(path)
          .on('error', () => response.destroy())
          .pipe(response);
      })
      .catch(() => response.writeHead(404).end());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, address, resolve);
  });
  return server;
}
