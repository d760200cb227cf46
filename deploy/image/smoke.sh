#!/usr/bin/env bash
# Builds deploy/Dockerfile twice without a Docker engine and without a registry, compares the two images, and runs one
# against sandbox serve as a platform would: read-only root, user 65532, no capability.
#
#   deploy/image/smoke.sh [FOLDER]    keeps the image (OCI layout) and its SBOM in FOLDER
#
# It needs root, Go and Debian's packages. What cannot run here says why and is skipped; what runs and is wrong fails.
# The base image is made from this machine's Go, so the image is not the one to ship: the steps that make it are.
set -euo pipefail
cd "$(dirname "$0")/../.."

most_bytes=20000000
skip() { echo "skipped: $*"; exit 0; }
fail() { echo "image: $*" >&2; exit 1; }

[ "$(uname -s)/$(id -u)" = Linux/0 ] || skip 'building an image without an engine needs Linux and root'
packages=()
for tool in buildah runc umoci jq curl; do command -v "$tool" >/dev/null || packages+=("$tool"); done
[ -x /bin/busybox ] || packages+=(busybox-static)
[ -f /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
if [ ${#packages[@]} -gt 0 ]; then
	command -v apt-get >/dev/null || skip "no ${packages[*]}, and no apt-get to install them"
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"; } >/dev/null 2>&1 ||
		skip "apt-get cannot install ${packages[*]}"
fi

work=$(mktemp -d)
sandbox=
name=batch-terminator-$$
cleanup() {
	runc --root "$work/runc" delete --force "$name" >/dev/null 2>&1 || true
	[ -z "$sandbox" ] || kill "$sandbox" 2>/dev/null || true
	chmod -R u+w "$work" # a module cache is read-only
	rm -rf "$work"
}
trap cleanup EXIT
out=${1:-$work/out}
mkdir -p "$out"
version=${VERSION:-0.0.0-smoke}
revision=$(git rev-parse HEAD)

# buildah in a storage of its own: nothing of it is left on the machine.
buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }

# The base of the build stage: a shell, the certificate authorities, and Go by a mount.
base=$(buildah from scratch 2>"$work/log") || skip "buildah does not work on this machine: $(tail -1 "$work/log")"
root=$(buildah mount "$base")
mkdir -p "$root/bin" "$root/tmp" "$root/etc/ssl/certs"
cp -L /bin/busybox "$root/bin/sh"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
buildah config --env PATH=/usr/local/go/bin:/bin "$base"
buildah commit -q "$base" localhost/go >/dev/null

modules=$(go env GOMODCACHE)/cache/download
go list -deps ./cmd/batch-terminator >/dev/null # has every module that the build takes from there

# construct N FOLDER: builds the image from the sources in FOLDER, with caches of its own.
construct() {
	mkdir "$work/tmp$1"
	(cd "$2" && TMPDIR=$work/tmp$1 buildah bud -q --isolation chroot --pull-never --no-cache --timestamp 0 \
		--volume "$(go env GOROOT):/usr/local/go:ro" --volume "$modules:/modules:ro" \
		--build-arg GO_IMAGE=localhost/go --build-arg GOPROXY=file:///modules \
		--build-arg VERSION="$version" --build-arg REVISION="$revision" \
		-f deploy/Dockerfile -t "localhost/batch-terminator:$1" .) >"$work/log" 2>&1 || { cat "$work/log" >&2; fail 'the build fails'; }
	buildah push -q "localhost/batch-terminator:$1" "oci:$out/image:$1"
}
digest() { jq -r --arg n "$1" '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $n) | .digest' "$out/image/index.json"; }

rm -rf "$out/image"
begun=$SECONDS
construct 1 .
echo "built in $((SECONDS - begun)) s: $(digest 1)"
mkdir "$work/copy"
tar --exclude=./.git -c . | tar -x -m -C "$work/copy" # other path, other times
construct 2 "$work/copy"
[ "$(digest 1)" = "$(digest 2)" ] || fail "two builds of the same sources differ: $(digest 1), $(digest 2)"
echo 'built again from a copy with empty caches: the same digest'

bundle=$work/bundle
umoci unpack --image "$out/image:1" "$bundle" >/dev/null
binary=$bundle/rootfs/batch-terminator
unpacked=$(du -sb --apparent-size "$bundle/rootfs" | cut -f1)
packed=$(jq '[.layers[].size] | add' "$out/image/blobs/sha256/$(digest 1 | cut -d: -f2)")
echo "size: $unpacked bytes unpacked, $packed compressed, in $(find "$bundle/rootfs" -type f | wc -l) files"
[ "$unpacked" -lt $most_bytes ] || fail "$unpacked bytes are more than $most_bytes"
go version -m "$binary" | grep -q CGO_ENABLED=0 || fail 'the binary is not static'
[ "$(jq -r '.config | .User' "$out/image/blobs/sha256/$(jq -r .config.digest "$out/image/blobs/sha256/$(digest 1 | cut -d: -f2)" | cut -d: -f2)")" = 65532:65532 ] ||
	fail 'the image does not say USER 65532:65532'

# The bill of materials, from what the linker wrote into the binary.
GOBIN=$work/bin GOFLAGS='' go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0 2>"$work/log" ||
	{ echo "skipped the SBOM: $(tail -1 "$work/log")"; touch "$work/no-sbom"; }
if [ ! -e "$work/no-sbom" ]; then
	"$work/bin/cyclonedx-gomod" bin -json -std -version "$version" -output "$out/sbom.cdx.json" "$binary" 2>"$work/log" || { cat "$work/log" >&2; fail 'no SBOM'; }
	linked=$(go version -m "$binary" | awk '$1 == "dep" { print $2 "@" $3 }' | sort)
	listed=$(jq -r '.components[] | select(.name != "std") | .name + "@" + .version' "$out/sbom.cdx.json" | sort)
	[ "$linked" = "$listed" ] || fail "the SBOM is not what is linked: $(diff <(echo "$linked") <(echo "$listed"))"
	echo "SBOM: $(echo "$listed" | wc -l) modules and the standard library"
fi


# container NAME=VALUE... -- ARGS...: the image's own binary, as the strictest platform runs it.
container() {
	local env=()
	while [ "$1" != -- ]; do env+=("$1"); shift; done
	shift
	jq --arg env "$(printf '%s\n' "${env[@]}")" --arg root "$bundle/rootfs" \
		'.process += {args: (["/batch-terminator"] + $ARGS.positional), terminal: false, noNewPrivileges: true, capabilities: {}}
		| .process.env += ($env | split("\n") | map(select(. != "")))
		| .root = {path: $root, readonly: true}
		| .linux.namespaces |= map(select(.type != "network" and .type != "cgroup"))' "$bundle/config.json" --args "$@" >"$work/container/config.json"
	exec runc --root "$work/runc" run --bundle "$work/container" "$name"
}

# A shell that does nothing tells whether this machine can run a container at all.
mkdir "$work/container" "$work/trial"
jq --arg root "$root" '.process += {args: ["/bin/sh", "-c", "exit 0"], terminal: false} | .root.path = $root
	| .linux.namespaces |= map(select(.type != "network" and .type != "cgroup"))' "$bundle/config.json" >"$work/trial/config.json"
runc --root "$work/runc" run --bundle "$work/trial" "$name" >"$work/log" 2>&1 </dev/null ||
	skip "runc cannot run a container on this machine: $(tail -1 "$work/log")"

(container -- version) >"$work/version" 2>"$work/log" || fail "version: $(cat "$work/log")"
printf 'batch-terminator %s\nrevision %s\n%s\n' "$version" "$revision" "$(go env GOVERSION)" | diff - "$work/version" ||
	fail 'version does not say what was built'

status=0
(container -- run) >/dev/null 2>"$work/log" || status=$?
[ $status = 2 ] || fail "run without settings exits $status instead of 2: $(cat "$work/log")"

# until_true WHAT COMMAND...: tries for half a minute.
until_true() {
	local what=$1 deadline=$((SECONDS + 30))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || { tail -5 "$work"/*.log >&2; fail "$what: not within 30 s"; }
		sleep 0.1
	done
}

go build -o "$work/sandbox" ./cmd/sandbox
"$work/sandbox" serve --amqp 127.0.0.1:0 --admin 127.0.0.1:0 --batch 127.0.0.1:0 >"$work/sandbox.out" 2>"$work/sandbox.log" &
sandbox=$!
until_true 'sandbox serve' grep -q 'Ctrl-C' "$work/sandbox.out"
eval "$(grep 'export SERVICEBUS_' "$work/sandbox.out")"
services=(SERVICEBUS_CONNECTION_STRING="$SERVICEBUS_CONNECTION_STRING" BATCH_ENDPOINT="$BATCH_ENDPOINT")

(container "${services[@]}" LISTEN=127.0.0.1:0 CONTROL=off -- run) 2>"$work/worker.log" &
worker=$!
until_true 'the admin server' grep -q '"address"' "$work/worker.log"
admin=$(jq -r 'select(.address).address' "$work/worker.log" | head -1)
until_true /healthz curl -fsS "http://$admin/healthz"
until_true /readyz curl -fsS "http://$admin/readyz"
process=$(runc --root "$work/runc" state "$name" | jq .pid)
for want in 'Uid:.65532.65532.65532.65532' 'Gid:.65532.65532.65532.65532' 'CapEff:.0000000000000000' 'CapBnd:.0000000000000000' 'NoNewPrivs:.1'; do
	grep -q "^$want\$" "/proc/$process/status" || fail "the process runs with $(grep "^${want%%:*}:" "/proc/$process/status"), not ${want//./ }"
done
awk '$5 == "/" && $6 ~ /^ro(,|$)/ { found = 1 } END { exit !found }' "/proc/$process/mountinfo" || fail 'its root is not read-only'

env "${services[@]}" "$binary" send --job nightly --task frame-1
until_true 'the request' sh -c "curl -fsS http://$admin/metrics | grep -q '^batch_terminator_deliveries_total{outcome=\"terminated\"} 1\$'"
runc --root "$work/runc" kill "$name" TERM
while kill -0 $worker 2>/dev/null; do # it stays for the scrape that sees how the drain went
	curl -fsS "http://$admin/metrics" >/dev/null 2>&1 || true
	sleep 0.2
done
status=0
wait $worker || status=$?
[ $status = 0 ] || { cat "$work/worker.log" >&2; fail "the drain exits $status"; }
echo 'ran with a read-only root as 65532 without capabilities: ready, one request terminated, drained with exit code 0'
