import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** They wait for minutes, for backoffs above all: begun at the end they would leave the machine idle. */
const LONG =
  /\/lab\/(chaos|backup-storm|restore-host|site-life|rotation|backup|restore|unkept-storage|restore-content|verify-backup|cleaning|remains|settling|renewal|upkeep|controller-keys|batch)\.test\.ts$/;

/** Files that take long begin first, the others in vitest's own order (the largest first). */
export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => Number(LONG.test(moduleId));
    return (await super.sort(files)).toSorted((a, b) => isLong(b) - isLong(a));
  }
}
