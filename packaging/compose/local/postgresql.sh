#!/bin/bash
# What the image of PostgreSQL does, in short: an empty volume gets a database, and then the scripts beside it run once.
set -euo pipefail
data=/var/lib/postgresql/data
programs=$(echo /usr/lib/postgresql/*/bin)
install -d -o postgres -g postgres -m 0700 "$data" /var/run/postgresql
as() { setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; }
if [ ! -e "$data/PG_VERSION" ]; then
  as "$programs/initdb" --pgdata "$data" --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --pwfile="$POSTGRES_PASSWORD_FILE" >/dev/null
  echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
  as "$programs/pg_ctl" --pgdata "$data" --wait --options="-c listen_addresses=''" start
  for script in /docker-entrypoint-initdb.d/*.sh; do as sh "$script"; done
  as "$programs/pg_ctl" --pgdata "$data" --wait stop
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups -- "$programs/postgres" -D "$data" -c listen_addresses='*'
