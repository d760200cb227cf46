#!/bin/sh
# Checks the Bicep files as far as that goes without the Bicep compiler: check.mjs says what it looks at. Needs Node and npm.
# Types are checked where their descriptions are (files of Azure/bicep-types-az, one a provider and version): in
# $BICEP_TYPES, or beside the repository. Exit 0: nothing was found, and every file of wrong/ was found wrong as it says.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	echo 'skipped: no node or no npm on this machine'
	exit 0
fi
types=${BICEP_TYPES:-$here/../../../../shared/reference/bicep-types}
if [ ! -d "$types" ]; then
	echo 'types are skipped: no type descriptions on this machine; set BICEP_TYPES to their folder'
	types=
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cp "$here"/*.mjs "$here"/package.json "$here"/package-lock.json "$work"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
TYPES=$types node "$work/check.mjs" "$here/wrong" "$here/../main.bicep" "$here"/../modules/*.bicep
