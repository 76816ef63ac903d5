#!/usr/bin/env bash
# Builds Jaeger, without its UI, and its tests of storages with Meshtrail as the
# storage, into the folder that $PEERS_BIN names: TestJaeger and TestJaegersTests
# run them. It takes a checkout of github.com/jaegertracing/jaeger (Apache-2.0) and
# about 20 minutes of two cores.
#
#   PEERS_BIN=… e2e/peers/jaeger.sh CHECKOUT
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$PEERS_BIN" && pwd)
cp "$here/jaeger_storage.go.txt" "$1/internal/storage/integration/meshtrail_test.go"
cd "$1"
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$bin/jaeger" ./cmd/jaeger
go test -c -o "$bin/jaegersuite" ./internal/storage/integration
