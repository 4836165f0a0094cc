import type { Base } from './base.js';
import type { HostState } from './state.js';

/** What a supervisor is told to make. */
export interface LabOrder {
  name: string;
  directory: string;
  hosts: HostState[];
  /** Bases by host name. */
  bases: Record<string, Base>;
  acme?: { pebble: string; challengeServer: string };
  /** Path of the REST server, where a host keeps backups. */
  restServer?: string;
  /** Path of the S3 server, where a host keeps backups by it. */
  s3Server?: string;
  /** A restic to be served, where a host's own is too old. */
  restic?: { program: string; sha256: string };
}

/** Said on its standard input, it makes the supervisor stay when that ends. Otherwise it then removes the lab. */
export const STAY = 'stay';
