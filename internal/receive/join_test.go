package receive

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

func TestJoin(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		set := NewSet()
		defer set.Release()
		var fs []record.Field
		for _, pair := range strings.Fields(in) {
			name, value, _ := strings.Cut(pair, "=")
			fs = append(fs, record.Field{Name: name, Value: record.StringValue(value)})
		}
		var got []string
		for _, f := range Join(set, fs) {
			got = append(got, f.Name+"="+f.Value.Str)
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s: %s, want %s", in, g, want)
		}
	}
	f("", "")
	f("a=1 b=2", "a=1 b=2")
	f("a=1 b=2 a=3 c=4 a=", "a=1,3, b=2 c=4")
	f("a=1 b=2 b=3 a=4", "a=1,4 b=2,3")
	set := NewSet()
	defer set.Release()
	got := Join(set, []record.Field{{Name: "n", Value: record.IntValue(1)}, {Name: "n", Value: record.IntValue(2)}})
	if len(got) != 1 || got[0].Value.Int != 1 {
		t.Error(got)
	}
}

// TestJoinIsLinear: a name that is repeated costs the memory of its values, not
// their square.
func TestJoinIsLinear(t *testing.T) {
	set := NewSet()
	defer set.Release()
	var fs []record.Field
	value := strings.Repeat("x", 2000)
	for range 1000 {
		fs = append(fs, record.Field{Name: "a", Value: record.StringValue(value)})
	}
	if got := Join(set, fs); len(got) != 1 || len(got[0].Value.Str) != 2001*1000-1 {
		t.Error(fmt.Sprint(len(got)))
	}
	if n := cap(set.text); n > 3<<20 {
		t.Errorf("%d bytes for 2 MB", n)
	}
}
