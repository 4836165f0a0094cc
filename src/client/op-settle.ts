import type { Command } from 'commander';
import { action, type Cli, type Session } from './cli.js';
import { confirm } from './confirm.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import { parseOperationId } from './names.js';
import { settleOperation } from './settle.js';
import { takeBackNow } from './tries.js';

/** `chom op settle …` */
export function settleCommand(op: Command, cli: Cli): void {
  op.command('settle')
    .argument('<id>')
    .description(
      'bring an operation to its end whose workflow was terminated or lost, or take back now what one left on its server; workers do both by themselves',
    )
    .option('--abandon', 'do not wait for a server that is away: record what was not undone')
    .option('--confirm <id>', 'the operation id again, for --abandon without a terminal')
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom op settle provision-site-abcdefghijkl')
    .action(action(cli, settle));
}

interface SettleOptions extends Pick<FollowOptions, 'detach' | 'timeout'> {
  abandon?: boolean;
  confirm?: string;
}

async function settle(session: Session, text: string, options: SettleOptions): Promise<number> {
  parseTimeout(options.timeout);
  const id = parseOperationId(text);
  const { abandon = false } = options;
  if (abandon) await confirm(session, id, options.confirm);
  const chom = await session.open();
  const takesBack = await takeBackNow(chom, id);
  if (takesBack === null) await settleOperation(chom, id, { abandon });
  return await follow(session, chom, takesBack ?? id, options);
}
