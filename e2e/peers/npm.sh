#!/usr/bin/env bash
# Runs a session of JavaScript clients against a server of its own: elastic.mjs (the
# official client of Elasticsearch) or shippers.mjs (loggers, each in its own
# protocol). It needs node and, once, a registry to install them from; where it has
# not, it says so and ends well.
#
#   e2e/peers/npm.sh elastic|shippers [MESHTRAIL]
set -euo pipefail
case ${1:-} in
elastic) packages="@elastic/elasticsearch@8" ;;
shippers) packages="@elastic/elasticsearch@8 @datadog/datadog-api-client@1 splunk-logging@0.11 winston@3 winston-elasticsearch@0.19 pino@9 pino-elasticsearch@9" ;;
*) echo "usage: $0 elastic|shippers [MESHTRAIL]" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
command -v node >/dev/null || { echo "skipped: there is no node"; exit 0; }
dir=$(mktemp -d)
server=
finish() {
	[ -z "$server" ] || { kill "$server" && wait "$server" || true; } 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
if ! (cd "$dir" && timeout 240 npm install --silent --no-audit --no-fund --ignore-scripts $packages >npm.log 2>&1); then
	echo "skipped: $packages can not be installed: $(tail -n 1 "$dir/npm.log")"
	exit 0
fi
binary=${2:-}
if [ -z "$binary" ]; then
	binary=$dir/meshtrail
	(cd "$here/../.." && go build -o "$binary" ./cmd/meshtrail)
fi
"$binary" init --data "$dir/data" >"$dir/init.log"
"$binary" serve --data "$dir/data" --listen 127.0.0.1:0 >"$dir/serve.log" 2>&1 &
server=$!
for _ in $(seq 100); do
	grep -q '^ready ' "$dir/serve.log" && break
	kill -0 "$server" || { cat "$dir/serve.log"; exit 1; }
	sleep 0.2
done
cp "$here/$1.mjs" "$dir/session.mjs"
URL=$(sed -n 's/^ready //p' "$dir/serve.log") TOKEN=$(cat "$dir/data/admin.token") timeout 120 node "$dir/session.mjs"
