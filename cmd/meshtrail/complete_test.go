package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHoles(t *testing.T) {
	for q, h := range map[string]hole{
		"":                             {want: wantStart},
		"su":                           {want: wantStart},
		"sum(":                         {want: wantStart, start: 4},
		"{":                            {want: wantName, start: 1, braces: true},
		"{serv":                        {want: wantName, start: 1, braces: true, selector: "{}"},
		"{ serv":                       {want: wantName, start: 2, braces: true, selector: "{}"},
		`{a="b",`:                      {want: wantName, start: 7, braces: true, selector: `{a="b"}`},
		`{a="b", serv`:                 {want: wantName, start: 8, braces: true, selector: `{a="b"}`},
		`{a="b"`:                       {want: wantNext, start: 6, braces: true, selector: `{a="b"}`},
		"{service ":                    {want: wantOp, start: 9, field: "service", braces: true, selector: "{}"},
		"{service=":                    {want: wantValue, start: 9, field: "service", braces: true, selector: "{}"},
		`{service="`:                   {want: wantValue, start: 9, field: "service", quote: '"', braces: true, selector: "{}"},
		`{service="ca`:                 {want: wantValue, start: 9, field: "service", quote: '"', braces: true, selector: "{}"},
		"{service=~`ca":                {want: wantValue, start: 10, field: "service", quote: '`', braces: true, selector: "{}"},
		`{a="b",service!="c\"a`:        {want: wantValue, start: 16, field: "service", quote: '"', braces: true, selector: `{a="b"}`},
		`{a="b"}`:                      {want: wantNext, start: 7, selector: `{a="b"}`},
		`{a="b"} |= "x`:                {start: 11, quote: '"', selector: `{a="b"}`},
		`{a="b"} |= "x" `:              {want: wantNext, start: 15, selector: `{a="b"}`},
		`{a="b"} | `:                   {want: wantStage, start: 10, selector: `{a="b"}`},
		`{a="b"} | stat`:               {want: wantStage, start: 10, selector: `{a="b"}`},
		`{a="b"} | status `:            {want: wantOp, start: 17, field: "status", selector: `{a="b"}`},
		`{a="b"} | status >= `:         {want: wantValue, start: 20, field: "status", selector: `{a="b"}`},
		`{a="b"} | status >= 5`:        {want: wantValue, start: 20, field: "status", selector: `{a="b"}`},
		`{a="b"} | json | level="e`:    {want: wantValue, start: 23, field: "level", quote: '"', selector: `{a="b"}`},
		`{a="b"} | x="1" and lev`:      {want: wantName, start: 20, selector: `{a="b"}`},
		`{a="b"} | drop lev`:           {want: wantName, start: 15, selector: `{a="b"}`},
		`{a="b"} | json `:              {want: wantNext, start: 15, selector: `{a="b"}`},
		`sum by (serv`:                 {want: wantName, start: 8},
		`sum by (service, `:            {want: wantName, start: 17},
		`sum by (service) (`:           {want: wantStart, start: 18},
		`rate({a="b"}[`:                {want: wantDuration, start: 13, selector: `{a="b"}`},
		`rate({a="b"}[5`:               {want: wantDuration, start: 13, selector: `{a="b"}`},
		`rate({a="b"}[5m]) / rate({se`: {want: wantName, start: 26, braces: true, selector: "{}"},
		"\x00\"'`{{{((":                {want: wantNothing, start: 1, quote: '"'},
	} {
		if h.braces && h.selector == "" {
			h.selector = "{}"
		}
		if got := holeOf(q); got != h {
			t.Errorf("%q:\n%+v, want\n%+v", q, got, h)
		}
	}
	for q, h := range map[string]hole{
		"":                   {want: wantField},
		"a AND serv":         {want: wantField, start: 6},
		"NOT (-serv":         {want: wantField, start: 6},
		"service:ca":         {want: wantValue, start: 8, field: "service"},
		`x service:"ca`:      {want: wantValue, start: 10, field: "service", quote: '"'},
		"status:>=50":        {want: wantValue, start: 9, field: "status"},
		"(mesh:istio OR mes": {want: wantField, start: 15},
	} {
		if got := searchHole(q); got != h {
			t.Errorf("search %q:\n%+v, want\n%+v", q, got, h)
		}
	}
}

func FuzzHole(f *testing.F) {
	f.Add(`sum by (a) (rate({b="c", d=~"e`)
	f.Fuzz(func(t *testing.T, q string) {
		for _, h := range []hole{holeOf(q), searchHole(q)} {
			if h.start < 0 || h.start > len(q) {
				t.Errorf("%q: %+v", q, h)
			}
		}
		line := splitLine(q)
		line.insert("x", " =:")
	})
}

func TestSplitLine(t *testing.T) {
	f := func(line, word, raw string, quote byte, args ...string) {
		t.Helper()
		got := splitLine(line)
		if got.word != word || got.raw != raw || got.quote != quote || !slices.Equal(got.args, args) {
			t.Errorf("%s: %q, %+v", line, got.args, got)
		}
	}
	f(`meshtrail query '{a="b", c`, `{a="b", c`, `{a="b", c`, '\'', "query")
	f(`meshtrail query --since 1h "{a=\"b`, `{a="b`, `{a=\"b`, '"', "query", "--since", "1h")
	f(`meshtrail values service '{a="b"}' `, "", "", 0, "values", "service", `{a="b"}`)
	f(`cat x | sudo /usr/bin/meshtrail qu`, "qu", "qu", 0)
	f(`mt --server=http://x que`, "que", "que", 0, "--server=http://x")
	f(`meshtrail query {a=\"b`, `{a="b`, `{a=\"b`, 0, "query")
	f(`meshtrail query "$(rm -rf /)`, "$(rm -rf /)", "$(rm -rf /)", '"', "query")
}

func TestInsert(t *testing.T) {
	const breaks = " \t\n\"'><=;|&(:"
	f := func(line, candidate, want string) {
		t.Helper()
		l := splitLine(line)
		if got, ok := l.insert(candidate, breaks); ok != (want != "") || ok && got != want {
			t.Errorf("%s + %s: %q, %v, want %q", line, candidate, got, ok, want)
		}
	}
	f(`meshtrail query '{serv`, `{service="`, `{service="`)
	f(`meshtrail query '{a="`, `{a="it's"`, "")
	f(`meshtrail query "{serv`, `{service="$x"`, `{service=\"\$x\"`)
	f(`meshtrail tail {serv`, `{service="`, `{service=\"`)
	f(`meshtrail tail \{serv`, `{service="`, `\{service=\"`)
	f(`meshtrail tail \{service=`, `{service="cart"`, `\"cart\"`)
	f(`meshtrail que`, "query", "query")
}

// complete asks the hidden verb that all shells ask.
func complete(t *testing.T, args ...string) []string {
	t.Helper()
	code, out, errs := run(t, append([]string{"__complete"}, args...)...)
	if code != exitOK {
		t.Fatalf("%v: exit %d\n%s%s", args, code, out, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if !strings.HasPrefix(lines[len(lines)-1], ":") {
		t.Fatalf("%v: no directive in %q", args, out)
	}
	lines = lines[:len(lines)-1]
	for i := range lines {
		lines[i], _, _ = strings.Cut(lines[i], "\t")
	}
	return lines
}

func TestCompletionOfQueries(t *testing.T) {
	_, flags := served(t)
	f := func(want string, args ...string) {
		t.Helper()
		got := complete(t, slices.Concat(args[:1], flags, args[1:])...)
		if joined := strings.Join(got, "\n"); joined != want {
			t.Errorf("%v:\n%s\nwant\n%s", args, joined, want)
		}
	}
	f("{service_version=\"\n{service_version=~\"", "query", "{service_v")
	f("{service=\"cart\"}\n{service=\"cart\",", "query", `{service="ca`)
	f("{service=\"cart\"}\n{service=\"cart\",", "tail", `{service="`)
	f("", "query", `{service="nosuch`)
	f("", "query", `{service="nosuch", service="`)
	f("rate({service=\"cart\"}\nrate({service=\"cart\",", "stats", `rate({service="c`)
	f(`{service="cart"} | json`, "query", `{service="cart"} | js`)
	f("{} | n >= 19 |\n{} | n >= 19)", "query", `{} | n >= 19`)
	f("sum by (service\nsum by (service_name\nsum by (service_namespace\nsum by (service_version\nsum by (service_peer_name", "stats", "sum by (service")
	f("service:cart", "query", "--lang", "search", "service:ca")
	f("service\nservice_name\nservice_namespace\nservice_version\nservice_peer_name", "values", "servi")
	f("{service=\"cart\"}\n{service=\"cart\",", "values", "n", `{service="ca`)
	f("n,service\nn,service_name\nn,service_namespace\nn,service_version\nn,service_peer_name", "query", "{}", "--fields", "n,servi")
	f("service_version", "stats", "--by", "service_v")
	f("raw", "query", "-o", "ra")
	f("pretty\nraw\njsonl\ncsv\nlogfmt\nparquet", "query", "-o", "")
	f("search", "query", "--lang", "s")
	f("oldest", "query", "--order", "o")
	f("", "query", "{}", "")
	// bash's own way, with the quote still open.
	code, out, _ := run(t, "__line", "meshtrail query --server "+flags[1]+" --token-file "+flags[3]+` '{service="ca`, " =:")
	if code != exitOK || out != "nospace\n{service=\"cart\"}\n{service=\"cart\",\n" {
		t.Errorf("__line: exit %d, %q", code, out)
	}
}

// TestCompletionWithoutAServer: what needs one is left out, in silence and soon,
// whether nobody is there or nobody answers.
func TestCompletionWithoutAServer(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("mt_"+strings.Repeat("a", 52)), 0o600); err != nil {
		t.Fatal(err)
	}
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + away.Addr().String()
	away.Close()
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(release)
	for _, server := range []string{gone, slow.URL} {
		begin := time.Now()
		names := complete(t, "query", "--server", server, "--token-file", token, "{http_response_status")
		values := complete(t, "query", "--server", server, "--token-file", token, `{service="`)
		if len(names) == 0 || len(values) != 0 {
			t.Errorf("%s: %q, %q", server, names, values)
		}
		if took := time.Since(begin); took > 4*completionTime {
			t.Errorf("%s: two completions took %v", server, took)
		}
	}
	if got := complete(t, "query", "--server", gone, "--token-file", token+"x", "su"); !slices.Contains(got, "sum(") {
		t.Errorf("%q", got)
	}
}

func TestCompletionScripts(t *testing.T) {
	for shell, want := range map[string]string{
		"bash": "complete -o nosort -F _meshtrail meshtrail", "zsh": `eval "${requestComp}'"`,
		"fish": `string unescape -- $typed\'`, "powershell": "Register-ArgumentCompleter",
	} {
		if code, out, errs := run(t, "completion", shell); code != exitOK || !strings.Contains(out, want) || errs != "" {
			t.Errorf("%s: exit %d\n%s", shell, code, errs)
		}
	}
	if code, _, errs := run(t, "completion", "csh"); code != exitUsage || !strings.Contains(errs, "hint: use bash") {
		t.Errorf("csh: exit %d, %s", code, errs)
	}
}
