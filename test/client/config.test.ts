import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { variables } from '../../src/config.js';
import { runHere, startCommandLine, type CommandLine } from './command-line.js';

let line: CommandLine;
beforeAll(async () => {
  line = await startCommandLine();
});
afterAll(async () => await line?.close());

test('config show says every setting, its value and where that comes from, and no secret', async () => {
  const secrets = {
    ...{ CHOM_ACME_EAB_KID: 'ours', CHOM_ACME_EAB_SECRET: 'opensesameopensesame' },
    ...{ CHOM_DATABASE_URL: 'postgres://chom:opensesame@db.example/chom', CHOM_SOURCE_PASSWORD: 'opensesame' },
    ...{ CHOM_SMTP_URL: 'smtp://me:opensesame@mail.example:587', TEMPORAL_API_KEY: 'opensesame' },
  };
  const words = ['config', 'show', '--json', '--tenant', 'acme', '--task-queue', 'other'];
  const ran = await runHere(words, { ...line.environment, ...secrets, CHOM_TIMEZONE: 'Europe/Berlin' });
  expect(ran).toMatchObject({ status: 0, stderr: '' });
  expect(ran.stdout).not.toContain('opensesame');
  const { settings } = JSON.parse(ran.stdout) as { settings: { variable: string; value: string; source: string }[] };
  const of = (variable: string) => settings.find((one) => one.variable === variable);
  for (const { variable } of variables()) expect(of(variable)).toBeDefined();
  expect(of('CHOM_TIMEZONE')).toMatchObject({ value: 'Europe/Berlin', source: 'environment' });
  expect(of('CHOM_TENANT')).toMatchObject({ value: 'acme', source: 'command line' });
  expect(of('CHOM_TASK_QUEUE')).toMatchObject({ value: 'other', source: 'command line' });
  expect(of('CHOM_LOG_LEVEL')).toMatchObject({ value: 'info', source: 'default' });
  expect(of('CHOM_DATABASE_URL')).toMatchObject({ value: 'postgres://chom:********@db.example/chom' });
  expect(of('TEMPORAL_ADDRESS')).toMatchObject({ source: 'environment' });
  expect(of('CHOM_ACME_CONTACT')).toMatchObject({ value: null });
});

test('a setting may stand in a file, and what is set itself goes before', async () => {
  const file = join(line.home, 'secret');
  await writeFile(file, 'smtp://me:opensesame@mail.example:587\n');
  const shown = async (more: Record<string, string>) => {
    const ran = await runHere(['config', 'show', '--json'], { ...line.environment, CHOM_SMTP_URL_FILE: file, ...more });
    const { settings } = JSON.parse(ran.stdout) as { settings: { variable: string }[] };
    return settings.find(({ variable }) => variable === 'CHOM_SMTP_URL');
  };
  expect(await shown({})).toMatchObject({ value: 'smtp://me:********@mail.example:587', source: 'file' });
  expect(await shown({ CHOM_SMTP_URL: 'smtp://other.example' })).toMatchObject({ source: 'environment' });
  const missing = { ...line.environment, CHOM_SMTP_URL_FILE: join(line.home, 'none') };
  expect(await runHere(['config', 'show'], missing)).toMatchObject({
    status: 2,
    stderr: expect.stringContaining(`CHOM_SMTP_URL_FILE: ${line.home}/none cannot be read (ENOENT)`) as string,
  });
});
