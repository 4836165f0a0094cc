import { Command } from 'commander';
import { expect, test } from 'vitest';
import { describePolicy, KEEP_OPTIONS, type KeepOptions, parseKeep } from '../../src/client/keep-options.js';
import { retentionOf, retentionOverride, retentionPolicy } from '../../src/workflows/retention-policy.js';

/** As the command line hands them over. */
function given(...argv: string[]): KeepOptions {
  const command = new Command().exitOverride();
  for (const [flags, description] of Object.values(KEEP_OPTIONS)) command.option(flags, description);
  return command.parse(argv, { from: 'user' }).opts();
}

test('what is said, and nothing else', () => {
  expect(parseKeep(given())).toEqual({});
  expect(parseKeep(given('--keep-daily', '0', '--keep-monthly', '120'))).toEqual({ daily: 0, monthly: 120 });
  expect(parseKeep(given('--keep-weekly', '10000', '--keep-within', '14d'))).toEqual({ weekly: 10_000, within: 14 });
  expect(parseKeep(given('--keep-within', '36500'))).toEqual({ within: 36_500 });
});

test.each(['-1', '1.5', '', ' 7', '7d', '0x7', '1e3', '10001', '99999999999', 'unlimited', '七'])(
  '%j is no number of backups',
  (text) => {
    expect(() => parseKeep(given('--keep-daily', text))).toThrow('--keep-daily takes no');
  },
);

test('what is wrong is told with what would be right', () => {
  expect(() => parseKeep(given('--keep-within', '36501'))).toThrow(
    expect.objectContaining({
      message: '--keep-within takes no "36501"',
      type: 'InvalidInput',
      details: [{ cause: 'it is a whole number from 0 to 36500', next: '--keep-within 7' }],
    }),
  );
});

test('the site’s numbers win over the tenant’s, and these over the default, each by itself', () => {
  expect(retentionOf({}, {})).toEqual({ within: 7, daily: 7, weekly: 4, monthly: 12 });
  expect(retentionOf({ daily: 0 }, { daily: 3, weekly: 2 })).toEqual({ within: 7, daily: 0, weekly: 2, monthly: 12 });
});

test('what keeps nothing is refused, also where it is so only together', () => {
  const nothing = { daily: 0, weekly: 0, monthly: 0 };
  expect(() => retentionOf(nothing, {})).toThrow('it keeps no daily, weekly or monthly backup');
  expect(() => retentionOf({ daily: 0 }, { weekly: 0, monthly: 0 })).toThrow(
    expect.objectContaining({ type: 'InvalidInput' }),
  );
  expect(retentionPolicy.safeParse({ within: 9, ...nothing }).success).toBe(false);
  expect(() => retentionOf({ daily: -1 }, {})).toThrow('daily: ');
});

test('nothing but these numbers is a policy', () => {
  expect(retentionOverride.safeParse({}).success).toBe(true);
  expect(retentionOverride.safeParse({ hourly: 3 }).success).toBe(false);
  expect(retentionPolicy.safeParse({ daily: 7 }).success).toBe(false);
});

test('a policy in words', () => {
  expect(describePolicy(retentionOf({}, {}))).toBe('7 daily, 4 weekly, 12 monthly, and every one of the last 7 days');
  expect(describePolicy(retentionOf({ within: 0 }, {}))).toBe('7 daily, 4 weekly, 12 monthly');
});
