import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { openApi } from '../src/serve/openapi.js';

const PAGE = fileURLToPath(new URL('../docs/api.md', import.meta.url));
const [BEGIN, END] = ['<!-- made by scripts/api-reference.ts -->', '<!-- to here -->'];

interface Described {
  summary: string;
  description: string;
  parameters?: { name: string; in: string; required?: boolean; description?: string }[];
  requestBody?: { content: { 'application/json'?: { schema: Schema } } };
}

interface Schema {
  properties?: Record<string, { description?: string; enum?: string[]; type?: string }>;
  required?: string[];
}

/** What the API can be asked, as docs/api.md lists it: from the document that it serves itself. */
function apiReference(): string {
  const paths = openApi()['paths'] as Record<string, Record<string, Described>>;
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => entryOf(`${method.toUpperCase()} ${path}`, described)),
  );
  return all.join('\n');
}

function entryOf(name: string, { summary, description, parameters = [], requestBody }: Described): string {
  const scope = /`(\w+)`/.exec(description)?.[1] ?? '';
  const query = parameters
    .filter((one) => one.in === 'query')
    .map((one) => field(one.name, one.required === true, one));
  const { properties = {}, required = [] } = requestBody?.content['application/json']?.schema ?? {};
  const body = Object.entries(properties).map(([key, about]) => field(key, required.includes(key), about));
  const lines = [
    `- \`${name}\` (${scope}): ${summary}.`,
    ...(query.length > 0 ? [`  Query: ${query.join(', ')}.`] : []),
    ...(body.length > 0 ? [`  Body: ${body.join(', ')}.`] : []),
  ];
  return lines.join('\n');
}

function field(name: string, required: boolean, { description }: { description?: string }): string {
  const said = description === undefined ? '' : ` (${description})`;
  return `\`${name}\`${required ? '' : '?'}${said}`;
}

/** The page as it should be, and as it is. */
export async function apiPage(): Promise<{ wanted: string; found: string }> {
  const found = await readFile(PAGE, 'utf8');
  const [before = '', after = ''] = [found.split(BEGIN)[0], found.split(END)[1]];
  return { wanted: `${before}${BEGIN}\n\n${apiReference()}\n\n${END}${after}`, found };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(PAGE, (await apiPage()).wanted);
