import { join } from 'node:path';
import type { InventoryLocation } from './database.js';

/** Where the settings say that the inventory is. */
export function inventoryLocation({
  home,
  databaseUrl,
}: {
  home: string;
  databaseUrl: string | undefined;
}): InventoryLocation {
  return databaseUrl === undefined ? { file: join(home, 'inventory.db') } : { url: databaseUrl };
}
