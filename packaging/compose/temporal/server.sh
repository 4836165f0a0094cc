#!/bin/sh
set -eu
POSTGRES_PWD=$(cat /run/secrets/temporal-password)
TEMPORAL_BROADCAST_ADDRESS=$(hostname -i)
export POSTGRES_PWD TEMPORAL_BROADCAST_ADDRESS
exec temporal-server --allow-no-auth start
