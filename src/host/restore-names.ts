import { paths } from './paths.js';
import { sh, type Script } from './shell.js';

/** Where CHOM wrote a site's id when it made the site: the name of its database, and of who logs in there. */
const SETTINGS = ['app/.env', 'shared/.env', 'app/wp-config.php'];

/**
 * Makes what was restored from one site know itself as another one: its id in the settings, and in links that lead into its
 * own directories. Without that it would ask for the database of a site that may be gone. A command; nothing for one site.
 * `tree` is root's alone, and holds `app` and `shared`.
 */
export function takeNames(tree: string, { from, site }: { from: string; site: string }): Script {
  if (from === site) return sh`:`;
  const [old, now] = [paths.root(from), paths.root(site)];
  const relink = sh`for link do
  to=$(readlink "$link") && ln -sfT ${`${now}/`}"\${to#/srv/chom/*/}" "$link" || exit 1
done`;
  return sh`{
  for file in ${SETTINGS.map((name) => `${tree}/${name}`)}; do
    if [ -f "$file" ] && [ ! -L "$file" ] && grep -qF ${from} "$file"; then
      sed ${`s/${from}/${site}/g`} "$file" >${`${tree}/.settings`} && cat ${`${tree}/.settings`} >"$file" || exit 1
      rm -f ${`${tree}/.settings`}
    fi
  done
  find ${tree} -type l -lname ${`${old}/*`} -exec sh -c ${relink.script} sh {} +
}`;
}
