import { ActivityFailure, ApplicationFailure, ChildWorkflowFailure, TimeoutFailure } from '@temporalio/workflow';
import { failure, failureDetails, isFailureType, type FailureDetails, type FailureType } from './failures.js';
import { nameAndMessageOf } from './thrown.js';

/** A failure as it is recorded and shown. */
export interface Cause {
  type: FailureType;
  message: string;
  details: FailureDetails;
}

/** The failure of ours behind whatever was thrown; anything that is not ours is a `Bug` in workflow code. */
export function causeOf(error: unknown): Cause {
  if ((error instanceof ActivityFailure || error instanceof ChildWorkflowFailure) && error.cause) {
    return causeOf(error.cause);
  }
  if (error instanceof TimeoutFailure) {
    return {
      type: 'TimedOut',
      message: 'The step took longer than it may',
      details: { cause: 'The server is overloaded, or the program waits for something.' },
    };
  }
  if (error instanceof ApplicationFailure && isFailureType(error.type)) {
    return { type: error.type, message: error.message, details: failureDetails(error) };
  }
  const message = nameAndMessageOf(error);
  return { type: 'Bug', message, details: { cause: 'A defect in CHOM: please report it with the operation id.' } };
}

/** The same failure, to be thrown out of the workflow. */
export function failureOf(cause: Cause): ApplicationFailure {
  return failure(cause.type, cause.message, cause.details);
}
