import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { Rig } from './rig.js';

/** A payload as Temporal's API gives it in JSON: every bytes field in base64. */
export interface JsonPayload {
  metadata: Record<string, string>;
  data: string;
}

/** The histories of all operations, as whoever reads Temporal without any key gets them. */
export async function rawHistories(rig: Rig): Promise<object[]> {
  const connection = await Connection.connect({ address: rig.temporal.address });
  const { workflow } = new Client({ connection });
  const histories: object[] = [];
  try {
    for await (const { workflowId, runId } of workflow.list()) {
      const history = await workflow.getHandle(workflowId, runId).fetchHistory();
      histories.push({ workflowId, ...(JSON.parse(historyToJSON(history)) as object) });
    }
  } finally {
    await connection.close();
  }
  return histories;
}

/** All that can be read in a document: itself, and every base64 text in it decoded. */
export function readable(document: unknown): string {
  const json = JSON.stringify(document);
  const texts = [...json.matchAll(/"([A-Za-z0-9+/=]{8,})"/g)].map(([, text]) => Buffer.from(text ?? '', 'base64'));
  return [json, ...texts.map((text) => text.toString('latin1'))].join('\n');
}

/** Without the search attributes: they are plain, so that Temporal can search for them, and hold names alone. */
export function withoutSearchAttributes(document: unknown): unknown {
  return JSON.parse(JSON.stringify(document), (name, value: unknown) => (name === 'searchAttributes' ? null : value));
}

/** Every sealed payload in a document, however deep. */
export function sealedPayloads(document: unknown): JsonPayload[] {
  if (typeof document !== 'object' || document === null) return [];
  const { metadata, data } = document as Partial<JsonPayload>;
  const sealed = Buffer.from('binary/chom-sealed').toString('base64');
  const own = metadata?.['encoding'] === sealed && typeof data === 'string' ? [{ metadata, data }] : [];
  return [...own, ...Object.values(document).flatMap(sealedPayloads)];
}

/** What the sealed payloads in a document say. */
export function unsealed(document: unknown, { keyring }: Pick<Rig, 'keyring'>): string {
  const payloads = sealedPayloads(document).map(({ data }) => Buffer.from(data, 'base64'));
  return payloads.map((data) => keyring.openBytes(data, 'temporal-payload').toString('latin1')).join('\n');
}
