import type { RepositoryAccess } from './restic.js';
import { sh, type Script } from './shell.js';

/**
 * Whether who may not delete an object of S3 could still ruin it by writing over it: unless that is refused too, or the
 * storage keeps versions that he cannot delete. `key` names an object of the repository; it is written
 * over with what it holds. restic never does that, so curl does (7.75 on signs; in 7.88 the sum of a body is to be named).
 * Prints `access=append-only` only where that was seen.
 */
export function tryOverwriting({ url, ca }: Pick<RepositoryAccess, 'url' | 'ca'>, key: Script): Script {
  const object = sh`${`${url.slice('s3:'.length)}/`}${key}`;
  const trust = ca === null ? sh`` : sh`--cacert "$CREDENTIALS_DIRECTORY/ca"`;
  return sh`t=$(mktemp -d) || exit 1
trap 'rm -rf "$t"' EXIT
region=us-east-1
# asked ADDRESS OPTIONS…: the status, or 000.
asked() {
  curl --silent --show-error --config "$CREDENTIALS_DIRECTORY/curl" --aws-sigv4 "aws:amz:$region:s3" ${trust} \
    --header 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --max-time 60 --write-out '%{http_code}' "$@" || :
}
status=$(asked --output "$t/object" ${object})
# Signed for another region than the bucket's, which the answer names.
other=$(sed -n 's,.*<Region>\([a-z0-9-]*\)</Region>.*,\1,p' "$t/object" 2>/dev/null | head -n 1)
if [ "$status" != 200 ] && [ -n "$other" ]; then
  region=$other
  status=$(asked --output "$t/object" ${object})
fi
access=deletable
if [ "$status" = 200 ]; then
  status=$(asked --output "$t/said" --dump-header "$t/headers" --upload-file "$t/object" ${object})
  version=$(tr -d '\r' <"$t/headers" | sed -n 's/^x-amz-version-id: *//Ip')
  case "$status $version" in
    '403 ' | '405 ' | '409 ' | '412 ') access=append-only ;;
    '200 ' | '200 null') echo 'what is there can be written over, and the storage keeps no versions' >&2 ;;
    '200 '*)
      # Of two equal ones the newer.
      status=$(asked --output "$t/said" --request DELETE ${object}"?versionId=$version")
      if [ "$status" = 403 ]; then access=append-only; else echo "a version that the storage keeps can be deleted: HTTP $status" >&2; fi
      ;;
    *) echo "whether what is there can be written over is not known: HTTP $status" >&2 ;;
  esac
else echo "what was written is not there for curl: HTTP $status" >&2
fi
echo "access=$access"`;
}
