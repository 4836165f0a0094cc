import { createHash } from 'node:crypto';
import { chmod, readdir, readFile, readlink, rm, symlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { cacheDirectory, filledOnce } from '../src/client/programs/cache.js';
import { run } from './command.js';
import { downloadPackages } from './debian-packages.js';

/** A WordPress to install, served on loopback as wordpress.org serves its releases. */
export interface WordpressServer {
  /** What `CHOM_WORDPRESS_URL` and `CHOM_WORDPRESS_SHA256` are set to. */
  url: string;
  sha256: string;
  close(): Promise<void>;
}

/** Debian's WordPress is spread over packages that link to each other; these are all that it needs to run. */
const PACKAGES = [
  'wordpress',
  'wordpress-theme-twentytwentyfive',
  'php-getid3',
  'libjs-cropper',
  'libjs-lodash',
  'libjs-underscore',
];

/** Serves the archive, which is made of Debian's packages when it is not in the cache (about 20 s). */
export async function serveWordpress(): Promise<WordpressServer> {
  const file = await wordpressArchive();
  const content = await readFile(file);
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/gzip', 'content-length': content.length });
    response.end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/wordpress.tar.gz`,
    sha256: createHash('sha256').update(content).digest('hex'),
    close: async () => await close(server),
  };
}

/** Path of the archive in the cache: one directory, `wordpress`, as in a release. */
export async function wordpressArchive(): Promise<string> {
  const directory = join(cacheDirectory(), 'wordpress', 'trixie-1');
  await filledOnce(directory, make);
  return join(directory, 'wordpress.tar.gz');
}

async function make(directory: string): Promise<void> {
  process.stderr.write("lab: making an archive of Debian's WordPress (about 20 s, once)\n");
  const apt = join(directory, 'apt');
  const root = join(directory, 'root');
  for (const file of await downloadPackages(apt, 'trixie', PACKAGES)) await run('dpkg-deb', '-x', file, root);
  const share = join(root, 'usr/share');
  await resolveLinks(root, root);
  // What the packages expect of others, such as the bundle of ca-certificates, which PHP has of its own.
  await run('find', root, '-xtype', 'l', '-delete');
  await rm(join(share, 'wordpress/.htaccess'), { force: true });
  // Debian's own, which looks for a file per host name.
  await rm(join(share, 'wordpress/wp-config.php'), { force: true });
  await run('tar', '-C', share, '-h', '-czf', join(directory, 'wordpress.tar.gz'), 'wordpress');
  for (const done of [apt, root]) await rm(done, { recursive: true });
  await chmod(join(directory, 'wordpress.tar.gz'), 0o644);
}

/** Lets absolute links of an unpacked package lead to what lies below `root`. */
async function resolveLinks(root: string, directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await resolveLinks(root, path);
    if (!entry.isSymbolicLink()) continue;
    const target = await readlink(path);
    if (target.startsWith('/')) {
      await rm(path);
      await symlink(join(root, target), path);
    }
  }
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
