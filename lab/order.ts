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
}

/** Said on its standard input, it makes the supervisor stay when that ends. Otherwise it then removes the lab. */
export const STAY = 'stay';
