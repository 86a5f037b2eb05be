#!/bin/sh
# Starts the gateway of the audit-event pipeline, in one or more replicas; where the catalog is new, with the tenant
# `acme` and a key of it. Ctrl-C stops them. TIDEGATE_CATALOG__URL says where PostgreSQL is, TIDEGATE_REDIS__URL where
# Redis is, KAFKA_SERVER where Kafka is: `cargo xtask services up postgres redis kafka` starts them and prints where.
#
#   ./start.sh [DATA_FOLDER] [REPLICAS]     default: audit-events-data 1
#   TIDEGATE=PROGRAM                        default: tidegate on the path
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${1:-audit-events-data}
replicas=${2:-1}
tidegate=${TIDEGATE:-tidegate}
# The sinks are those of gateway.toml.
unset TIDEGATE_SINKS__KAFKA

running=
stop() {
    for gateway in $running; do kill "$gateway" 2>/dev/null || true; done
    for gateway in $running; do wait "$gateway" || true; done
}
trap stop EXIT
trap 'exit 130' INT TERM

# Replica N is node-N, in a data folder of its own, on ports of its own: 8080 to 8082, 8180 to 8182, ...
start() {
    folder=$data/node-$1
    mkdir -p "$folder"
    # What a run before has left says nothing of this one.
    rm -f "$folder/addresses.json"
    port=$((8080 + ($1 - 1) * 100))
    TIDEGATE_NODE__NAME=node-$1 \
    TIDEGATE_INGRESS__ADDRESS=${TIDEGATE_INGRESS__ADDRESS:-127.0.0.1:$port} \
    TIDEGATE_ADMIN__ADDRESS=${TIDEGATE_ADMIN__ADDRESS:-127.0.0.1:$((port + 1))} \
    TIDEGATE_TELEMETRY__METRICS_ADDRESS=${TIDEGATE_TELEMETRY__METRICS_ADDRESS:-127.0.0.1:$((port + 2))} \
        "$tidegate" serve --config "$here/gateway.toml" --data-dir "$folder" &
    gateway=$!
    running="$running $gateway"
    until [ -s "$folder/addresses.json" ]; do
        kill -0 "$gateway"
        sleep 0.1
    done
}

# Replicas share the catalog: what one is told, all do.
admin() { "$tidegate" --data-dir "$data/node-1" "$@"; }

start 1
if ! admin tenant list | grep -q '^acme '; then
    admin tenant create acme
    admin revision apply --tenant acme --activate "$here/revision.json"
fi
if [ ! -s "$data/key" ]; then
    (umask 077 && admin key create --tenant acme --name example \
        --scope events:write --scope events:read --rate-limit 10000 >"$data/key")
fi
n=2
while [ "$n" -le "$replicas" ]; do
    start "$n"
    n=$((n + 1))
done
echo "ready: events of the tenant acme go to POST /v1/events, with X-API-Key from $data/key" >&2
wait
