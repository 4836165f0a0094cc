import { DefaultFailureConverter } from '@temporalio/common';

/** Messages and stack traces of failures go through the codec too; loaded by Temporal's SDK by this file's path. */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
