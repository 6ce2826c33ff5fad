#!/usr/bin/env bash
# The first hour of an analyst: find, look closer, say what was right, train again.
# docs/users/analyst.sh BINARY
set -euo pipefail
funnelpulse=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

"$funnelpulse" generate --brands 6 --days 60 --out shop --quiet
# Two detectors are enough for a first look, and take a second.
"$funnelpulse" run --input shop/hourly.parquet --output found --report found/report.html --model model --quiet \
    --set 'pipeline.detectors=["zscore", "incidents"]' >found.txt
for file in found/report.html found/incidents.jsonl found/summary.json model; do
    [ -e "$file" ] || { echo "$file is missing"; exit 1; }
done

# The most important incident: its hour in full, and as a picture.
python3 - <<'EOF' >first.txt
import json
incidents = [json.loads(line) for line in open("found/incidents.jsonl")]
first = next(incident for incident in incidents if incident["series"].startswith("brand_"))
print(first["series"], first["start"], first["end"])
EOF
read -r series start end <first.txt
"$funnelpulse" explain --model model --input shop/hourly.parquet --series "$series" --time "$start" --plot hour.svg >hour.txt
grep --quiet "threshold" hour.svg
head -n 3 hour.txt

# What the report exports when an incident is marked as right.
printf 'series,start,end,verdict\n%s,%s,%s,incident\n' "$series" "$start" "$end" >feedback.csv
"$funnelpulse" train --input shop/hourly.parquet --feedback feedback.csv --model again --quiet \
    --set 'pipeline.detectors=["zscore", "incidents"]'
"$funnelpulse" detect --model again --input shop/hourly.parquet --output found-again --quiet >again.txt
[ -s found-again/incidents.jsonl ]
echo "analyst: done in $SECONDS seconds"
