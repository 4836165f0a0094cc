/** The site that the others make: what CHOM makes of user, directories and nginx, in their own plain way. */
export interface PlainSite {
  user: string;
  domain: string;
  root: string;
  page: string;
  /** Path and text of its nginx file. */
  path: string;
  text: string;
}

export function plainSite(turn: string): PlainSite {
  const user = `bench-${turn}`;
  const domain = `${user}.bench.test`;
  const root = `/srv/bench/${user}`;
  const text = `server {
    listen 80;
    server_name ${domain};
    server_tokens off;
    access_log /var/log/nginx/${user}.access.log;
    error_log /var/log/nginx/${user}.error.log;
    root ${root}/app;
    index index.html;
    location / {
        try_files $uri $uri/ =404;
    }
    location ~* \\.(?:php|phar|phtml)$ {
        return 404;
    }
}
`;
  return { user, domain, root, page: `<h1>${domain}</h1>\n`, path: `/etc/nginx/conf.d/${user}.conf`, text };
}
