import type { Command } from 'commander';
import { failure } from '../workflows/failures.js';
import type { Cli, Session } from './cli.js';
import type { GlobalOptions } from './global-options.js';
import { callApi, remoteApi, uploadTo } from './remote-api.js';
import { REMOTE_VERBS } from './remote-verbs.js';

/** A command's name as it is typed, without `chom`. */
export function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}`.trim() : '';
}

/** They are about the command line itself. */
const HERE = ['completion', 'complete', 'config show'];

/** Of what the API has no word for. */
const NOT_OVER_API = ['tenant', 'profile', 'taskQueue', 'priority', 'at', 'in'] as const;

/** The API that a command works over; null: it works itself. */
export function apiOf(command: Command, environment: Cli['environment']): string | null {
  const address = command.optsWithGlobals<GlobalOptions>().api ?? environment['CHOM_API'] ?? '';
  return address === '' || HERE.includes(nameOf(command)) ? null : address;
}

/** @throws Forbidden the API has no such verb; InvalidInput it has no such option */
export function refuseNotOverApi(command: Command, environment: Cli['environment']): void {
  const address = apiOf(command, environment);
  if (address === null) return;
  const globals = command.optsWithGlobals<GlobalOptions>();
  const given = NOT_OVER_API.find((name) => globals[name] !== undefined);
  if (REMOTE_VERBS[nameOf(command)] !== undefined) {
    if (given === undefined) return;
    const option = `--${given === 'taskQueue' ? 'task-queue' : given}`;
    throw failure('InvalidInput', `${option} is nothing that the API takes`, {
      cause: 'the token says who the tenant is, and the administrator when and where operations run',
      next: `leave ${option} out`,
    });
  }
  throw failure('Forbidden', `chom ${nameOf(command)} is the administrator’s, and the API does not have it`, {
    cause: `the command line works over ${address}`,
    next: 'on CHOM’s own machine, without --api and CHOM_API; or ask the administrator',
  });
}

/** Runs a command over the API. Returns the exit status. @throws what the same command throws elsewhere; Unreachable */
export async function runRemotely(session: Session, command: Command, address: string): Promise<number> {
  const verb = REMOTE_VERBS[nameOf(command)];
  if (verb === undefined) throw failure('Bug', 'No such verb');
  const { output } = session;
  const api = remoteApi(address, session.environment);
  const options = command.opts();
  const words = command.processedArgs.flat().filter((word): word is string => typeof word === 'string');
  const document = await callApi(api, await verb.call(words, options, async (content) => await uploadTo(api, content)));
  const { operation } = document;
  if ((verb.asks || verb.follows) && typeof operation === 'string') {
    const { followRemotely } = await import('./remote-follow.js');
    return await followRemotely(session, api, operation, options);
  }
  output.data(document, verb.text?.(document) ?? '');
  return 0;
}
