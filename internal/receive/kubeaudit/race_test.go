//go:build race

package kubeaudit

// raceEnabled: the detector allocates on its own.
const raceEnabled = true
