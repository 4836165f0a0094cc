import { z } from 'zod';

/** What documents are made of; their own schemas are strict, so that a test sees each field that is told and not declared. */

export const time = z.iso.datetime().describe('ISO 8601, UTC');
export const maybeTime = time.nullable();
export const text = z.string().nullable();

/** Documents that the reference names, where others hold them. */
export const NAMED = z.registry<{ id: string }>();
export const NAMED_DOCUMENTS = new Map<string, z.ZodType>();

export function named<Schema extends z.ZodType>(id: string, schema: Schema): Schema {
  NAMED.add(schema, { id });
  NAMED_DOCUMENTS.set(id, schema);
  return schema;
}
