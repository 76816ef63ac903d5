package loki

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain holds that no test, and so no request, leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
