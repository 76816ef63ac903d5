# The two commands a new user needs are "make demo" and "make test".
GO      ?= go
BIN     := bin/meshtrail
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.release=$(VERSION)

.PHONY: help build release demo test check bench fuzz race lint generate clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## build bin/meshtrail, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/meshtrail

release: ## the same, optimised by a profile of the ingest benchmark (a minute more)
	mkdir -p bin
	$(GO) test -run '^$$' -bench 'BenchmarkIngest$$' -benchtime 10s -cpuprofile bin/ingest.pgo -o bin/ingest.test ./internal/app
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -pgo bin/ingest.pgo -o $(BIN) ./cmd/meshtrail
	rm bin/ingest.test

demo: build ## run a complete system with simulated mesh traffic; Ctrl-C ends it
	$(BIN) demo

test: build ## every test, with 50 cycles of kill -9 (under 15 minutes on 2 cores)
	$(GO) vet ./...
	$(GO) test -timeout 15m ./...

# Of its time on two cores lint takes about 3 minutes, race 12, the long tests 15,
# the million of each of 39 decoders 12, and the other targets 8.
check: lint race ## everything: the long tests, race, lint, fuzzing (under 60 minutes)
	MESHTRAIL_LONG=1 $(GO) test -count=1 -timeout 50m ./...
	./e2e/fuzz.sh 1000000x $(DECODERS)
	./e2e/fuzz.sh 8s but $(DECODERS)

# What reads bytes of senders: a million executions of each target in make check.
DECODERS := internal/receive internal/httpd

race: ## the race detector on the packages with goroutines
	$(GO) test -race -timeout 20m $(RACE)

RACE := ./internal/vfs/... ./internal/journal/... ./internal/keyring/... ./internal/ledger/... ./internal/store/... \
        ./internal/identity/... ./internal/audit/... ./internal/httpd/... ./internal/pipeline/... ./internal/receive/... \
        ./internal/spool/... ./internal/forward/... ./internal/tail/... ./internal/query/... ./internal/api/... ./internal/app/...

lint: ## formatting, vet, staticcheck, known vulnerabilities
	@bad=$$(gofmt -l .); test -z "$$bad" || { echo "not formatted:"; echo "$$bad"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	./e2e/vulncheck.sh

FUZZTIME ?= 30s
fuzz: ## fuzz each decoder for FUZZTIME
	./e2e/fuzz.sh $(FUZZTIME)

N ?= 200000
BENCH ?=
bench: build ## measure N records, beside the rivals in the folder PEERS_BIN (BENCH: more flags)
	$(GO) run ./e2e/bench -bin $(BIN) -n $(N) $(BENCH)

generate: ## render the documents that are made from code
	$(GO) generate ./...

clean: ## remove what was built
	rm -rf bin
