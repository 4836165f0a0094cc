import type { Command } from 'commander';
import type { Cli } from './cli.js';
import type { DevOptions } from './dev.js';
import { settingsOf, type GlobalOptions } from './global-options.js';
import { parsePort } from './names.js';
import { versioningCommands } from './worker.js';

/**
 * `chom dev`, `chom worker`, `chom codec-server`: what runs in the foreground until Ctrl-C. Loaded when it is asked for:
 * Temporal's client is half of what the other commands would spend on starting.
 */
export function foregroundCommands(program: Command, cli: Cli): void {
  const run = async () => await import('./dev.js');
  const worker = program
    .command('worker')
    .description('run a worker against the configured Temporal, until Ctrl-C')
    .addHelpText('after', '\nExample:\n  TEMPORAL_ADDRESS=temporal.internal:7233 chom worker')
    .action(async () => {
      cli.exitStatus = await (await run()).runWorker(environmentOf(program));
    });
  versioningCommands(worker, cli);
  program
    .command('codec-server')
    .description('open sealed payloads for the Temporal UI, on loopback, until Ctrl-C')
    .option('--port <port>', 'port to listen on', parsePort, 8234)
    .option('--host <address>', 'address to listen on; another than loopback only in a container', '127.0.0.1')
    .option('--ui <origin...>', 'addresses of the Temporal UI', ['http://localhost:8233', 'http://127.0.0.1:8233'])
    .addHelpText('after', '\nExample:\n  chom codec-server --ui http://localhost:8080')
    .action(
      async (options: { port: number; host: string; ui: string[] }) => await (await run()).runCodecServer(options),
    );
  program
    .command('dev')
    .description('run Temporal, the codec server and a worker on this machine, until Ctrl-C')
    .option('--port <port>', 'port of the Temporal server', parsePort, 7233)
    .option('--ui-port <port>', 'port of the Temporal UI', parsePort, 8233)
    .option('--codec-port <port>', 'port of the codec server, which opens payloads for the UI', parsePort, 8234)
    .addHelpText('after', '\nExample:\n  chom dev            then, in another terminal: chom server add web1 --host …')
    .action(async (options: DevOptions) => await (await run()).runDev(options, environmentOf(program)));
}

/** The process's own settings, as far as the command line does not say otherwise. */
function environmentOf(program: Command): NodeJS.ProcessEnv {
  return { ...process.env, ...settingsOf(program.opts<GlobalOptions>()) };
}
