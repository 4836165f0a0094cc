/** The operations that CHOM knows; also the Temporal workflow types, in kebab case. */
export const OPERATION_KINDS = [
  'enrol-server',
  'adopt-server',
  'remove-server',
  'rotate-credentials',
  'retire-credentials',
  'check-server',
  'reboot-server',
  'provision-site',
  'repair-site',
  'issue-certificate',
  'undo-operation',
  'check-storage',
  'create-backup',
  'restore-backup',
  'undo-restore',
  'end-undo-window',
  'verify-backup',
  'clean-backups',
  'purge-backups',
  'delete-site',
  'clear-site',
  'discard-certificate',
  'suspend-site',
  'resume-site',
  'change-aliases',
  'optimise-database',
  'back-up-control-plane',
  'roll-acme-account',
  'rotate-storage-credentials',
  'retire-storage-credentials',
] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

/** An undo as it is journalled: an activity and its arguments, to be called with the same arguments later. */
export interface Undo {
  activity: string;
  args: unknown[];
}

/** A step of an operation that ended before it was taken back. */
export interface Remnant {
  operation: string;
  /** That operation's root: what still runs on the server runs under its name. */
  root: string;
  step: number;
}

/**
 * What every step's activity is told about the operation it works for. It fences: the inventory's journal entry and the
 * claim on the host are both conditional on it, so that a run that was superseded changes nothing.
 */
export interface StepContext {
  /** Operation id = workflow id. */
  operation: string;
  /** The operation whose place, epoch and claim this one uses: itself, unless it is a child. */
  root: string;
  kind: OperationKind;
  /** Only grows; raised when somebody else takes the operation over. */
  epoch: number;
  /** Position of the step in its operation, from 1; with its name it names the job on the host. */
  index: number;
  /** What the operator reads, for example "Create user and directories". */
  label: string;
  /** The operation's attempt, from 1; retries by Temporal after a lost worker keep it. */
  attempt: number;
  /** Journalled before the step acts. */
  undo?: Undo;
  /** Set where this step itself is an undo: the index of the step that it takes back. */
  undoes?: number;
  /** Of such an undo: the operation does not go back, but will do its steps again. */
  goesOn?: true;
  /** Set where this step takes back one of another operation, which has ended and left it. */
  takesBack?: Remnant;
  /** From this step on the operation only goes forward. */
  final?: boolean;
}

/** The operation whose work the step does, or takes back: things on a server that are one operation's are named by it. */
export function workOf({ operation, takesBack }: StepContext): string {
  return takesBack?.operation ?? operation;
}
