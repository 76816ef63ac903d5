#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time or number of
# executions, the targets of two packages at a time with one worker each. Folders
# after it narrow the targets down to theirs; with "but" before them, to all
# others. It fails with the first failing target, and when it finds no target at
# all.
#
#   e2e/fuzz.sh 30s
#   e2e/fuzz.sh 1000000x internal/receive
#   e2e/fuzz.sh 10s but internal/receive
#
# It is "go test -fuzz" with two differences, which make an execution ten times
# cheaper. Only our own code is instrumented: the fuzzer goes through the counters of
# the whole program after each execution, and most of them were those of libraries
# for HTTP and metrics. And what it finds is not made smaller: it counts those
# executions too, and spent up to two thirds of a million on one input. The inputs
# that it keeps lie where "go test -fuzz" has them.
set -euo pipefail
cd "$(dirname "$0")/.."
module=$(go list -m)
cache=$(go env GOCACHE)/fuzz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export module cache work

# The toolchain sometimes reports its own deadline as a failure ("context
# deadline exceeded" without a failing input): only that case is tried again.
fuzz() {
	local dir=$1 target=$2 time=$3 binary=$4 out
	set -o pipefail
	for _ in 1 2 3; do
		if out=$(cd "$dir" && GOMAXPROCS=1 "$binary" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$time" \
			-test.fuzzminimizetime 1x -test.parallel 1 -test.fuzzcachedir "$cache/$module/$dir" 2>&1 | tr -d '\0'); then
			echo "fuzzed $dir $target: $(grep -oE 'elapsed: [^,]*, execs: [0-9]+' <<<"$out" | tail -n 1)"
			return 0
		fi
		if ! grep -q 'context deadline exceeded' <<<"$out" || grep -q 'Failing input' <<<"$out"; then
			break
		fi
	done
	printf 'FAILED ./%s %s\n%s\n' "$dir" "$target" "$out"
	return 255 # xargs starts no more
}

# package fuzzes targets of one package, one after the other.
package() {
	local time=$1 dir=$2 binary=$work/${2//\//.} target
	shift 2
	go test -c -gcflags="$module/...=-d=libfuzzer=1" -ldflags='-s -w' -o "$binary" "./$dir" || return 255
	for target; do
		fuzz "$dir" "$target" "$time" "$binary" || return 255
	done
	rm "$binary"
}
export -f fuzz package

time=${1:-30s}
shift || true
match=(-E)
if [ "${1:-}" = but ]; then
	match+=(-v)
	shift
fi
folders=.
[ $# -eq 0 ] || folders=$(printf '|^%s/' "$@")
# Of each package one line: its folder, and its targets.
targets=$(git ls-files '*_test.go' | grep "${match[@]}" "${folders#|}" | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+' | sort -u |
	sed -E 's|^(.*)/[^/]+:func (.*)$|\1 \2|' | awk '{ t[$1] = t[$1] " " $2 } END { for (d in t) print d t[d] }' | sort)
[ -n "$targets" ] || { echo "no fuzz target found"; exit 1; }
xargs -P 2 -L 1 bash -c 'package "$0" "$@"' "$time" <<<"$targets"
echo "fuzzed $(($(wc -w <<<"$targets") - $(wc -l <<<"$targets"))) targets"
