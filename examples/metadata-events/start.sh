#!/bin/sh
# Starts the gateway of the metadata-event system; where it is new, with the tenant `acme` and an API key for
# its edge connector in the data folder's `edge-key`. Ctrl-C stops it.
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
if [ ! -s "$data/edge-key" ]; then
    admin tenant create acme
    admin schema put --tenant acme ingest-event "$here/ingest-event.schema.json"
    admin revision apply --tenant acme --activate "$here/revision.json"
    (umask 077 && admin key create --tenant acme --name edge >"$data/edge-key.new")
    mv "$data/edge-key.new" "$data/edge-key"
fi
echo "ready: events of the tenant acme go to POST /v1/events; its key is in $data/edge-key" >&2
wait "$gateway"
