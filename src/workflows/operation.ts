import type { Definition, Ending, Operation, OperationWorkflow, Order } from './definition.js';
import { workflowType } from './names.js';
import { Run } from './run.js';
import type { OperationKind } from './step.js';

/**
 * The one place that knows an operation's life: order checked, place taken, attempts counted, undo in reverse, outcome
 * recorded once (docs/operations.md). `body` reads as the operator's own narration.
 */
export function operation<Input>(
  kind: OperationKind,
  definition: Definition<Input>,
  body: (op: Operation, input: Input) => Promise<void>,
): OperationWorkflow<Input> {
  const run = async (order: Order<Input>): Promise<Ending> => await new Run(kind, definition).live(order, body);
  // Temporal starts workflows by their function's name, which must be the name under which the barrel exports it.
  return Object.assign(Object.defineProperty(run, 'name', { value: workflowType(kind) }), { kind, definition });
}
