#!/bin/sh
# A role and a database for each of the two that need one; neither gets into the other's.
set -eu
for name in temporal chom; do
  psql --set ON_ERROR_STOP=1 --username postgres --dbname postgres --quiet \
    --set name="$name" --set password="$(cat "/run/secrets/$name-password")" <<'SQL'
create role :"name" login password :'password';
create database :"name" owner :"name";
revoke connect on database :"name" from public;
SQL
done
psql --set ON_ERROR_STOP=1 --username postgres --dbname postgres --quiet <<'SQL'
create database temporal_visibility owner temporal;
revoke connect on database temporal_visibility from public;
SQL
