import { describe, expect, test } from 'vitest';
import { askingOf, parseDuration, parseTime, settingsOf } from '../../src/client/global-options.js';

const NOW = Date.parse('2026-11-27T12:00:00Z');

describe('when what is asked for begins', () => {
  test.each([
    ['90s', 90],
    ['30m', 1800],
    ['2h30m', 9000],
    ['3d', 259_200],
  ])('in %s', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds * 1000);
    expect(askingOf({ in: text }, NOW).startsAt).toBe(new Date(NOW + seconds * 1000).toISOString());
  });

  test.each(['', '5', 's', '1w', '-1h', '1.5h', '0s', '9999999s', ' 1h'])('%j is no duration', (text) => {
    expect(() => askingOf({ in: text }, NOW)).toThrow('is no duration');
  });

  test('at a time, with its offset', () => {
    expect(askingOf({ at: '2026-11-28T02:00+01:00' }, NOW).startsAt).toBe('2026-11-28T01:00:00.000Z');
    expect(parseTime('2026-11-28T02:00:30.5Z').toISOString()).toBe('2026-11-28T02:00:30.500Z');
  });

  test.each(['', 'tomorrow', '2026-11-28', '2026-11-28T02:00', '2026-13-28T02:00Z'])('%j is no time', (text) => {
    expect(() => askingOf({ at: text }, NOW)).toThrow('is no time');
  });

  test('not both, not what is over, not in more than a year', () => {
    expect(() => askingOf({ at: '2026-11-28T02:00Z', in: '1h' }, NOW)).toThrow('exclude each other');
    expect(() => askingOf({ at: '2026-11-27T11:59Z' }, NOW)).toThrow('is over');
    expect(() => askingOf({ in: '400d' }, NOW)).toThrow('more than a year');
  });

  test('at once, and as the verb has it, where nothing is said', () => {
    expect(askingOf({}, NOW)).toEqual({});
    expect(askingOf({ priority: 'high' }, NOW)).toEqual({ priority: 'high' });
  });
});

test('what is said takes the place of the environment', () => {
  expect(settingsOf({ tenant: 'acme', profile: 'prod', taskQueue: 'gpu' })).toEqual({
    ...{ CHOM_TENANT: 'acme', TEMPORAL_PROFILE: 'prod', CHOM_TASK_QUEUE: 'gpu' },
  });
  expect(settingsOf({})).toEqual({});
  expect(() => settingsOf({ taskQueue: 'a b' })).toThrow('is no name for a task queue');
});
