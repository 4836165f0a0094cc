#!/bin/sh
set -eu
name=default
temporal operator namespace describe --namespace "$name" >/dev/null 2>&1 ||
  temporal operator namespace create --namespace "$name" --retention 720h
temporal operator namespace update --namespace "$name" --retention 720h
temporal operator search-attribute create --namespace "$name" \
  --name Tenant --type Keyword --name Server --type Keyword --name Site --type Keyword --name Operation --type Keyword
