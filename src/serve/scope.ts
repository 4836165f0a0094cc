import { SCOPES, type Scope } from '../inventory/api-tokens.js';
import { failure } from '../workflows/failures.js';

/** @throws Forbidden a token of the scope `has` may not do what wants `needs` */
export function refuseScope(has: Scope, needs: Scope): void {
  if (SCOPES.indexOf(has) >= SCOPES.indexOf(needs)) return;
  throw failure('Forbidden', `The token may not do this: its scope is ${has}`, {
    cause: `it wants the scope ${needs}`,
    next: `ask the administrator for a token: chom token create NAME --scope ${needs}`,
  });
}
