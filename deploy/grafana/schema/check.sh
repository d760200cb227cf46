#!/usr/bin/env bash
# Holds the dashboard to a JSON schema that is made from Grafana's published types. Nothing of them is kept. Needs Node.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	echo 'skipped: no node or no npm on this machine'
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp package.json package-lock.json check.mjs "$work"
npm ci --prefix "$work" --no-audit --no-fund --ignore-scripts --loglevel error >/dev/null
node "$work/check.mjs" "${1:-../batch-terminator.json}"
