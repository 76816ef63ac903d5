//go:build !linux

package filetail

import "os"

func born(*os.File) int64 { return 0 }
