#!/bin/sh
# Starts the gateway of the metadata-event system; where it is new, with the tenant `acme`. Ctrl-C stops it.
# TIDEGATE_REDIS__URL says where Redis is, TIDEGATE_JWT__ISSUERS whose tokens count, AWS_ENDPOINT_URL_KINESIS and
# AWS_ENDPOINT_URL_CLOUDWATCH where those are that are not Amazon's: `cargo xtask services up redis oidc kinesis cloudwatch`
# starts them and prints where. The streams events-raw and events-quarantine must be there.
#
#   ./start.sh [DATA_FOLDER]        default: metadata-events-data
#   TIDEGATE=PROGRAM                default: tidegate on the path
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${1:-metadata-events-data}
tidegate=${TIDEGATE:-tidegate}

# What a run before has left says nothing of this one.
rm -f "$data/addresses.json"
"$tidegate" serve --config "$here/gateway.toml" --data-dir "$data" &
gateway=$!
trap 'kill "$gateway" 2>/dev/null || true; wait "$gateway" || true' EXIT
trap 'exit 130' INT TERM

until [ -s "$data/addresses.json" ]; do
    kill -0 "$gateway"
    sleep 0.1
done
admin() { "$tidegate" --data-dir "$data" "$@"; }
if [ ! -e "$data/prepared" ]; then
    admin tenant create acme
    admin schema put --tenant acme ingest-event "$here/ingest-event.schema.json"
    admin revision apply --tenant acme --activate "$here/revision.json"
    touch "$data/prepared"
fi
echo "ready: events of the tenant acme go to POST /v1/events; with a token for it" >&2
wait "$gateway"
