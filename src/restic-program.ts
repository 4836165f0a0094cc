import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { chmod, open, rename, rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { releaseContent } from './activities/release.js';
import { resticRelease } from './activities/restic-release.js';
import type { Program, Source } from './client/program.js';
import type { Config } from './config.js';
import { isRecentRestic } from './host/restic-install.js';

const run = promisify(execFile);

/** The restic with which CHOM's own machine maintains storages that no enrolled server keeps. */
export function resticProgram(config: Config): Program {
  return {
    name: 'restic',
    setting: 'CHOM_RESTIC',
    cached: `restic-${config.resticSha256?.slice(0, 16) ?? '0.18.1'}`,
    accept: isRecent,
    // What is published for servers runs on Linux.
    sources: process.platform === 'linux' ? [published(config)] : [],
  };
}

async function isRecent(path: string): Promise<boolean> {
  const { stdout } = await run(path, ['version'], { timeout: 20_000 });
  return isRecentRestic(/^restic ([0-9.]+)/.exec(stdout)?.[1]);
}

/** The release that servers get whose own restic is too old. */
function published(config: Config): Source {
  return {
    doing: 'downloading the release that CHOM knows (about 10 MB, once)',
    async fill(directory) {
      const release = resticRelease(config, process.arch === 'x64' ? 'amd64' : process.arch);
      const [packed, path] = [join(directory, 'packed'), join(directory, 'restic')];
      const hash = createHash('sha256');
      const content = await releaseContent(config.home, release, AbortSignal.timeout(600_000));
      await pipeline(Readable.from(hashing(content, hash)), createWriteStream(packed));
      if (hash.digest('hex') !== release.sha256) throw new Error('what was kept of it is not what was published');
      if (await isPacked(packed)) {
        const { stdout } = await run('bzip2', ['-dc', packed], { encoding: 'buffer', maxBuffer: 256 << 20 });
        await pipeline(Readable.from([stdout]), createWriteStream(path));
        await rm(packed);
      } else await rename(packed, path);
      await chmod(path, 0o755);
      if (!(await isRecent(path))) throw new Error('it is too old');
    },
  };
}

async function* hashing(content: AsyncIterable<Uint8Array>, hash: { update(some: Uint8Array): unknown }) {
  for await (const some of content) {
    hash.update(some);
    yield some;
  }
}

async function isPacked(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    return (await file.read(Buffer.alloc(3), 0, 3, 0)).buffer.toString() === 'BZh';
  } finally {
    await file.close();
  }
}
