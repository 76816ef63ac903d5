package sensitive

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"
)

// sample is a labelled text. What is to be found stands between « and », and ¦ is
// nothing: it keeps what looks like a live credential from standing in a file of
// this repository in one piece.
type sample struct {
	Text   string   `json:"text"`
	Kinds  []string `json:"kinds"` // of each; by default the file's, of real lines ipv4
	Field  string   `json:"field"`
	Source string   `json:"source"`
}

// parse returns the text without its marks, and what is to be found.
func (x *sample) parse(kind string) (text []byte, want []Finding) {
	for _, r := range x.Text {
		switch r {
		case '«':
			k, ok := KindOf(kind)
			if n := len(want); n < len(x.Kinds) {
				k, ok = KindOf(x.Kinds[n])
			}
			if !ok {
				k = IPv4
			}
			want = append(want, Finding{Start: len(text), Kind: k})
		case '»':
			want[len(want)-1].End = len(text)
		case '¦':
		default:
			text = utf8.AppendRune(text, r)
		}
	}
	return text, want
}

// score counts one kind's findings over the labelled set.
type score struct{ right, wrong, missed, samples int }

func (s score) precision() float64 { return ratio(s.right, s.right+s.wrong) }
func (s score) recall() float64    { return ratio(s.right, s.right+s.missed) }

func ratio(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// samples reads one file of the labelled set.
func samples(t testing.TB, name string) (list []sample) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "labelled", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var x sample
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatalf("%s:%d: %v", name, n, err)
		}
		list = append(list, x)
	}
	if err := lines.Err(); err != nil || len(list) == 0 {
		t.Fatalf("%s: %d samples, %v", name, len(list), err)
	}
	return list
}

// scores holds a scanner of all kinds against the labelled set. It returns the
// score of each kind, how many samples have nothing to find, and what differed.
func scores(t *testing.T) (all map[string]*score, negative int, differ []string) {
	t.Helper()
	all = map[string]*score{}
	files := []string{"negative", "real"}
	for _, k := range Kinds() {
		all[k.Name] = &score{}
		files = append(files, k.Name)
	}
	s := New(All())
	for _, name := range files {
		for n, x := range samples(t, name) {
			if _, want := x.parse(name); len(want) == 0 {
				negative++
			} else {
				all[want[0].Kind.String()].samples++
			}
			differ = append(differ, x.judge(s, name, all, fmt.Sprintf("%s.jsonl:%d", name, n+1))...)
		}
	}
	return all, negative, differ
}

// judge counts what s finds in one sample. A finding is right when it is exactly
// what was to be found.
func (x *sample) judge(s *Scanner, kind string, all map[string]*score, where string) (differ []string) {
	text, want := x.parse(kind)
	for _, f := range s.Find(nil, x.Field, text) {
		if i := slices.Index(want, f); i >= 0 {
			want = slices.Delete(want, i, i+1)
			all[f.Kind.String()].right++
			continue
		}
		all[f.Kind.String()].wrong++
		differ = append(differ, fmt.Sprintf("%s: found %s %s in %.300s", where, f.Kind, text[f.Start:f.End], text))
	}
	for _, f := range want {
		all[f.Kind.String()].missed++
		differ = append(differ, fmt.Sprintf("%s: missed %s %s in %.300s", where, f.Kind, text[f.Start:f.End], text))
	}
	return differ
}

// TestLabelled holds every kind to a precision and a recall of 0.98.
func TestLabelled(t *testing.T) {
	all, negative, differ := scores(t)
	samples, bad := 0, false
	for _, k := range Kinds() {
		s := all[k.Name]
		samples += s.samples
		if s.samples < 10 {
			t.Errorf("%s has %d samples", k.Name, s.samples)
		}
		if s.precision() < 0.98 || s.recall() < 0.98 {
			bad = true
			t.Errorf("%s: precision %.3f, recall %.3f", k.Name, s.precision(), s.recall())
		}
	}
	if negative < 3*samples {
		t.Errorf("%d samples without anything to find, for %d with: less than three times as many", negative, samples)
	}
	if bad || testing.Verbose() {
		for _, d := range differ {
			t.Log(d)
		}
	}
}
