import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** They wait for minutes, for backoffs above all. */
const LONG =
  /\/lab\/(chaos|backup-storm|restore-host|site-life|rotation|backup|restore|unkept-storage|restore-content|verify-backup|cleaning|remains|settling|renewal|upkeep|controller-keys|batch)\.test\.ts$/;

/**
 * Files that take long begin in turn with others: all at once they would leave the machine idle at the beginning, and last of all
 * at the end. Those in vitest's own order (the largest first).
 */
export class LongAndShort extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const long = sorted.filter(({ moduleId }) => LONG.test(moduleId));
    const short = sorted.filter(({ moduleId }) => !LONG.test(moduleId));
    const inTurn = long.flatMap((file, index) => [file, ...short.slice(index, index + 1)]);
    return [...inTurn, ...short.slice(long.length)];
  }
}
