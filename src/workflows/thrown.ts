/** What was thrown, as one line of its own words; anything can be thrown, not only errors. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The same with the error's name, for what nobody expected: it says what kind of defect it is. */
export function nameAndMessageOf(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
}
