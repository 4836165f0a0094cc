import { readFile, stat } from 'node:fs/promises';
import { isNode, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { failure } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';
import { fileOnly, type NewBatch, type NewChain } from './batch-schema.js';
import { checkForm, type Path } from './plan-batch.js';
import { quoted } from './text.js';

/** Twenty thousand operations, each in a few lines. */
const LIMIT_BYTES = 8 * 1024 * 1024;

/** What a file asks for. */
export interface BatchFile<Wanted> {
  wanted: Wanted;
  tenant?: string | undefined;
  profile?: string | undefined;
  /** In which line something stands, for people. */
  where: (path: Path) => string;
}

/** Reads a batch or chain from a YAML file (1.2; JSON is one). @throws InvalidInput naming the line of what is wrong */
export async function readBatchFile(kind: 'batch', path: string, name?: string): Promise<BatchFile<NewBatch>>;
export async function readBatchFile(kind: 'chain', path: string, name?: string): Promise<BatchFile<NewChain>>;
export async function readBatchFile(
  kind: 'batch' | 'chain',
  path: string,
  name?: string,
): Promise<BatchFile<NewBatch | NewChain>> {
  return parseBatchFile(kind, await contentOf(path), name);
}

/** The same of its text. `name`: instead of the one that it says. @throws InvalidInput */
export function parseBatchFile(kind: 'batch' | 'chain', text: string, name?: string): BatchFile<NewBatch | NewChain> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error) throw failure('InvalidInput', `Line ${lines.linePos(error.pos[0]).line} is no YAML: ${error.message}`);
  const where = (at: Path) => {
    for (let length = at.length; length > 0; length -= 1) {
      const node: unknown = document.getIn(at.slice(0, length), true);
      if (!isNode(node) || !node.range) continue;
      return `line ${lines.linePos(node.range[0]).line}${describe(at)}`;
    }
    return `the file${describe(at)}`;
  };
  const content: unknown = document.toJS();
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw failure('InvalidInput', `The file is no ${kind}`, { cause: 'it holds no name and no operations' });
  }
  const { tenant, profile, ...rest } = content as Record<string, unknown>;
  const only = z.strictObject(fileOnly).safeParse({
    ...(tenant !== undefined && { tenant }),
    ...(profile !== undefined && { profile }),
  });
  if (!only.success) throw failure('InvalidInput', `tenant and profile are names: ${only.error.issues[0]?.message}`);
  const wanted = checkForm(kind, name === undefined ? rest : { ...rest, name }, where);
  return { wanted, ...only.data, where };
}

function describe(path: Path): string {
  return path.length === 0 ? '' : ` (${path.join('.')})`;
}

async function contentOf(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > LIMIT_BYTES) throw new Error(`it has ${size} bytes, and may have ${LIMIT_BYTES}`);
    return await readFile(path, 'utf8');
  } catch (error) {
    throw failure('InvalidInput', `${quoted(path)} cannot be read`, { cause: messageOf(error) });
  }
}
