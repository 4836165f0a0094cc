import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files of the lab that take minutes, waiting for backoffs above all; the longest first. */
const LONG = (
  'backup site-life backup-storm upkeep settling restore-host restore remains chaos controller-keys rotation ' +
  'unkept-storage restore-content verify-backup cleaning batch renewal'
).split(' ');

/**
 * Files that take long begin in turn with others: all at once they would leave the machine idle at the beginning, and last of all
 * at the end. The others in vitest's own order (the largest first).
 */
export class LongAndShort extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification) => LONG.indexOf(/\/lab\/(.*)\.test\.ts$/.exec(moduleId)?.[1] ?? '');
    const long = sorted.filter((file) => rank(file) >= 0).toSorted((a, b) => rank(a) - rank(b));
    const short = sorted.filter((file) => rank(file) < 0);
    const inTurn = long.flatMap((file, index) => [file, ...short.slice(index, index + 1)]);
    return [...inTurn, ...short.slice(long.length)];
  }
}
