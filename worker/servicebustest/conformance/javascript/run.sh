#!/bin/sh
# Runs smoke.mjs with the JavaScript SDK against `sandbox serve`: plain, with TLS, and over WebSocket. Needs Node and
# npm; npm installs the SDK to a temporary folder. Exit 0: every scenario passed each time.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
server=
stop() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM

(cd "$here/../../../.." && go build -o "$work/sandbox" ./cmd/sandbox)
cp "$here"/smoke.mjs "$here"/package.json "$here"/package-lock.json "$work"
(cd "$work" && npm ci --no-audit --no-fund --loglevel=error)

amqp=${AMQP_PORT:-25672} tls=${TLS_PORT:-25671} admin=${ADMIN_PORT:-25300}
"$work/sandbox" serve --config "$here/entities.json" --amqp "127.0.0.1:$amqp" --tls "127.0.0.1:$tls" \
	--admin "127.0.0.1:$admin" --batch 127.0.0.1:0 --ca-file "$work/authority.pem" >"$work/serve.log" 2>&1 &
server=$!
tries=0
until curl --silent --fail --output /dev/null "http://127.0.0.1:$admin/health"; do
	tries=$((tries + 1))
	if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
		echo "sandbox serve did not become healthy:" >&2
		cat "$work/serve.log" >&2
		exit 1
	fi
	sleep 0.1
done

key='SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE'
export NODE_EXTRA_CA_CERTS="$work/authority.pem"
cd "$work"
echo "plain:"
SERVICEBUS_CONNECTION_STRING="Endpoint=sb://localhost:$amqp;$key;UseDevelopmentEmulator=true" node smoke.mjs
echo "TLS, with administration:"
SERVICEBUS_CONNECTION_STRING="Endpoint=sb://localhost:$tls;$key" SERVICEBUS_CUSTOM_ENDPOINT="sb://localhost:$tls" \
	SERVICEBUS_ADMINISTRATION=1 node smoke.mjs
echo "WebSocket:"
SERVICEBUS_CONNECTION_STRING="Endpoint=sb://localhost:$tls;$key" SERVICEBUS_WEBSOCKETS=1 node smoke.mjs
