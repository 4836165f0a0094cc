/** Settings that are set, without what is secret in them. */
export function plainSettings(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('CHOM_') || value === undefined || value === '') continue;
    // Where its data lies the next machine says for itself.
    if (/PASSWORD|SECRET|TOKEN|^CHOM_HOME$/.test(name)) continue;
    kept[name] = withoutPassword(value);
  }
  return kept;
}

/** An address without its password. */
export function withoutPassword(text: string): string {
  if (!URL.canParse(text)) return text;
  const url = new URL(text);
  if (url.password === '' && !url.searchParams.has('password')) return text;
  url.password = '';
  url.searchParams.delete('password');
  return String(url);
}
