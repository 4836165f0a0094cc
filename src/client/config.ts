import type { Command } from 'commander';
import { readConfig, variables } from '../config.js';
import { action, type Cli, type Session } from './cli.js';
import { table } from './text.js';

/** A setting, where its value comes from, and the value; null: none. */
interface Setting {
  variable: string;
  value: string | null;
  source: 'environment' | 'file' | 'command line' | 'default' | 'profile';
}

/** Passwords stand in these. */
const SECRET = new Set([
  'CHOM_CODEC_TOKEN',
  'CHOM_SOURCE_PASSWORD',
  'CHOM_TOKEN',
  'TEMPORAL_API_KEY',
  'CHOM_ACME_EAB_SECRET',
  'CHOM_ACME_FALLBACK_EAB_SECRET',
]);

/** `chom config …` */
export function configCommand(program: Command, cli: Cli): void {
  const config = program.command('config').description('how this CHOM is set up');
  config
    .command('show')
    .description('every setting, its value, and where it comes from; secrets are not shown')
    .addHelpText('after', '\nExample:\n  chom config show --json')
    .action(action(cli, show));
}

async function show({ cli, environment, output }: Session): Promise<void> {
  const config = readConfig(environment);
  const settings: Setting[] = variables().map(({ name, variable }) => {
    const value = config[name];
    return { variable, value: value === undefined ? null : shown(variable, String(value)), source: from(variable) };
  });
  const { temporalSettings } = await import('./connection.js');
  const { connectionOptions, namespace, configured } = temporalSettings(environment);
  const { address, tls, apiKey } = connectionOptions;
  const temporal = (variable: string, value: string | null): Setting => {
    const source = from(variable);
    return { variable, value, source: source === 'default' && configured ? 'profile' : source };
  };
  const ofApi = (['CHOM_API', 'CHOM_TOKEN'] as const).map((variable): Setting => {
    const value = environment[variable] || null;
    return { variable, value: value && shown(variable, value), source: from(variable) };
  });
  const profile = environment['TEMPORAL_PROFILE'] || null;
  settings.push(
    ...ofApi,
    temporal('TEMPORAL_ADDRESS', address ?? null),
    temporal('TEMPORAL_NAMESPACE', namespace),
    { variable: 'TEMPORAL_PROFILE', value: profile, source: from('TEMPORAL_PROFILE') },
    temporal('TEMPORAL_TLS', tls ? 'on' : 'off'),
    temporal('TEMPORAL_API_KEY', apiKey === undefined ? null : shown('TEMPORAL_API_KEY', 'set')),
  );
  const rows = settings.map(({ variable, value, source }) => [variable, value ?? '', value === null ? '' : source]);
  output.data({ settings }, table(['SETTING', 'VALUE', 'FROM'], rows));

  function from(variable: string): Setting['source'] {
    if (!environment[variable]) return environment[`${variable}_FILE`] ? 'file' : 'default';
    return cli.environment[variable] === environment[variable] ? 'environment' : 'command line';
  }
}

/** Without what nobody is to read over a shoulder. */
function shown(variable: string, value: string): string {
  if (SECRET.has(variable)) return '********';
  // Of an address its password.
  return value.replace(/^(\w+:\/\/[^:/@\s]+:)[^@\s]+@/, '$1********@');
}
