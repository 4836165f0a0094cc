import { proxyActivities } from '@temporalio/workflow';
import type { storageQuestions } from '../activities/storage-questions.js';
import { failure } from './failures.js';
import type { Report } from './inspection.js';
import { isUnreadable } from './unreadable.js';

type Questions = ReturnType<typeof storageQuestions>;

const quick = proxyActivities<Questions>({ startToCloseTimeout: '90 seconds', retry: { maximumAttempts: 2 } });
/** All of a repository's structure is read. */
const long = proxyActivities<Questions>({ startToCloseTimeout: '2 hours', retry: { maximumAttempts: 1 } });

/** The host key that a storage offers over SFTP. No operation: nothing is written. */
export async function learnStorageKey(at: { address: string; port: number }): Promise<{
  hostKey: string;
  fingerprint: string;
}> {
  return await quick.learnStorageKey(readable(at));
}

/** Makes the SSH key of a storage, or finds it, and returns its public half. */
export async function makeStorageLogin(storage: string): Promise<string> {
  return await quick.makeStorageLogin(readable(storage));
}

/** Looks through the repositories of a storage, where they lie, and changes nothing. */
export async function checkRepositories(storage: string): Promise<Report> {
  return await long.checkRepositories(readable(storage));
}

function readable<Value>(value: Value): Value {
  if (isUnreadable(value)) throw failure('Forbidden', `What to look at is ${value.chomUnreadable}`);
  return value;
}
