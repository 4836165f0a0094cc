import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as path } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesTo, join, sh, writeFile, type Script } from '../../src/host/shell.js';
import { words } from './words.js';

const text = ({ script }: Script): string => script.toString();
const run = (shell: string, { script }: Script): Buffer => execFileSync(shell, { input: script, maxBuffer: 8_000_000 });

describe('sh', () => {
  it.each(['dash', 'bash'])('hands 10 000 values to %s byte by byte', (shell) => {
    const batch = fc.array(words, { minLength: 500, maxLength: 500 });
    fc.assert(
      fc.property(batch, (values) => {
        const echoed = run(shell, sh`printf '%s\0' ${values}`);
        expect(echoed.equals(Buffer.concat(values.flatMap((value) => [value, Buffer.from([0])])))).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  it('makes one word of a string or number, several of an array, none of an empty one', () => {
    expect(text(sh`install -d ${'/a b'} ${7} ${['x', "it's", 1]} ${[]}.`)).toBe(
      `install -d '/a b' '7' 'x' 'it'\\''s' '1' .`,
    );
  });

  it('nests scripts as they are', () => {
    const inner = sh`echo ${'$x'}`;
    expect(text(sh`if true; then ${inner}; fi`)).toBe(`if true; then echo '$x'; fi`);
  });

  it('leaves the text between the values as it is written', () => {
    expect(
      text(sh`printf '%s\n' "\${x}" \`id\` 's/\./x/' \
  y`),
    ).toBe("printf '%s\\n' \"${x}\" `id` 's/\\./x/' \\\n  y");
  });

  it('refuses NUL, and numbers that are none', () => {
    expect(() => sh`echo ${'a\0b'}`).toThrow(RangeError);
    expect(() => sh`echo ${[Buffer.from([0x41, 0])]}`).toThrow(RangeError);
    expect(() => sh`sleep ${Number.NaN}`).toThrow(RangeError);
  });
});

describe('join', () => {
  it('puts the separator between scripts only', () => {
    expect(text(join([sh`a`, sh`b ${'c'}`], ' && '))).toBe("a && b 'c'");
    expect(text(join([sh`a`, sh`b`]))).toBe('a\nb');
    expect(text(join([]))).toBe('');
  });
});

describe('bytesTo', () => {
  it('prints any bytes, NUL too', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(run('dash', bytesTo(Buffer.from(bytes))).equals(Buffer.from(bytes))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('prints more than an argument list could hold', () => {
    const content = Buffer.alloc(3_000_000, "it's\n");
    expect(run('dash', bytesTo(content)).equals(content)).toBe(true);
  });
});

describe('writeFile', () => {
  const owner = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;

  it('replaces a file with its mode and leaves nothing beside it', () => {
    const directory = mkdtempSync(path(tmpdir(), 'chom-shell-'));
    try {
      const file = path(directory, "it's a $(file)");
      run('dash', writeFile({ path: file, content: 'old', mode: '0600', owner }));
      run('dash', writeFile({ path: file, content: "new 'text'\n\n", mode: '0640', owner }));
      expect(readFileSync(file, 'utf8')).toBe("new 'text'\n\n");
      expect(statSync(file).mode & 0o777).toBe(0o640);
      expect(readdirSync(directory)).toEqual(["it's a $(file)"]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('fails, also without set -e, where it cannot write', () => {
    const script = writeFile({ path: '/nowhere/at/all', content: 'x', mode: '0600', owner });
    expect(text(sh`${script} || exit 7`)).toContain('exit 7');
    expect(() =>
      execFileSync('dash', { input: sh`${script} || exit 7`.script, stdio: ['pipe', 'ignore', 'ignore'] }),
    ).toThrow(expect.objectContaining({ status: 7 }) as Error);
  });
});
