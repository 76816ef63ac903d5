//go:build !race

package jaeger

const raceEnabled = false
