import { z } from 'zod';
import { failure } from './failures.js';

const orderSchema = z.strictObject({ operation: z.string(), input: z.unknown() });

/**
 * What an operation was ordered to do. @throws InvalidInput it was not sealed with a key that we hold, or is no such
 *   input; Forbidden it is for another operation
 */
export function openOrder<Input>(order: unknown, operation: string, input: z.ZodType<Input>): Input {
  const envelope = orderSchema.safeParse(order);
  if (!envelope.success) throw failure('InvalidInput', 'The order is not sealed with a key that this worker holds');
  if (envelope.data.operation !== operation) {
    throw failure('Forbidden', `The order is for operation ${envelope.data.operation}, not for ${operation}`);
  }
  const checked = input.safeParse(envelope.data.input);
  if (!checked.success) throw failure('InvalidInput', z.prettifyError(checked.error));
  return checked.data;
}
