import type { DatabaseConnection, Driver, QueryResult } from 'kysely';
import { failure } from '../workflows/failures.js';
import { retrying } from './faults.js';

/**
 * The driver under `Inventory.db`. Each query takes a connection of its own, so that one which was lost or found the
 * database busy is simply asked again, and no database error leaves as anything but a failure of ours.
 */
export class ReadingDriver implements Driver {
  constructor(
    private readonly driver: Driver,
    private readonly patience: number,
  ) {}

  init(): Promise<void> {
    return this.driver.init();
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    return {
      executeQuery: <Row>(query: Parameters<DatabaseConnection['executeQuery']>[0]) =>
        retrying(this.patience, () => this.once<Row>(query)),
      streamQuery: () => {
        throw failure('Bug', 'The inventory does not stream queries');
      },
    };
  }

  async beginTransaction(): Promise<void> {
    throw failure('Bug', 'Transactions of the inventory go through Inventory.transaction');
  }

  async commitTransaction(): Promise<void> {}

  async rollbackTransaction(): Promise<void> {}

  async releaseConnection(): Promise<void> {}

  destroy(): Promise<void> {
    return this.driver.destroy();
  }

  private async once<Row>(query: Parameters<DatabaseConnection['executeQuery']>[0]): Promise<QueryResult<Row>> {
    const connection = await this.driver.acquireConnection();
    try {
      return await connection.executeQuery<Row>(query);
    } finally {
      await this.driver.releaseConnection(connection);
    }
  }
}
