//go:build !race

package journald

const raceEnabled = false
