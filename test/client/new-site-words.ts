/** Words of `chom` that ask for a site on web1, without a certificate. */
export const newSite = (domain: string, ...more: string[]) => [
  ...['site', 'create', domain],
  ...['--server', 'web1', '--no-tls'],
  ...more,
];

/** The id of the operation that makes a site, in whatever was said. */
export const operationIn = (text: string) => /provision-site-[a-z2-7]{12}/.exec(text)?.[0] ?? '';
