/** Let's Encrypt's own names for them: https://letsencrypt.org/getting-started/ and /docs/staging-environment/ (2026-11). */
const DIRECTORIES: Record<string, string> = {
  letsencrypt: 'https://acme-v02.api.letsencrypt.org/directory',
  'letsencrypt-staging': 'https://acme-staging-v02.api.letsencrypt.org/directory',
};

/** The directory's URL for the setting CHOM_ACME_DIRECTORY: a URL, `letsencrypt` or `letsencrypt-staging`. */
export function directoryUrl(setting: string): string {
  return DIRECTORIES[setting] ?? setting;
}
