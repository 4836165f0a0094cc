import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { OperationKind } from './step.js';

/** Search attributes of every operation; registered by `chom dev`. */
export const SEARCH_ATTRIBUTES = {
  tenant: defineSearchAttributeKey('Tenant', SearchAttributeType.KEYWORD),
  server: defineSearchAttributeKey('Server', SearchAttributeType.KEYWORD),
  site: defineSearchAttributeKey('Site', SearchAttributeType.KEYWORD),
  operation: defineSearchAttributeKey('Operation', SearchAttributeType.KEYWORD),
} as const;

/** Temporal's priority keys: 1 is first, 5 last, 3 the default. */
export const PRIORITY_KEYS = { high: 1, default: 3, low: 5 } as const;

/** Coordinators of operations, which are none themselves. */
export type Coordinator = 'run-batch' | 'run-chain';

/** The Temporal workflow type of an operation, or of a coordinator: the name under which the barrel exports it. */
export function workflowType(kind: OperationKind | Coordinator): string {
  return kind.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
