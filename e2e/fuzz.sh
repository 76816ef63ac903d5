#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time or number of
# executions, two at a time with one worker each. Folders after it narrow the
# targets down to theirs; with "but" before them, to all others. It fails with
# the first failing target, and when it finds no target at all.
#
#   e2e/fuzz.sh 30s
#   e2e/fuzz.sh 1000000x internal/receive
#   e2e/fuzz.sh 10s but internal/receive
set -euo pipefail
cd "$(dirname "$0")/.."

# The toolchain sometimes reports its own deadline as a failure ("context
# deadline exceeded" without a failing input): only that case is tried again.
fuzz() {
	local dir=$1 target=$2 time=$3 out
	for _ in 1 2 3; do
		if out=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -parallel 1 "$dir" 2>&1); then
			echo "fuzzed $dir $target: $(grep -oE 'execs: [0-9]+' <<<"$out" | tail -n 1)"
			return 0
		fi
		if ! grep -q 'context deadline exceeded' <<<"$out" || grep -q 'Failing input' <<<"$out"; then
			break
		fi
	done
	printf 'FAILED %s %s\n%s\n' "$dir" "$target" "$out"
	return 255 # xargs starts no more
}
export -f fuzz

time=${1:-30s}
shift || true
match=(-E)
if [ "${1:-}" = but ]; then
	match+=(-v)
	shift
fi
folders=.
[ $# -eq 0 ] || folders=$(printf '|^%s/' "$@")
targets=$(git ls-files '*_test.go' | grep "${match[@]}" "${folders#|}" | xargs grep -oE '^func Fuzz[A-Za-z0-9_]+' | sort -u |
	sed -E 's|^(.*)/[^/]+:func (.*)$|./\1 \2|')
[ -n "$targets" ] || { echo "no fuzz target found"; exit 1; }
xargs -P 2 -L 1 bash -c 'fuzz "$1" "$2" "$0"' "$time" <<<"$targets"
echo "fuzzed $(wc -l <<<"$targets") targets"
