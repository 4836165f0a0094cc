import type { DatabaseKind, Manifest, PartName, Table } from './manifest.js';

/** What was copied out of a database: files, and what its tables held at that moment. */
export interface Copied {
  files: Map<PartName, string>;
  tables: Table[];
  version: string;
  schema?: string;
}

/** A database that backups are made of. */
export interface SourceDatabase {
  kind: DatabaseKind;
  /** Copies it into files in the directory. */
  copy(directory: string): Promise<Copied>;
  /** Restores what lies in the directory into a scratch database, which is removed again; returns what it held. */
  tryOut(directory: string, manifest: Manifest): Promise<Table[]>;
}
