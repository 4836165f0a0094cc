import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { DOCUMENTS } from './of-command.js';
import { NAMED, NAMED_DOCUMENTS } from './values.js';

interface Json {
  $ref?: string;
  $defs?: Record<string, Json>;
  anyOf?: Json[];
  enum?: unknown[];
  const?: unknown;
  type?: string | string[];
  items?: Json;
  properties?: Record<string, Json>;
  additionalProperties?: Json;
  required?: string[];
}

const WIDTH = 120;

const ALL = new Map(
  [...NAMED_DOCUMENTS]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, schema]) => [name, jsonSchema(schema).$defs?.[name] ?? {}]),
);

/** What a command prints with --json, as TypeScript writes it; undefined: it prints no document. */
export function describeDocument(command: string): string | undefined {
  const schema = DOCUMENTS[command];
  return schema && notation(jsonSchema(schema), ALL);
}

/** The documents that others name, and what a command prints that fails. */
export function describeNamed(): string[] {
  return [...ALL].map(([name, own]) => {
    const others = new Map([...ALL].filter(([other]) => other !== name));
    return `type ${name} = ${notation(own, others, '', `type ${name} = `.length)};`;
  });
}

function jsonSchema(schema: z.ZodType): Json {
  return z.toJSONSchema(schema, { metadata: NAMED }) as Json;
}

/** On one line where it fits behind `before` characters, else a field a line. */
function notation(schema: Json, named: Map<string, Json>, indent = '', before = 0): string {
  const { $ref, anyOf, enum: values, type, items, properties } = schema;
  const inner = (one: Json, deeper = indent) => notation(one, named, deeper);
  if ($ref !== undefined) return $ref.split('/').at(-1) ?? '';
  if (anyOf) return anyOf.map((one) => inner(one)).join(' | ');
  if (values) return values.map((one) => literal(one)).join(' | ');
  if (schema.const !== undefined) return literal(schema.const);
  if (Array.isArray(type)) return type.map((one) => inner({ ...schema, type: one })).join(' | ');
  if (type === 'array' && items) {
    const element = inner(items);
    return / [|&] /.test(element.replaceAll(/\{.*\}/gs, '')) ? `(${element})[]` : `${element}[]`;
  }
  if (type === 'integer') return 'number';
  if (type !== 'object') return type ?? 'unknown';
  if (!properties) return `{ [name: string]: ${inner(schema.additionalProperties ?? {})} }`;
  const base = baseOf(schema, named);
  const own = Object.entries(properties).filter(([name]) => base?.properties[name] === undefined);
  const fields = own.map(([name, field]) => {
    const optional = schema.required?.includes(name) ? '' : '?';
    return `${name}${optional}: ${inner(field, `${indent}  `)}`;
  });
  const prefix = base === null ? '' : `${base.name} & `;
  const flat = `${prefix}{ ${fields.join('; ')} }`;
  if (!flat.includes('\n') && before + indent.length + flat.length < WIDTH) return flat;
  return `${prefix}{\n${fields.map((field) => `${indent}  ${field};\n`).join('')}${indent}}`;
}

/** The largest named document all of whose fields an object has, and more. */
function baseOf(schema: Json, named: Map<string, Json>) {
  const own = schema.properties ?? {};
  const within = [...named].flatMap(([name, { properties = {} }]) => {
    const all = Object.entries(properties);
    const fits = all.length > 2 && all.every(([field, value]) => isDeepStrictEqual(own[field], value));
    return fits ? [{ name, properties }] : [];
  });
  const size = ({ properties }: { properties: object }) => Object.keys(properties).length;
  return within.toSorted((a, b) => size(b) - size(a))[0] ?? null;
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}
