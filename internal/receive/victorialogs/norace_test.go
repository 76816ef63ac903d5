//go:build !race

package victorialogs

const raceEnabled = false
