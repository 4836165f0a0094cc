import type { Question, StepProgress } from '../workflows/progress.js';
import { operationDocument } from './operation.js';
import type { Seen } from './watch.js';

/** What is seen of an operation while it is watched, as programs read it. */
export interface SeenDocument {
  operation: ReturnType<typeof operationDocument>;
  steps: StepProgress[];
  warnings: string[];
  question: Question | null;
  /** Its workflow does not say now how far it is. */
  silent: boolean;
  /** Operations that run inside it. */
  children: SeenDocument[];
}

/** Without why a workflow is silent, which is a matter of CHOM's own parts. */
export function seenDocument(seen: Seen): SeenDocument {
  const { operation, steps, warnings, question, silence, children } = seen;
  return {
    operation: operationDocument(operation),
    ...{ steps, warnings, question, silent: silence !== null },
    children: children.map(seenDocument),
  };
}
