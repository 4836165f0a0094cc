import type { Command } from 'commander';
import { withSuggestion } from './did-you-mean.js';
import { askingOf, settingsOf, type GlobalOptions } from './global-options.js';
import { openChom, type Chom } from './open.js';
import { openOutput, type Output, outputForm } from './output.js';
import { apiOf, runRemotely } from './remote.js';

type Terminal = { isTTY?: boolean; columns?: number; rows?: number };

/** What the command line is run with: in a terminal the process's own. */
export interface Cli {
  environment: Readonly<Record<string, string | undefined>>;
  stdin: NodeJS.ReadableStream & Terminal;
  stdout: NodeJS.WritableStream & Terminal;
  stderr: NodeJS.WritableStream & Terminal;
  /** What the process ends with. */
  exitStatus: number;
}

/** One command while it runs. */
export interface Session {
  cli: Cli;
  /** The settings, as far as the command line does not say otherwise. */
  environment: Cli['environment'];
  output: Output;
  /** Opens CHOM at the first call, with more settings; what was given is checked before. It is closed when the command ends. */
  open(more?: Readonly<Record<string, string>>): Promise<Chom>;
}

/** A commander action from a function that returns the exit status; nothing is 0. */
export function action<Args extends unknown[]>(
  cli: Cli,
  run: (session: Session, ...args: Args) => Promise<number | void>,
): (...args: [...Args, Command]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command;
    const globals = command.optsWithGlobals<GlobalOptions>();
    const environment = { ...cli.environment, ...settingsOf(globals) };
    const asking = askingOf(globals);
    let opened: Promise<Chom> | undefined;
    const session: Session = {
      cli,
      environment,
      output: await openOutput(cli, outputForm(globals)),
      open: async (more = {}) =>
        await (opened ??= openChom({ ...environment, ...more }).then((chom) => ({ ...chom, asking }))),
    };
    const api = apiOf(command, cli.environment);
    if (api !== null) {
      cli.exitStatus = await runRemotely(session, command, api);
      return;
    }
    try {
      cli.exitStatus = (await run(session, ...(all.slice(0, -1) as Args))) ?? 0;
    } catch (error) {
      throw await withSuggestion(session, error);
    } finally {
      await opened?.then((chom) => chom.close()).catch(() => undefined);
    }
  };
}
