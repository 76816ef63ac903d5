package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set at link time (-X main.release=1.2.3) for released binaries.
var release = "dev"

// version names the build: the release, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if release != "dev" || !ok {
		return release
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = "-" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-modified"
		}
	}
	return release + revision + dirty
}

func newVersion(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Prints the version, the Go release it was built with, and the platform.",
		Example: `  meshtrail version`,
		Args:    arguments(0, 0, "no arguments"),
		Run: func(*cobra.Command, []string) {
			fmt.Fprintf(t.out, "meshtrail %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}
