import { expect } from 'vitest';
import { poll } from '../../lab/poll.js';
import * as events from '../../src/inventory/events.js';
import { httpReceiver } from '../delivery/receiver.js';
import type { Rig } from './rig.js';

/** A real HTTP server that the rig's worker tells of everything from now on. */
export interface Told {
  /**
   * Waits until it was told of all that is on record, and sees that it was: an operation's events in their order, each type
   * of them once. Returns the types.
   */
  all(): Promise<string[]>;
  close(): Promise<void>;
}

/** As an operator adds a webhook. Close it when the rig is down. */
export async function toldOf(rig: Rig): Promise<Told> {
  const { db } = rig.inventory;
  const recorded = async () => await events.list(db, { limit: 10_000 });
  const before = (await recorded()).at(-1)?.seq ?? 0;
  const { url, received, close } = await httpReceiver((response) => response.end());
  await rig.chom.must('webhook', 'add', 'all', '--url', url, '--allow-private');
  return {
    close,
    async all() {
      const expected = (await recorded()).filter(({ seq }) => seq > before);
      const told = () => {
        const messages = received.map(({ headers, body }) => {
          const { operation, type } = JSON.parse(body) as { operation: string; type: string };
          return { id: String(headers['webhook-id']), operation, type };
        });
        // A worker that is killed before it has noted what it sent has the next one send it again, under the same id.
        return messages.filter(({ id }, at) => messages.findIndex((one) => one.id === id) === at);
      };
      await poll('the webhook is told of everything', 120_000, async () => told().length >= expected.length);
      const byOperation = (all: readonly { operation: string; type: string }[]) => {
        const types = new Map<string, string[]>();
        for (const { operation, type } of all) types.set(operation, [...(types.get(operation) ?? []), type]);
        return types;
      };
      const [said, meant] = [byOperation(told()), byOperation(expected)];
      expect(said).toEqual(meant);
      for (const types of said.values()) expect(new Set(types).size).toBe(types.length);
      return [...new Set(expected.map(({ type }) => type))];
    },
  };
}
