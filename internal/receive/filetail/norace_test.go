//go:build !race

package filetail

const raceEnabled = false
