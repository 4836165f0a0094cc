import { array, assert, double, integer, property } from 'fast-check';
import { expect, test } from 'vitest';
import { Allowance } from '../../src/serve/allowance.js';

test('whatever comes, no more is let through than the burst and what time has added', () => {
  const pauses = array(integer({ min: 0, max: 3000 }), { maxLength: 200 });
  const rate = { burst: integer({ min: 1, max: 20 }), perSecond: double({ min: 0.1, max: 10, noNaN: true }) };
  assert(
    property(rate.burst, rate.perSecond, pauses, (burst, perSecond, after) => {
      const allowance = new Allowance({ burst, perSecond });
      let now = 1_000_000;
      let through = 0;
      const tooLong: number[] = [];
      for (const pause of after) {
        now += pause;
        const wait = allowance.take('one', now);
        if (wait === 0) through += 1;
        // Who waits as long as he is told is let through.
        else if (allowance.wait('one', now + wait * 1000) > 0) tooLong.push(wait);
      }
      expect(tooLong).toEqual([]);
      expect(through).toBeLessThanOrEqual(burst + ((now - 1_000_000) / 1000) * perSecond + 1e-6);
      expect(allowance.take('another', now)).toBe(0);
    }),
  );
});
