#!/bin/sh
set -eu
SQL_PASSWORD=$(cat /run/secrets/temporal-password)
export SQL_PASSWORD
for database in temporal temporal_visibility; do
  schema=temporal
  [ "$database" = temporal ] || schema=visibility
  tool() { temporal-sql-tool --plugin postgres12 --ep postgresql --port 5432 --user temporal --db "$database" "$@"; }
  # Where there is a version already it stays.
  tool setup-schema --version 0.0
  tool update-schema --schema-name "postgresql/v12/$schema"
done
