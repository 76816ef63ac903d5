package normalise

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
)

// Platforms returns the platforms that a sender may declare.
func Platforms() []string {
	return []string{"cilium", "consul", "envoy", "hubble", "istio", "kuma", "linkerd"}
}

// Known reports whether a sender may declare the platform. "" declares none.
func Known(platform string) bool { return platform == "" || slices.Contains(Platforms(), platform) }

type platforms struct{}

func platformMark(string) uint64 { return 0 }

func (n *Normaliser) platformObject(*jsonscan.Object, string) bool { return false }

func (n *Normaliser) platformText([]byte, string) bool { return false }
