import type { Command } from 'commander';
import { failure } from '../workflows/failures.js';
import type { Session } from './cli.js';
import { callApi, remoteApi } from './remote-api.js';
import { REMOTE_VERBS } from './remote-verbs.js';

/** A command's name as it is typed, without `chom`. */
export function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}`.trim() : '';
}

/** @throws Forbidden the API has no such verb */
export function refuseAdministrators(command: Command, address: string): void {
  if (REMOTE_VERBS[nameOf(command)] !== undefined) return;
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
  const document = await callApi(api, await verb.call(words, options));
  const { operation } = document;
  if ((verb.asks || verb.follows) && typeof operation === 'string') {
    const { followRemotely } = await import('./remote-follow.js');
    return await followRemotely(session, api, operation, options);
  }
  output.data(document, verb.text?.(document) ?? '');
  return 0;
}
