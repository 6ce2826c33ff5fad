#!/usr/bin/env bash
# check.sh FUNNELPULSE [PORT]: runs the five commands of README.md, as they stand there, in an empty folder, until the
# stream prints an alert, and looks for rows in the topic of the results. FUNNELPULSE is a binary with the feature `kafka`.
# Another port and another folder of the broker than on the page, so that one that is there already is left alone.
# Prints the alert; status 1 where none comes within five minutes.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: check.sh FUNNELPULSE [PORT]" >&2; exit 2; }
binary=$(realpath "$1") port=${2:-19092} here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
pid="" stream="" started=$SECONDS
finish() {
    # shellcheck disable=SC2046
    kill $pid $(jobs -p) 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
mkdir "$folder/bin"
ln -s "$binary" "$folder/bin/funnelpulse"
export PATH="$folder/bin:$PATH"
cp "$here"/{broker.sh,pom.xml,alerts.toml} "$folder"
cd "$folder"

# Commands begin with a prompt; a backslash continues them.
five=$(awk '/^\$ / {n++; sub(/^\$ /, ""); more = 1} more && n <= 5 {print; more = /\\$/}' "$here/README.md" |
    sed -e "s/9092/$port/g" -e "s|/tmp/kafka|$folder/kafka|g")
printf '%s\n' "$five" >&2
# The last of them runs until it is stopped.
eval "$five >alerts.jsonl &"
stream=$!

until [ -s alerts.jsonl ]; do
    kill -0 "$stream" 2>/dev/null || { echo "the stream ended" >&2; exit 1; }
    [ $((SECONDS - started)) -lt 300 ] || { echo "no alert within five minutes" >&2; exit 1; }
    sleep 1
done
head -n 1 alerts.jsonl
echo "an alert after $((SECONDS - started)) s" >&2

# SIGTERM ends the stream in order; rows are in the topic by then.
kill "$stream"
wait "$stream"
java -cp "${KAFKA_LIBS:-${XDG_CACHE_HOME:-$HOME/.cache}/funnelpulse/kafka-libs}/*" \
    org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "localhost:$port" --topic anomalies \
    --from-beginning --isolation-level read_committed --max-messages 1 --timeout-ms 30000 2>consumer.log | grep '"revision"' >&2 ||
    { cat consumer.log >&2; exit 1; }
