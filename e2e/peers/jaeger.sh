#!/usr/bin/env bash
# Builds Jaeger, without its UI, and its tests of storages with Meshtrail as the
# storage, into the folder that $PEERS_BIN names: TestJaeger and TestJaegersTests
# run them. It takes a checkout of github.com/jaegertracing/jaeger (Apache-2.0) and
# about 20 minutes of two cores. With a checkout of jaegertracing/jaeger-ui (tag
# v2.19.0; Apache-2.0) as a second argument it builds the page, too, which
# TestJaegerUI opens in Chromium: Node 24, a minute.
#
#   PEERS_BIN=… e2e/peers/jaeger.sh CHECKOUT [CHECKOUT OF THE UI]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$PEERS_BIN" && pwd)
cp "$here/jaeger_storage.go.txt" "$1/internal/storage/integration/meshtrail_test.go"
(
	cd "$1"
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$bin/jaeger" ./cmd/jaeger
	go test -c -o "$bin/jaegersuite" ./internal/storage/integration
)
[ $# -gt 1 ] || exit 0
cd "$2"
npm ci --ignore-scripts --no-audit --no-fund
cd packages/jaeger-ui
NODE_ENV=production REACT_APP_VSN_STATE='{}' npx vite build --outDir "$bin/jaeger-ui" --emptyOutDir
