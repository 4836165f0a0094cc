import { proxyActivities } from '@temporalio/workflow';
import type { storageQuestions } from '../activities/storage-questions.js';
import { failure } from './failures.js';
import type { Report } from './inspection.js';
import { isUnreadable } from './unreadable.js';

type Questions = ReturnType<typeof storageQuestions>;

const quick = proxyActivities<Questions>({ startToCloseTimeout: '90 seconds', retry: { maximumAttempts: 2 } });
/** Which of so many equal parts of the data are read, or all of them; null: the part whose turn it is. */
export type ReadData = { part: number; parts: number } | 'all' | null;
export interface CheckOptions {
  readData?: ReadData;
}

/** All of a repository's structure is read, and a part of its data. Changing nothing, it may be begun anew. */
const long = proxyActivities<Questions>({
  startToCloseTimeout: '12 hours',
  heartbeatTimeout: '10 seconds',
  retry: { maximumAttempts: 3 },
});

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
export async function checkRepositories(storage: string, options: CheckOptions = {}): Promise<Report> {
  return await long.checkRepositories(readable(storage), readable(options));
}

function readable<Value>(value: Value): Value {
  if (isUnreadable(value)) throw failure('Forbidden', `What to look at is ${value.chomUnreadable}`);
  return value;
}
