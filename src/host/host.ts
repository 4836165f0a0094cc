import type { Known } from './adopt.js';
import type { Self } from './leave.js';
import type { Script } from './shell.js';

/** Whom a change on a host is made for. The host refuses every change whose claim is stale (docs/operations.md). */
export interface Claim {
  /** The controller (installation of CHOM) that owns the site or server. */
  controller: string;
  /** `site/<id>` or `server`. A change to the server itself excludes every change to one of its sites. */
  scope: string;
  /** Root operation. */
  root: string;
  epoch: number;
}

/** A step on a host: it runs once, survives the connection that started it, and can be re-attached. */
export interface Job {
  claim: Claim;
  operation: string;
  /** Stable over attempts; with the operation it names the unit. */
  step: string;
  /** `<run id>/<attempt>`: the record of another attempt is never taken for this one's. */
  attempt: string;
  /** Exit 0 = it is already so, and nothing is to be done. Must change nothing. */
  check?: Script;
  /** Does it. Exit codes are the builder's; its stdout is the job's result. */
  act: Script;
  /** Secrets the job reads as files under `$CREDENTIALS_DIRECTORY`, by name. */
  secrets?: Record<string, Buffer>;
  /** The unit is ended after this many seconds, also when nobody watches any more. */
  limitSeconds: number;
  /** Further properties of the transient unit, for example `User=s…` or `BindPaths=…`. */
  properties?: readonly string[];
}

/** What a program on a host gave back. `exit` is never null: unknown is an error, not a result. */
export interface Output {
  exit: number;
  /** At most 64 KiB each; cut at the writer. */
  stdout: string;
  stderr: string;
  /** The step found its work already done. */
  already: boolean;
  milliseconds: number;
}

/** A server, reached over one pooled, pinned SSH connection. All failures are `ApplicationFailure`s of our types. */
export interface Host {
  /** The server's name, for messages. */
  readonly name: string;
  /** Runs a script that changes nothing. Never retried, never detached. */
  read(script: Script, options?: { limitSeconds?: number; signal?: AbortSignal }): Promise<Output>;
  /**
   * Runs or follows a job to its end. Aborting `signal` stops the job's unit and waits until it is empty; aborting
   * `detach` alone leaves the job running for whoever follows it next, and fails with `ConnectionLost`. Where both are
   * aborted in the same turn, `signal` wins.
   */
  job(job: Job, options?: { signal?: AbortSignal; detach?: AbortSignal }): Promise<Output>;
  /** Streams bytes into a new root-owned 0600 file, fsynced; the SHA-256 is checked on the host before it is named so. */
  upload(
    file: { path: string; sha256: string; claim: Claim; content: AsyncIterable<Uint8Array> },
    options?: { signal?: AbortSignal },
  ): Promise<void>;
  /**
   * Raises the claim of an operation that died, so that its host refuses what is still on its way, stops what it runs,
   * and waits until none of its changes is under way. Failures: those of a connection, StaleClaim, Busy, CommandFailed.
   */
  silence(claim: Claim, options?: { signal?: AbortSignal }): Promise<void>;
  /**
   * Makes `controller` the one whose claims the server accepts; returns all claims that it knows, and the first uid that
   * it does not. Done again it changes nothing. Failures: those of a connection, Busy, CommandFailed.
   */
  adopt(controller: string, options?: { signal?: AbortSignal }): Promise<Known>;
  /**
   * Takes CHOM off the server: its units, its files, its key. Returns what was not empty, and was left. Done again it
   * finds less to do, or LoginRefused. Failures: those of a connection, StaleClaim, Busy, CommandFailed.
   */
  leave(claim: Claim, self: Self, options?: { signal?: AbortSignal }): Promise<{ left: string[] }>;
  /**
   * Stops every unit of the operation's slice and waits until no process of them is left. `except`: an attempt (as `Job`
   * names it) whose jobs run on.
   */
  stop(root: string, options?: { signal?: AbortSignal; except?: string }): Promise<void>;
}
