import { readFile } from 'node:fs/promises';
import { createSecureContext, type Server } from 'node:tls';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';

/** PEM files. */
export interface TlsFiles {
  cert: string;
  key: string;
}

interface Pem {
  cert: Buffer;
  key: Buffer;
}

const CHECK_MS = 60_000;

/** @throws InvalidInput the files cannot be read, or do not belong together */
export async function readTls({ cert, key }: TlsFiles): Promise<Pem> {
  const read = async (file: string, option: string) =>
    await readFile(file).catch((error: unknown) => {
      throw failure('InvalidInput', `The file of ${option} cannot be read`, { cause: messageOf(error) });
    });
  const pem = { cert: await read(cert, '--tls-cert'), key: await read(key, '--tls-key') };
  try {
    createSecureContext(pem);
  } catch (error) {
    throw failure('InvalidInput', 'The files of --tls-cert and --tls-key are no certificate and its key', {
      cause: messageOf(error),
    });
  }
  return pem;
}

/**
 * Serves a renewed certificate within a minute of its coming, to new connections. Files that are half written, or wrong, are
 * told of once, and what was served is served on. Returns how to end it.
 */
export function renewTls(
  server: Pick<Server, 'setSecureContext'>,
  files: TlsFiles,
  { served, log, everyMs = CHECK_MS }: { served: Pem; log(line: string): void; everyMs?: number },
): () => void {
  let [now, said] = [served, ''];
  const look = async () => {
    const pem = await readTls(files);
    if (pem.cert.equals(now.cert) && pem.key.equals(now.key)) return;
    server.setSecureContext(pem);
    now = pem;
    log('The certificate was renewed');
  };
  const timer = setInterval(() => {
    look().then(
      () => (said = ''),
      (error: unknown) => {
        const text = messageOf(error);
        if (text !== said) log(`The certificate that was served before is served on: ${text}`);
        said = text;
      },
    );
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
