//go:build !race

package firehose

const raceEnabled = false
