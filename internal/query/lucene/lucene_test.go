package lucene

import (
	"errors"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

func TestParseString(t *testing.T) {
	f := func(query, text, where string) {
		t.Helper()
		q, err := Parse(query, Options{})
		if err != nil {
			t.Errorf("Parse(%s): %v", query, err)
			return
		}
		if got := q.String(); got != text {
			t.Errorf("Parse(%s) = %s, want %s", query, got, text)
		}
		if got := q.Predicate().String(); got != where {
			t.Errorf("Parse(%s) means %s\nwant %s", query, got, where)
		}
		again, err := Parse(text, Options{})
		if err != nil || again.String() != text || again.Predicate().String() != where {
			t.Errorf("%s is no fixed point: %v, %v", text, again, err)
		}
	}
	const any = "__any__"
	f(``, `*`, `true`)
	f(` * `, `*`, `true`)
	f(`*:*`, `*`, `true`)
	f(`service:checkout AND status:>=500 "timed out" -path:/healthz`,
		`service:checkout AND status:>=500 AND "timed out" AND NOT path:"/healthz"`,
		`(service = "checkout" and status >= 500 and iword(__any__, "timed out") and not path = "/healthz")`)
	f(`Timeout`, `Timeout`, `iword(__any__, "Timeout")`)
	f(`/api/v1`, `"/api/v1"`, `icontains(__any__, "/api/v1")`)
	f(`"/api/v1"`, `"/api/v1"`, `icontains(__any__, "/api/v1")`)
	f(`a b OR c d`, `a AND b OR c AND d`, `((iword(__any__, "a") and iword(__any__, "b")) or (iword(__any__, "c") and iword(__any__, "d")))`)
	f(`a AND (b OR c)`, `a AND (b OR c)`, `(iword(__any__, "a") and (iword(__any__, "b") or iword(__any__, "c")))`)
	f(`a && b || !c`, `a AND b OR NOT c`, `((iword(__any__, "a") and iword(__any__, "b")) or not iword(__any__, "c"))`)
	f(`a and b or not c`, `a AND b OR NOT c`, `((iword(__any__, "a") and iword(__any__, "b")) or not iword(__any__, "c"))`)
	f(`+a -b NOT NOT c`, `a AND NOT b AND c`, `(iword(__any__, "a") and not iword(__any__, "b") and iword(__any__, "c"))`)
	f(`NOT (a b)`, `NOT (a AND b)`, `not (iword(__any__, "a") and iword(__any__, "b"))`)
	f(`"and"`, `"and"`, `iword(__any__, "and")`)
	f(`\and`, `"and"`, `iword(__any__, "and")`)
	f(`android`, `android`, `iword(__any__, "android")`)
	f(`k8s.namespace.name:shop`, `k8s.namespace.name:shop`, `k8s.namespace.name = "shop"`)
	f(`"odd name":x`, `"odd name":x`, `odd name = "x"`)
	f(`odd\ name:x`, `"odd name":x`, `odd name = "x"`)
	f(`service : checkout`, `service:checkout`, `service = "checkout"`)
	f(`service:(a OR b)`, `service:a OR service:b`, `service in ("a", "b")`)
	f(`service:(a OR b) x`, `(service:a OR service:b) AND x`, `(service in ("a", "b") and iword(__any__, "x"))`)
	f(`status:(>=400 AND <500)`, `status:>=400 AND status:<500`, `(status >= 400 and status < 500)`)
	f(`status >= 500`, `status:>=500`, `status >= 500`)
	f(`status<500`, `status:<500`, `status < 500`)
	f(`x:[1 TO 5]`, `x:[1 TO 5]`, `x >= 1 and x <= 5`)
	f(`x:{1 to 5}`, `x:{1 TO 5}`, `x > 1 and x < 5`)
	f(`x:[1 TO 5}`, `x:[1 TO 5}`, `x >= 1 and x < 5`)
	f(`x:[1 TO *]`, `x:>=1`, `x >= 1`)
	f(`x:{* TO "5"}`, `x:<5`, `x < 5`)
	f(`x:[* TO *]`, `x:*`, `exists(x)`)
	f(`duration:>250ms`, `duration:>250ms`, `duration > 250000000ns`)
	f(`body_bytes:[1KB TO 2MiB]`, `body_bytes:[1KB TO 2MiB]`, `body_bytes >= 1000B and body_bytes <= 2097152B`)
	f(`x:-5`, `x:"-5"`, `x = "-5"`)
	f(`x:>-5.5`, `x:>-5.5`, `x > -5.5`)
	f(`_exists_:trace_id`, `trace_id:*`, `exists(trace_id)`)
	f(`-trace_id:*`, `NOT trace_id:*`, `not exists(trace_id)`)
	f(`x:""`, `x:""`, `not exists(x)`)
	f(`""`, `""`, `true`)
	f(`service:check*`, `service:check*`, `prefix(service, "check")`)
	f(`service:*out`, `service:*out`, `(contains(service, "out") and service ~ "^(?s:.*out)$")`)
	f(`service:*eck*`, `service:*eck*`, `contains(service, "eck")`)
	f(`service:ch?ck`, `service:ch?ck`, `(prefix(service, "ch") and service ~ "^(?s:ch.ck)$")`)
	f(`time*`, `time*`, `(icontains(__any__, "time") and __any__ ~ "\\b[tT][iI][mM][eE]")`)
	f(`*meou*`, `*meou*`, `icontains(__any__, "meou")`)
	f(`/api/*/items?`, `\/api/*/items?`, `(icontains(__any__, "/items") and __any__ ~ "/[aA][pP][iI]/\\S*/[iI][tT][eE][mM][sS]\\S")`)
	f(`a\*b`, `"a*b"`, `iword(__any__, "a*b")`)
	f(`pod:/web-[0-9]+/`, `pod:/web-[0-9]+/`, `(prefix(pod, "web-") and pod ~ "^(?s:web-[0-9]+)$")`)
	f(`pod:/.*/`, `pod:/.*/`, `exists(pod)`)
	f(`/timed? out/`, `/timed? out/`, `(contains(__any__, "timed out") or contains(__any__, "time out"))`)
	f(`path:/healthz`, `path:"/healthz"`, `path = "/healthz"`)
	f(`path:/a/b/`, `path:"/a/b/"`, `path = "/a/b/"`)
	f(`message:timeout`, `message:timeout`, `iword(message, "timeout")`)
	f(`body:"timed out"`, `body:"timed out"`, `iword(body, "timed out")`)
	f(`level:Error`, `level:Error`, `level in ("ERROR", "Error", "error")`)
	f(`client.address:10.0.0.0/8`, `client.address:10.0.0.0/8`, `(client.address = "10.0.0.0/8" or client.address in 10.0.0.0/8)`)
	f(`client.address:10.0.0.7`, `client.address:10.0.0.7`, `(client.address = "10.0.0.7" or (word(client.address, "10.0.0.7") and client.address in 10.0.0.7/32))`)
	f(`client.address:fe80::/10`, `client.address:"fe80::/10"`, `(client.address = "fe80::/10" or client.address in fe80::/10)`)
	f(`ip:[10.0.0.1 TO 10.0.0.4]`, `ip:[10.0.0.1 TO 10.0.0.4]`, `(ip in 10.0.0.1/32 or ip in 10.0.0.2/31 or ip in 10.0.0.4/32)`)
	f(`ip:{10.0.0.1 TO 10.0.0.2}`, `ip:{10.0.0.1 TO 10.0.0.2}`, `false`)
	f(`https://example.com/x`, `"https://example.com/x"`, `iword(__any__, "https://example.com/x")`)
	f(`12:30:45`, `"12:30:45"`, `iword(__any__, "12:30:45")`)
	f(`fe80::1`, `"fe80::1"`, `iword(__any__, "fe80::1")`)
	f(`host:10.0.0.1:443`, `host:"10.0.0.1:443"`, `host = "10.0.0.1:443"`)
	f(`msg=ok`, `msg=ok`, `iword(__any__, "msg=ok")`)
	f(`boost^2 "a b"^1.5 (x y)^3`, `boost AND "a b" AND x AND y`, `(iword(__any__, "boost") and iword(__any__, "a b") and iword(__any__, "x") and iword(__any__, "y"))`)
	f(`~/x`, `"~/x"`, `icontains(__any__, "~/x")`)
	f(`class:app`, `class:app`, `(__class__ = "app" or (class = "app" and not class = "audit"))`)
	f(`class:audit`, `class:audit`, `__class__ = "audit"`)
	f(`*:boom`, `boom`, `iword(__any__, "boom")`)
	f("naïve \"Grüße\"", "naïve AND Grüße", `(iword(`+any+`, "naïve") and iword(__any__, "Grüße"))`)
}

func TestOperators(t *testing.T) {
	f := func(query, text string) {
		t.Helper()
		o := Options{DefaultOperator: Or, UpperCase: true, DefaultFields: []string{"a", "b"}}
		q, err := Parse(query, o)
		if err != nil {
			t.Errorf("Parse(%s): %v", query, err)
			return
		}
		again, err := Parse(q.String(), o)
		if q.String() != text || err != nil || again.String() != text || again.Predicate().String() != q.Predicate().String() {
			t.Errorf("Parse(%s) = %s, want %s; again %v, %v", query, q, text, again, err)
		}
	}
	f(`x y`, `x OR y`)
	f(`x and y`, `x OR "and" OR y`)
	f(`+x y -z`, `x AND NOT z`)
	f(`x y -z`, `(x OR y) AND NOT z`)
	f(`-x -y`, `NOT x AND NOT y`)
	f(`x OR NOT y`, `x OR NOT y`)
	f(`x AND y z`, `x AND y OR z`)
	f(`--x y`, `x OR y`)
	q, err := Parse("x", Options{DefaultFields: []string{"a", "b"}})
	if err != nil || q.Predicate().String() != `(a = "x" or b = "x")` {
		t.Errorf("%v, %v", q.Predicate(), err)
	}
}

func TestErrors(t *testing.T) {
	f := func(query, text, hint string) {
		t.Helper()
		_, err := Parse(query, Options{})
		var e *Error
		if !fault.Is(err, fault.Invalid) || !errors.As(err, &e) || !strings.Contains(err.Error(), text) || !strings.Contains(fault.HintOf(err), hint) {
			t.Errorf("Parse(%s): %v (hint %q), want %s (%s)", query, err, fault.HintOf(err), text, hint)
		}
		if q, err := Parse(query, Options{Lenient: true}); len(query) < 1000 && (err != nil || q == nil) {
			t.Errorf("Parse(%s) leniently: %v", query, err)
		}
	}
	f(`(a OR b`, `line 1, col 1: this ( is never closed`, ``)
	f(`a)`, `col 2: this ) closes nothing`, `quote`)
	f(`()`, `col 2: a term is wanted before )`, ``)
	f(`a AND`, `col 6: the query ends where a term is wanted`, ``)
	f(`OR a`, `col 1: OR joins nothing here`, `quote`)
	f(`a OR OR b`, `col 6: OR joins nothing here`, ``)
	f("a\nÄÖ b)", `line 2, col 5`, ``)
	f(`"open`, `col 1: this quote is never closed`, ``)
	f(`status:`, `col 8: a value for the field status is wanted`, `error:`)
	f(`(status:)`, `col 9: a value for the field status`, ``)
	f(`a - b`, `col 3: nothing follows -`, `directly`)
	f(`roam~`, `col 5: fuzzy`, `check*`)
	f(`"a b"~3`, `col 6: fuzzy`, ``)
	f(`{service="x"}`, `col 1: { needs a field`, `LogQL`)
	f(`x | json`, `col 3: | means nothing`, `LogQL`)
	f(`[1 TO 5]`, `col 1: [ needs a field`, `range`)
	f(`x:[1 5]`, `col 6: TO is wanted`, ``)
	f(`x:[1 TO 5`, `col 3: this range is never closed`, ``)
	f(`x:[1 TO`, `a value is wanted here`, ``)
	f(`x:[a TO b]`, `col 4: "a" is nothing that can be compared`, `250ms`)
	f(`x:[1ms TO 5KB]`, `col 11: the ends of the range have different units`, ``)
	f(`x:>`, `col 4: a value is wanted`, ``)
	f(`x:>*`, `a comparison needs a value`, ``)
	f(`@timestamp:>now-1h`, `col 13: a query does not compare the time`, `beside the query`)
	f(`x:/(/`, `col 3: regular expression`, ``)
	f(`a\`, `col 2: nothing follows the backslash`, ``)
	f(`-> x`, `> needs a field`, ``)
	f(strings.Repeat("(", 101)+"a", `nested deeper than 100`, ``)
	f(strings.Repeat("!", 101)+"a", `nested deeper than 100`, ``)
	f(strings.Repeat("a ", 1001), `more than 1000 terms`, ``)
	f(strings.Repeat("x", 64<<10+1), `is longer than 65536`, ``)
	f(strings.Repeat("x:{:: TO ffff::1} ", 8), `more than 1000 networks`, ``)
	if _, err := Parse(`x:/((a{100}){100}){100}/`, Options{}); err == nil {
		t.Error("an expression that costs too much")
	}
}

func TestMeaning(t *testing.T) {
	r := &record.Record{Class: "app", Fields: []record.Field{
		{Name: "body", Value: record.StringValue("GET /cart Timed out after 3 tries")},
		{Name: "service.name", Value: record.StringValue("checkout")},
		{Name: "http.response.status_code", Value: record.IntValue(503)},
		{Name: "mesh.duration_ns", Value: record.IntValue(250e6)},
		{Name: "elapsed", Value: record.StringValue("1.5s")},
		{Name: "peer", Value: record.StringValue("10.1.2.3:443")},
		{Name: "k8s.pod-name", Value: record.StringValue("web-0")},
		{Name: "level", Value: record.StringValue("ERROR")},
	}}
	f := func(want bool, query string) {
		t.Helper()
		q, err := Parse(query, Options{})
		if err != nil {
			t.Errorf("%s: %v", query, err)
			return
		}
		if got := match.Eval(q.Predicate(), r); got != want {
			t.Errorf("%s (%v) is %v", query, q.Predicate(), got)
		}
	}
	f(true, `timed`)
	f(true, `"TIMED OUT"`)
	f(false, `time`)
	f(true, `time*`)
	f(true, `*imed`)
	f(false, `imed*`)
	f(true, `t?med`)
	f(true, `checkout`) // in a field
	f(true, `Web-0 503 -web-1`)
	f(true, `10.1.2.3 error tries`)
	f(false, `-checkout timed`)
	f(true, `check* *eb-0 /^web-[0-9]$/`)
	f(false, `service`) // a name is in no line but JSON
	f(false, `body:checkout`)
	f(true, `service:checkout`)
	f(false, `service:Checkout`)
	f(true, `service_name:checkout AND service.name:check*`)
	f(true, `status:503 response_code:[500 TO 599] http.response.status_code:>=503`)
	f(false, `status:{503 TO 599}`)
	f(true, `duration:250 duration:250ms mesh_duration_ns:250000000 duration:>0.2s`)
	f(true, `elapsed:>1400ms elapsed:<2s`)
	f(true, `peer:10.0.0.0/8 peer:10.1.2.3 peer:[10.1.2.0 TO 10.1.2.9]`)
	f(false, `peer:10.2.0.0/16`)
	f(true, `k8s_pod_name:web-0 k8s.pod-name:web-?`)
	f(true, `level:error`)
	f(true, `-absent:* NOT absent:x absent:""`)
	f(false, `absent:(x OR y)`)
	f(true, `/[0-9] tries$/`)
	f(false, `service:/check/`)
	f(true, `service:/check.*/`)
	f(true, `class:app class:*`)
	f(false, `class:audit`)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`service:checkout AND status:>=500 "timed out" -path:/healthz`, `a b OR (c d)^2`, `x:[1 TO 5} y:{* TO "z"}`,
		`field:(a OR +b -"c")`, `/re\/x/ p:/a b/`, `a\*b* ?c`, `"odd \"name":x`, `_exists_:y *:z *:*`, `ip:[10.0.0.1 TO 10.0.0.9]`,
		`x<5 y >= 3ms`, `!a && b || not c`, `class:audit`, "a\xffb", `and\ x:y`, `a~ b^2~3`,
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, other bool) {
		o := Options{}
		if other {
			o = Options{DefaultOperator: Or, UpperCase: true, DefaultFields: []string{"x", "body"}}
		}
		q, err := Parse(s, o)
		if err != nil {
			if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.TooLarge) {
				t.Fatalf("%q: %v", s, err)
			}
			o.Lenient = true
			if _, err := Parse(s, o); err != nil && len(s) < 1000 {
				t.Fatalf("%q leniently: %v", s, err)
			}
			return
		}
		text := q.String()
		again, err := Parse(text, o)
		if err != nil || again.String() != text || again.Predicate().String() != q.Predicate().String() {
			t.Fatalf("%q prints %q, which reads as %v, %v\n%v\n", s, text, again, err, q.Predicate())
		}
	})
}
