import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { randomBytes } from 'node:crypto';
import type { TestProject } from 'vitest/node';
import { freePort } from '../../lab/ports.js';
import { temporalServerPrograms } from '../../lab/temporal-programs.js';
import { query, startPostgres } from '../inventory/postgres.js';
import { DATABASES, type OnPostgres, TEMPLATE } from './temporal.js';

/** Starts the PostgreSQL of a run of the tests, with databases that Temporal's are copied from. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { server: program, schemaTool } = await temporalServerPrograms();
  const port = await freePort();
  const postgres = await startPostgres(port);
  const password = randomBytes(12).toString('hex');
  const on: OnPostgres = { program, port, password, url: postgres.url };
  try {
    await query(on.url, `create role temporal login password '${password}'`);
    await Promise.all(DATABASES.map(async (name) => await makeTables(on, schemaTool, name)));
  } catch (error) {
    await postgres.stop();
    throw error;
  }
  project.provide('onPostgres', on);
  return postgres.stop;
}

/** As packaging/compose/temporal/schema.sh does. */
async function makeTables({ port, password, url }: OnPostgres, tool: string, name: string): Promise<void> {
  const database = TEMPLATE + name;
  await query(url, `create database ${database} owner temporal`);
  const where = ['--ep', '127.0.0.1', '--port', String(port), '--user', 'temporal', '--db', database];
  const run = async (...more: string[]) => {
    const env = { ...process.env, SQL_PASSWORD: password };
    await promisify(execFile)(tool, ['--plugin', 'postgres12', ...where, ...more], { env, maxBuffer: 1 << 24 });
  };
  await run('setup-schema', '--version', '0.0');
  await run('update-schema', '--schema-name', `postgresql/v12/${name}`);
}
