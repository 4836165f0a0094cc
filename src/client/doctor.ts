import type { Command } from 'commander';
import { readConfig, type Config } from '../config.js';
import { action, type Cli, type Session } from './cli.js';
import { examineInventory, type Known } from './doctor-inventory.js';
import { nodeFinding } from './doctor-node.js';
import { tellFindings, wrong, type Finding } from './findings.js';

/** `chom doctor` */
export function doctorCommand(program: Command, cli: Cli): void {
  program
    .command('doctor')
    .description('what is wrong on this side of the servers, and the command that mends it; changes nothing')
    .addHelpText(
      'after',
      `
Looks at Node, settings, data directory, keys, inventory, Temporal, its namespace, search attributes, clock and
priorities, and at who works for it. Exit status 1 when something is wrong.

Example:
  chom doctor --json`,
    )
    .action(action(cli, doctor));
}

async function doctor({ output, environment }: Session): Promise<number> {
  return tellFindings(output, await examine(environment));
}

/** Everything between the command line and the servers, in the order in which it has to be mended. Never throws. */
export async function examine(environment: Cli['environment']): Promise<Finding[]> {
  const found: Finding[] = [nodeFinding(process.versions.node)];
  let config: Config;
  try {
    config = readConfig(environment);
    found.push({ name: 'settings', state: 'ok', message: `CHOM_HOME is ${config.home}` });
  } catch (error) {
    return [...found, wrong('settings', error)];
  }
  const known: Known = { controller: null, keys: null, holders: [] };
  found.push(...(await examineInventory(config, known)));
  // Loaded last: also where Temporal's client cannot be loaded, the rest is told.
  try {
    const { examineTemporal } = await import('./doctor-temporal.js');
    found.push(...(await examineTemporal(environment, config, known)));
  } catch (error) {
    found.push(wrong('temporal', error));
  }
  return found;
}
