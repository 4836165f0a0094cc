import { Context } from '@temporalio/activity';
import type { Job, Output } from '../host/host.js';
import type { Script } from '../host/shell.js';
import type { Fence } from '../inventory/database.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';

/** A server as one step sees it: every change is made under the operation's claim and ends with the step's cancellation. */
export interface Workplace {
  /** The server's name, for messages. */
  readonly name: string;
  /** Runs a script that changes nothing. */
  read(script: Script, options?: { limitSeconds?: number }): Promise<Output>;
  /** Runs the step's job, or follows it where it already runs. `part` tells the jobs of one step apart. */
  job(
    part: string,
    job: Pick<Job, 'act' | 'check' | 'secrets' | 'properties'> & { limitSeconds?: number },
  ): Promise<Output>;
  /** Streams bytes into a root-owned file; the hash is checked on the server. */
  upload(path: string, sha256: string, content: AsyncIterable<Uint8Array>): Promise<void>;
}

/** Below the bounds of a `host` step, 10 minutes, by the time that stopping takes: a job's own end is what is reported. */
export const JOB_SECONDS = 540;

/** The right to write: this run of the operation, at its epoch, as long as it has no outcome. */
export function fence(step: StepContext): Fence {
  const { workflowExecution } = Context.current().info;
  return { operation: step.operation, run: workflowExecution?.runId ?? '', epoch: step.epoch };
}

/** Opens the server for a step. `scope` is `site/<id>` or `server`: what the step may change. */
export async function workplace(deps: Deps, step: StepContext, server: string, scope: string): Promise<Workplace> {
  const host = await deps.hosts.for(server);
  const signal = Context.current().cancellationSignal;
  const stop = stopSignal();
  const claim = { controller: deps.controller, scope, root: step.root, epoch: step.epoch };
  const { run } = fence(step);
  // Of an undo it names the step, too: all undos count their attempts from the same number.
  const undone = step.undoes === undefined ? '' : `${step.operation}/${step.index}/`;
  const attempt = `${run}/${undone}${step.attempt}`;
  // What is taken back may still be at work, where its worker died or its time was up: nothing runs beside an undo but
  // what its own attempt began, before its worker died. That is followed.
  if (step.undoes !== undefined) await host.stop(step.root, { signal, except: attempt });
  // Of an operation that ended the same: nothing runs beside what takes it back.
  if (step.takesBack) await host.stop(step.takesBack.root, { signal });
  return {
    name: host.name,
    read: async (script, options) => await host.read(script, { ...options, signal }),
    job: async (part, job) =>
      await host.job(
        {
          claim,
          operation: step.operation,
          step: `${step.index}/${part}`,
          attempt,
          limitSeconds: JOB_SECONDS,
          ...job,
        },
        { signal: stop, detach: signal },
      ),
    upload: async (path, sha256, content) => await host.upload({ path, sha256, claim, content }, { signal }),
  };
}

/** Opens a site's server for a step that may change that site. */
export async function siteServer(
  deps: Deps,
  step: StepContext,
  { server, site }: { server: string; site: string },
): Promise<Workplace> {
  return await workplace(deps, step, server, `site/${site}`);
}

/**
 * Aborted when the operation is cancelled, and then alone: the end of a worker detaches from a job, which the next
 * worker follows, and does not stop it.
 */
function stopSignal(): AbortSignal {
  const context = Context.current();
  const stop = new AbortController();
  context.cancellationSignal.addEventListener('abort', () => {
    if (context.cancellationDetails?.cancelRequested) stop.abort(context.cancellationSignal.reason);
  });
  return stop.signal;
}
