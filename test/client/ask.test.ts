import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { askYesNo } from '../../src/client/ask.js';

function terminal() {
  return {
    stdin: Object.assign(new PassThrough(), { isTTY: true }),
    stderr: Object.assign(new PassThrough(), { isTTY: true }),
  };
}

test.each([
  ['yes\n', true],
  [' Y \n', true],
  ['no\n', false],
  ['what?\n\nn\n', false],
])('%j is %s', async (typed, answer) => {
  const cli = terminal();
  cli.stdin.write(typed);
  expect(await askYesNo(cli, 'Is that so?')).toBe(answer);
});

test('left open, interrupted or withdrawn it is no answer', async () => {
  const left = terminal();
  left.stdin.end();
  expect(await askYesNo(left, 'Is that so?')).toBeNull();

  const interrupted = terminal();
  let said = 0;
  const asked = askYesNo(interrupted, 'Is that so?', { interrupted: () => (said += 1) });
  interrupted.stdin.write('\u0003');
  expect([await asked, said]).toEqual([null, 1]);

  const withdrawal = new AbortController();
  const withdrawn = askYesNo(terminal(), 'Is that so?', { signal: withdrawal.signal });
  withdrawal.abort();
  expect(await withdrawn).toBeNull();
});

test('without a terminal nobody is asked', async () => {
  await expect(askYesNo({ stdin: new PassThrough(), stderr: new PassThrough() }, 'So?')).rejects.toThrow(
    'Without a terminal',
  );
});
