#!/usr/bin/env bash
# A service: train on a history, serve the model over HTTP, post new hours, read findings and metrics.
# docs/users/service.sh BINARY
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
funnelpulse=$(realpath "$1")
folder=$(mktemp -d)
service=
stop() {
    [ -z "$service" ] || kill "$service" 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT
cd "$folder"

"$funnelpulse" generate --brands 4 --days 60 --out shop --quiet
"$funnelpulse" train --input shop/hourly.parquet --model model --quiet --set 'pipeline.detectors=["zscore", "incidents"]'
# Of the whole workspace: what its tests have compiled serves.
cargo build --quiet --workspace --bin http-service --manifest-path "$root/Cargo.toml"
"${CARGO_TARGET_DIR:-$root/target}/debug/http-service" model 127.0.0.1:0 2>log.txt &
service=$!
for _ in $(seq 100); do
    address=$(sed -n 's#^listening on ##p' log.txt)
    [ -z "$address" ] || break
    sleep 0.1
done
python3 - "$address" <<'EOF'
import json, sys, urllib.request

def ask(path, rows=None):
    body = None if rows is None else json.dumps(rows).encode()
    request = urllib.request.Request(sys.argv[1] + path, body, {"content-type": "application/json"})
    return urllib.request.urlopen(request, timeout=30).read().decode()

assert ask("/healthz") == "ok"
hour = {"brand": "brand_001", "window_start": "2019-11-30T00:00:00Z", "views": 500, "carts": 90, "purchases": 0, "revenue": 0}
answer = json.loads(ask("/hours", [hour]))
print(json.dumps(answer)[:200])
assert answer["now"].startswith("2019-11-30")
print(next(line for line in ask("/metrics").splitlines() if not line.startswith("#")))
ask("/reload", [])
EOF
echo "service: done in $SECONDS seconds"
