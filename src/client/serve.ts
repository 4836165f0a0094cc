import type { Command } from 'commander';
import { failure } from '../workflows/failures.js';
import { action, type Cli, type Session } from './cli.js';
import { parsePort } from './names.js';

interface ServeOptions {
  host: string;
  port: number;
  tlsCert?: string;
  tlsKey?: string;
  plainHttp?: boolean;
}

/** `chom serve` */
export function serveCommand(program: Command, cli: Cli): void {
  program
    .command('serve')
    .description('serve the API that tenants use with tokens, over HTTPS, until Ctrl-C')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on', parsePort, 8443)
    .option('--tls-cert <file>', 'PEM of its certificate, with those between it and the authority’s')
    .option('--tls-key <file>', 'PEM of the certificate’s private key')
    .option('--plain-http', 'HTTP instead, on loopback alone: for a proxy on this machine, or a trial')
    .addHelpText(
      'after',
      `
What it can be asked stands at /openapi.json. Who asks is known by a token: chom token create NAME.

Examples:
  chom serve --host 0.0.0.0 --tls-cert fullchain.pem --tls-key privkey.pem
  chom serve --plain-http, then: CHOM_TOKEN=chom_… chom --api http://127.0.0.1:8443 site list`,
    )
    .action(action(cli, serve));
}

async function serve(session: Session, options: ServeOptions): Promise<void> {
  const { host, port } = options;
  const tls = tlsOf(options);
  const [{ serveApi }, { interruption }] = await Promise.all([
    import('../serve/listen.js'),
    import('./interruption.js'),
  ]);
  const interrupted = interruption();
  const log = (line: string) => session.output.say(line);
  const server = await serveApi(await session.open(), { host, port, tls, log });
  log(`API  ${server.url}  (what it can be asked: ${server.url}/openapi.json)`);
  await interrupted.promise;
  await server.close();
}

/** @throws InvalidInput */
function tlsOf({ tlsCert: cert, tlsKey: key, plainHttp = false }: ServeOptions) {
  if (cert !== undefined && key !== undefined && !plainHttp) return { cert, key };
  if (cert === undefined && key === undefined && plainHttp) return null;
  throw failure('InvalidInput', 'Either --tls-cert and --tls-key, or --plain-http says how the API is served', {
    cause: 'tokens must not travel in the clear',
    next: 'chom serve --help',
  });
}
