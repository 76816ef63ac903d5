//go:build !race

package kubeaudit

const raceEnabled = false
