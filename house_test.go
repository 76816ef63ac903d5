// Package meshtrail_test holds the floor plan of the house as a test. It parses
// the files itself: asking the go tool would be answered from the test cache.
package meshtrail_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/meshtrail/meshtrail/"

// floors, from the ground up. A room imports rooms of lower floors, and rooms
// before it on its own floor. A change here needs an ADR (docs/adr).
var floors = [][]string{
	{"fault", "telemetry", "vfs", "crypt", "merkle", "wire"},
	{"schema", "record", "match"},
	{"keyring", "journal", "ledger", "store"},
	{"identity", "access", "audit", "httpd"},
	{"normalise", "policy", "pipeline", "receive", "spool", "forward"},
	{"tail", "query", "trace"},
	{"comply"},
	{"api", "web"},
	{"config", "app"},
}

// open lists sub-rooms that other rooms may enter, and which: "*" is everyone.
// Every other sub-room belongs to its room alone.
var open = map[string][]string{
	"vfs/memfs":        {"*"}, // in tests; ban "memfs in the product" below
	"vfs/faultfs":      {"*"},
	"vfs/vfstest":      {"*"},
	"merkle/chunkfile": {"*"},
	"ledger/verify":    {"comply", "app", "cmd"}, // and every test: it is the vault's oracle
	"normalise":        {"*"},
	"receive":          {"app", "cmd", "config"},
	"receive/sources":  {"api"}, // the door that shows them
	"api":              {"app"},
	"app/demo":         {"cmd"},
	"httpd/rpc":        {"receive", "api", "app"}, // ADR 6
	"query/logql":      {"cmd", "config"},
	"query/lucene":     {"api", "cmd"},
	"query/querytest":  {"*"},
}

// bans besides the direction, each with its reason.
var bans = []struct{ from, to, why string }{
	{"receive", "store", "an agent has no store: receivers speak to pipeline.Intake and record.Appender"},
	{"pipeline", "store", "an agent runs the pipeline into its spool"},
	{"forward", "store", "an agent has no store"},
	{"spool", "store", "an agent has no store"},
	{"receive", "normalise", "a protocol does not know the platform: stage order is written once, in pipeline"},
	{"receive", "policy", "a protocol does not decide what may be kept"},
	{"audit", "store", "audit speaks to a record.Appender"},
	{"ledger", "store", "the offline verifier is ledger, merkle, journal, crypt, vfs, fault and nothing else"},
	{"ledger", "record", "the offline verifier knows nothing of logs"},
	{"ledger", "schema", "the offline verifier knows nothing of logs"},
	{"ledger", "match", "the offline verifier knows nothing of logs"},
	{"ledger", "keyring", "integrity needs no decryption key"},
	{"journal", "record", "the journal is a log of opaque frames"},
	{"journal", "keyring", "the journal is given its key"},
	{"web", "api", "the page speaks to the API over HTTP, like everyone"},
}

// owners lists standard packages that only some rooms may import.
var owners = []struct {
	pkg   string
	rooms []string
	why   string
}{
	{"crypto/aes", []string{"crypt"}, "only crypt calls a cipher"},
	{"crypto/cipher", []string{"crypt"}, "only crypt calls a cipher"},
	{"os", []string{"vfs", "cmd", "app", "telemetry", "config", "receive/filetail", "httpd", "receive/listen"}, "only vfs opens our files; filetail reads other programs' logs, config reads the configuration, app watches signals, httpd reads certificates, listen owns sockets"},
}

// longFiles and longFunctions are the exceptions to the sizes, with the reason.
var (
	longFiles     = map[string]string{}
	longFunctions = map[string]string{}
)

const (
	maxFile     = 600
	maxTestFile = 1000
	maxFunction = 100
)

type file struct {
	path string // slash-separated, from the root
	room string // "vfs", "cmd", …
	pkg  string // "vfs/memfs"; the folder below internal, or cmd/meshtrail
	test bool
	ast  *ast.File
	fset *token.FileSet
	size int // lines
}

func house(t *testing.T) []file {
	t.Helper()
	var files []file
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		a, err := parser.ParseFile(fset, p, src, parser.ParseComments)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(p), ast: a, fset: fset, test: strings.HasSuffix(name, "_test.go"), size: strings.Count(string(src), "\n")}
		f.pkg = strings.TrimPrefix(path.Dir(f.path), "internal/")
		f.room, _, _ = strings.Cut(f.pkg, "/")
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("found only %d Go files: the walk is broken", len(files))
	}
	return files
}

// imports returns the packages of this module that f imports, below internal/.
func (f file) imports() (ours, others []string) {
	for _, s := range f.ast.Imports {
		p, _ := strconv.Unquote(s.Path.Value)
		if rest, ok := strings.CutPrefix(p, module+"internal/"); ok {
			ours = append(ours, rest)
		} else {
			others = append(others, p)
		}
	}
	return ours, others
}

func floorOf(room string) (floor, place int) {
	for i, rooms := range floors {
		if j := slices.Index(rooms, room); j >= 0 {
			return i, j
		}
	}
	return -1, -1
}

func roomOf(pkg string) string {
	room, _, _ := strings.Cut(pkg, "/")
	return room
}

func TestImportsGoDown(t *testing.T) {
	for _, f := range house(t) {
		if !strings.HasPrefix(f.path, "internal/") {
			continue
		}
		floor, place := floorOf(f.room)
		if floor < 0 {
			t.Errorf("%s: room %q is not in the floor plan", f.path, f.room)
			continue
		}
		ours, _ := f.imports()
		for _, imp := range ours {
			to := roomOf(imp)
			if to == f.room {
				continue
			}
			toFloor, toPlace := floorOf(to)
			up := toFloor > floor || toFloor == floor && toPlace > place
			if up && !(f.test && strings.HasSuffix(f.ast.Name.Name, "_test")) {
				t.Errorf("%s imports %s: imports go down, or left on the same floor", f.path, imp)
			}
		}
	}
}

func TestSubRoomsArePrivate(t *testing.T) {
	for _, f := range house(t) {
		ours, _ := f.imports()
		for _, imp := range ours {
			if imp == f.pkg || !strings.Contains(imp, "/") || roomOf(imp) == f.room {
				continue
			}
			if !mayEnter(f, imp) {
				t.Errorf("%s imports %s: a sub-room belongs to its room", f.path, imp)
			}
		}
	}
}

func mayEnter(f file, imp string) bool {
	if f.test && imp == "ledger/verify" {
		return true
	}
	named := false
	for name, who := range open {
		if imp != name && roomOf(imp) != name {
			continue
		}
		if slices.Contains(who, "*") || slices.Contains(who, f.room) {
			return true
		}
		named = true
	}
	return f.room == "e2e" && (named || f.test)
}

func TestBans(t *testing.T) {
	for _, f := range house(t) {
		if f.test {
			continue
		}
		ours, others := f.imports()
		for _, imp := range ours {
			for _, b := range bans {
				if f.room == b.from && roomOf(imp) == b.to {
					t.Errorf("%s imports %s: %s", f.path, imp, b.why)
				}
			}
			if imp == "vfs/memfs" || imp == "vfs/faultfs" || strings.HasSuffix(imp, "test") && imp != "query/querytest" {
				if f.room != "vfs" && !strings.HasSuffix(f.pkg, "test") {
					t.Errorf("%s imports %s: test rooms stay out of the product", f.path, imp)
				}
			}
		}
		for _, imp := range others {
			for _, o := range owners {
				if imp == o.pkg && !slices.Contains(o.rooms, f.room) && !slices.Contains(o.rooms, f.pkg) && f.room != "e2e" {
					t.Errorf("%s imports %s: %s", f.path, imp, o.why)
				}
			}
		}
	}
}

func TestPackageDocs(t *testing.T) {
	docs := map[string]string{}
	for _, f := range house(t) {
		if f.test {
			continue
		}
		if _, ok := docs[f.pkg]; !ok {
			docs[f.pkg] = ""
		}
		if f.ast.Doc != nil {
			docs[f.pkg] += f.ast.Doc.Text()
		}
	}
	for pkg, doc := range docs {
		if len(doc) < 80 {
			t.Errorf("package %s: the package doc says too little (%d bytes): what the room does, what it must never know, who owns memory, what survives a crash", pkg, len(doc))
		}
	}
}

func TestNoInitAndNoBlankImports(t *testing.T) {
	for _, f := range house(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "init" && fn.Recv == nil {
				t.Errorf("%s: init(): extension points are a list, never a registry", f.path)
			}
		}
		for _, s := range f.ast.Imports {
			if s.Name != nil && s.Name.Name == "_" && s.Path.Value != `"embed"` {
				t.Errorf("%s: blank import %s", f.path, s.Path.Value)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	for _, f := range house(t) {
		limit := maxFile
		if f.test {
			limit = maxTestFile
		}
		if f.size > limit && longFiles[f.path] == "" && !ast.IsGenerated(f.ast) {
			t.Errorf("%s has %d lines, limit %d: split it by noun", f.path, f.size, limit)
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || f.test {
				continue
			}
			n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1
			if name := f.path + ":" + fn.Name.Name; n > maxFunction && longFunctions[name] == "" {
				t.Errorf("%s has %d lines, limit %d", name, n, maxFunction)
			}
		}
	}
	for name := range longFiles {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("exception for %s, which is gone", name)
		}
	}
}

func TestNoSleepInTests(t *testing.T) {
	for _, f := range house(t) {
		if !f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && s.Sel.Name == "Sleep" {
					t.Errorf("%s: time.Sleep in a test: wait for the thing itself, or use testing/synctest", f.fset.Position(s.Pos()))
				}
			}
			return true
		})
	}
}

func TestNames(t *testing.T) {
	bad := []string{"util", "utils", "common", "base", "helpers", "helper", "types", "manager", "misc"}
	for _, f := range house(t) {
		if slices.Contains(bad, f.ast.Name.Name) {
			t.Errorf("%s: package %s names no thing", f.path, f.ast.Name.Name)
		}
	}
}

// TestHouseRulesBite proves that the rules can fail: each rule is held against
// a file that breaks it.
func TestHouseRulesBite(t *testing.T) {
	up := file{path: "internal/vfs/x.go", room: "vfs", pkg: "vfs"}
	if f, p := floorOf("vfs"); f != 0 || p != 2 {
		t.Fatalf("vfs is on floor %d place %d", f, p)
	}
	if mayEnter(up, "store/block") {
		t.Error("a side door into store/block is open")
	}
	if !mayEnter(up, "merkle/chunkfile") {
		t.Error("merkle/chunkfile is closed")
	}
	if f, _ := floorOf("util"); f >= 0 {
		t.Error("a room that is not in the plan has a floor")
	}
}
