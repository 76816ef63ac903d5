//go:build !race

package normalise

const raceEnabled = false
