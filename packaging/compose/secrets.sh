#!/bin/sh
# Makes ./secrets, once: what is there already stays. Containers of several users read the files, and they alone:
# nobody else on this machine gets into the directory.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
make() {
  [ -e "secrets/$1" ] && return
  printf '%s' "$2" >"secrets/$1.part"
  chmod 0444 "secrets/$1.part"
  mv "secrets/$1.part" "secrets/$1"
}
for name in postgres-password temporal-password chom-password codec-token grafana-password; do
  make "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
done
make chom-database-url "postgres://chom:$(cat secrets/chom-password)@postgresql:5432/chom"
