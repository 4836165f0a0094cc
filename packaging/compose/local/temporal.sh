#!/bin/sh
# The development server in the place of the full one, with the same settings.
set -eu
set --
while IFS= read -r line; do
  case $line in
    *'[{ value: '*)
      value=${line#*'[{ value: '}
      value=${value%' }]'}
      case $value in [0-9]*ms) value="\"$value\"" ;; esac
      set -- "$@" --dynamic-config-value "${line%%:*}=$value"
      ;;
  esac
done </etc/chom-temporal/dynamic-config.yaml
exec temporal server start-dev --ip 0.0.0.0 --db-filename /tmp/temporal.db --log-level warn "$@"
