#!/usr/bin/env bash
# Draws the dashboard as it looks after five faults: plays them with "sandbox drill" for a quarter of an hour under a real
# Prometheus, and has Chromium draw batch-terminator.json with Grafana's own components. For the pictures of README.md only;
# CI does not run it. Needs go, node, prometheus, chromium and pngquant, and the ports 9400 and 9401 of this machine.
#
#	render.sh            plays, records and draws
#	render.sh DIRECTORY  keeps the recording there, or draws from the one that is there
set -euo pipefail
cd "$(dirname "$0")"
pictures=$(cd .. && pwd)
scratch=$(mktemp -d)
recording=${1:-$scratch/recording}
mkdir -p "$recording"
recording=$(cd "$recording" && pwd)
running=()
finish() {
	for process in "${running[@]}"; do
		kill "$process" 2>/dev/null && wait "$process" || true
	done
	rm -rf "$scratch"
}
trap finish EXIT

# What ends as a page: the dashboard beside a copy of this folder, where the packages are installed.
cp -r . "$scratch/preview"
cp ../batch-terminator.json "$scratch"
(cd "$scratch/preview" && npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel error && npm run build -- --logLevel error)

prometheus --config.file=prometheus.yml --storage.tsdb.path="$recording/data" --web.listen-address=127.0.0.1:9401 \
	--web.user-assets="$scratch/preview/dist" 2>"$scratch/prometheus.log" &
running+=($!)
if [ ! -e "$recording/until" ]; then
	(cd ../../.. && go build -o "$scratch/sandbox" ./cmd/sandbox)
	date +%s >"$recording/since"
	"$scratch/sandbox" drill --blind --for 60s --rest 90s --logs "$recording" | tee "$recording/drill.txt"
	date +%s >"$recording/until"
fi
until curl -sf -o /dev/null 127.0.0.1:9401/-/ready; do sleep 0.2; done

# draw FILE HEIGHT [ROW,...]: a picture of the rows whose titles begin so, or of all.
draw() {
	chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync \
		--hide-scrollbars --user-data-dir="$scratch/chromium" --window-size="1600,$2" --virtual-time-budget=60000 --screenshot="$scratch/picture.png" \
		"http://127.0.0.1:9401/user/index.html?from=$(cat "$recording/since")&to=$(cat "$recording/until")${3:+&rows=$3}" 2>"$scratch/chromium.log" ||
		{ cat "$scratch/chromium.log" >&2; exit 1; }
	pngquant --force --strip --output "$pictures/$1" 64 "$scratch/picture.png"
	ls -l "$pictures/$1"
}
draw overview.png 1790 'Is,Throughput,Azure'
draw all.png 4810
