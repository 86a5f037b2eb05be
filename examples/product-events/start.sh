#!/bin/sh
# Starts the product-event service; where it is new, with the tenant whose events it takes. Ctrl-C stops it.
# KAFKA_SERVER says where Kafka is, other variables the rest: see gateway.toml.
#
#   ./start.sh [DATA_FOLDER]        default: product-events-data
#   TIDEGATE=PROGRAM                default: tidegate on the path
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${1:-product-events-data}
tidegate=${TIDEGATE:-tidegate}
# The sinks are those of gateway.toml.
unset TIDEGATE_SINKS__KAFKA

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
    admin tenant create web
    admin schema put --tenant web product-event "$here/product-event.schema.json"
    admin revision apply --tenant web --activate "$here/revision.json"
    touch "$data/prepared"
fi
echo "ready: events go to POST /events" >&2
wait "$gateway"
