package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/fault"
)

func show(o *Object) string {
	var parts []string
	for _, m := range o.Members {
		v := string(m.Text)
		switch m.Kind {
		case String:
			v = strconv.Quote(v)
		case Int:
			v = "int:" + strconv.FormatInt(m.Int, 10)
		case Float:
			v = "float:" + strconv.FormatFloat(m.Float, 'g', -1, 64)
		case Bool:
			v = fmt.Sprint("bool:", m.Int)
		case JSON:
			v = "json:" + v
		}
		parts = append(parts, m.Name.Text+"="+v)
	}
	if len(o.Overflow) > 0 {
		parts = append(parts, "overflow="+string(o.Overflow))
	}
	return strings.Join(parts, " ")
}

func TestScan(t *testing.T) {
	names := NewNames(nil)
	var o Object
	f := func(in, want string) {
		t.Helper()
		if err := o.Scan([]byte(in), names); err != nil {
			t.Errorf("%s: %v", in, err)
		} else if got := show(&o); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
	f(`{}`, ``)
	f(` { } `, ``)
	f(`{"a":1,"b":"x","c":true,"d":false,"e":null,"f":1.5}`, `a=int:1 b="x" c=bool:1 d=bool:0 f=float:1.5`)
	f(`{"a":{"b":{"c":2}},"d":3}`, `a.b.c=int:2 d=int:3`)
	f(`{"a":{},"b":[]}`, `a=json:{} b=json:[]`)
	f(`{"a":[1,{"x":"y\n"},null]}`, `a=json:[1,{"x":"y\n"},null]`)
	f(`{"a":"q\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00"}`, strconv.Quote("q\"\\/\b\f\n\r\tAé😀")[:0]+`a=`+strconv.Quote("q\"\\/\b\f\n\r\tAé😀"))
	f(`{"a":"\u0000x"}`, `a="\x00x"`)
	f("{\"a\":\"\x00\x01\"}", `a="\x00\x01"`)
	f(`{"a":"\ud800!"}`, `a="\\ud800!"`)
	f(`{"a\u0062":1}`, `ab=int:1`)
	f(`{"a":9223372036854775807,"b":-9223372036854775808}`, `a=int:9223372036854775807 b=int:-9223372036854775808`)
	f(`{"a":9223372036854775808,"b":123456789012345678901234567890}`, `a="9223372036854775808" b="123456789012345678901234567890"`)
	f(`{"a":1e3,"b":-0.5,"c":1e999}`, `a=float:1000 b=float:-0.5 c="1e999"`)
	f(`{"a":0,"b":-7}`, `a=int:0 b=int:-7`)
	f(`{"a":1,"a":"two","a":3}`, `a=int:3 overflow={"a":1,"a":"two"}`)
	f(`{"":1}`, `overflow={"":1}`)
	f("{\"a\":\"caf\xe9\"}", `a="caf\\xe9"`)
	if !o.Escaped {
		t.Error("rewritten bytes are not reported")
	}
	f(`{"a":"é"}`, `a="é"`)
	if o.Escaped {
		t.Error("valid bytes are reported")
	}
}

func TestScanRefuses(t *testing.T) {
	names := NewNames(nil)
	var o Object
	f := func(in string, deep bool) {
		t.Helper()
		err := o.Scan([]byte(in), names)
		var e *Error
		if !errors.As(err, &e) || e.Deep != deep || e.Offset > len(in) || e.Offset < 0 {
			t.Errorf("%.60s: %v", in, err)
		}
		if want := map[bool]fault.Kind{false: fault.Invalid, true: fault.TooLarge}[deep]; !fault.Is(err, want) {
			t.Errorf("%.60s: kind %v", in, fault.KindOf(err))
		}
		if len(o.Members) != 0 {
			t.Errorf("%.60s: members of a refused object", in)
		}
	}
	for _, in := range []string{``, ` `, `[]`, `"a"`, `1`, `null`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{"a":01}`, `{"a":-}`,
		`{"a":1.}`, `{"a":1e}`, `{"a":.5}`, `{"a":tru}`, `{"a":nul}`, `{"a":"x}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":1}}`, `{"a":1} {"b":2}`,
		`{"a":[1,]}`, `{"a":[1 2]}`, `{"a":[{"b"}]}`, `{"a":[`, `{"a" 1}`, `{"a":1 "b":2}`, "{\"a\":\xff}", `{"a":+1}`, `{"a":NaN}`} {
		f(in, false)
	}
	f(strings.Repeat(`{"a":`, 10_000), true)
	f(`{"a":`+strings.Repeat(`[`, 10_000), true)
	f(`{"a":`+strings.Repeat(`[`, 64)+strings.Repeat(`]`, 64)+`}`, true)
	if err := o.Scan([]byte(`{"a":`+strings.Repeat(`[`, 63)+strings.Repeat(`]`, 63)+`}`), names); err != nil {
		t.Error(err)
	}
	if err := o.Scan([]byte(strings.Repeat(`{"a":`, 64)+`1`+strings.Repeat(`}`, 64)), names); err != nil {
		t.Error(err)
	}
}

func TestOverflow(t *testing.T) {
	names := NewNames(nil)
	var o Object
	var b strings.Builder
	b.WriteString(`{"first":1`)
	for i := range 3000 {
		fmt.Fprintf(&b, `,"k%d":{"v":"x%d"}`, i, i)
	}
	b.WriteString(`,"` + strings.Repeat("n", 300) + `":true}`)
	if err := o.Scan([]byte(b.String()), names); err != nil {
		t.Fatal(err)
	}
	var rest map[string]any
	if err := json.Unmarshal(o.Overflow, &rest); err != nil {
		t.Fatal(err)
	}
	if len(o.Members) != MaxMembers || len(rest) != 3002-MaxMembers || rest["k2999.v"] != "x2999" || rest[strings.Repeat("n", 300)] != true {
		t.Errorf("%d members, %d in overflow", len(o.Members), len(rest))
	}
	for i := range 3 * maxNames { // a sender of ever new names
		if err := o.Scan(fmt.Appendf(nil, `{"hostile%d":1}`, i), names); err != nil {
			t.Fatal(err)
		}
	}
	if names.Len() > maxNames+MaxMembers {
		t.Errorf("%d names are kept", names.Len())
	}
}

// flatten is the oracle: what Members should be, by encoding/json.
func flatten(prefix string, v any, out map[string]any) {
	m, ok := v.(map[string]any)
	if !ok || prefix != "" && len(m) == 0 {
		if v != nil {
			out[prefix] = v
		}
		return
	}
	for k, x := range m {
		if prefix != "" {
			k = prefix + "." + k
		}
		if x != nil {
			flatten(k, x, out)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, `{"a":{"b":[1,2.5,"x\u00e9"],"c":null}}`, `{"a":"\ud83d\ude00","b":-1e9}`, "{\"a\":\"\xff\"}", `{"a":1,"a":2}`, `{"a":[[[{"b":{}}]]]}`} {
		f.Add([]byte(s))
	}
	names := NewNames(nil)
	var o Object
	f.Fuzz(func(t *testing.T, data []byte) {
		err := o.Scan(data, names)
		var v map[string]any
		oracle := errors.New("no JSON")
		if json.Valid(data) {
			d := json.NewDecoder(bytes.NewReader(data))
			d.UseNumber()
			oracle = d.Decode(&v)
		}
		var e *Error
		if err != nil && errors.As(err, &e) && e.Deep {
			return
		}
		if oracle == nil && v != nil && err != nil && utf8.Valid(data) {
			t.Fatalf("refused %q: %v", data, err)
		}
		if err != nil || oracle != nil || o.Escaped || len(o.Overflow) > 0 {
			if len(o.Overflow) > 0 && !json.Valid(o.Overflow) && oracle == nil {
				t.Fatalf("overflow is no JSON: %s", o.Overflow)
			}
			return
		}
		compare(t, data, v, &o)
	})
}

func compare(t *testing.T, data []byte, v map[string]any, o *Object) {
	t.Helper()
	want := map[string]any{}
	flatten("", v, want)
	got := map[string]Member{}
	for _, m := range o.Members {
		got[m.Name.Text] = m
	}
	for name, w := range want { // a repeated object is merged, so there may be more
		m, ok := got[name]
		if !ok {
			t.Fatalf("%q: no member %q", data, name)
		}
		switch m.Kind {
		case String:
			if n, ok := w.(json.Number); ok {
				w = n.String()
			}
			if w != string(m.Text) && !bytes.Contains(m.Text, []byte(`\u`)) {
				t.Fatalf("%q: %s is %q, want %q", data, m.Name.Text, m.Text, w)
			}
		case Int:
			if n, err := w.(json.Number).Int64(); err != nil || n != m.Int {
				t.Fatalf("%q: %s is %d, want %v", data, m.Name.Text, m.Int, w)
			}
		case Float:
			if n, err := w.(json.Number).Float64(); err != nil || n != m.Float || math.IsInf(n, 0) {
				t.Fatalf("%q: %s is %v, want %v", data, m.Name.Text, m.Float, w)
			}
		case Bool:
			if w != (m.Int == 1) {
				t.Fatalf("%q: %s is %d, want %v", data, m.Name.Text, m.Int, w)
			}
		case JSON:
			if !json.Valid(m.Text) {
				t.Fatalf("%q: %s is no JSON: %s", data, m.Name.Text, m.Text)
			}
		}
	}
}

const access = `{"@timestamp":"2026-11-20T00:00:01.000000Z","authority":"cart.shop.svc.cluster.local:8080","bytes_received":1201,"bytes_sent":30211,"cluster":"prod-eu-west-1","downstream_local_address":"10.1.2.3:8080","downstream_peer_uri_san":"spiffe://prod-eu-west-1.example/ns/shop/sa/cart","downstream_remote_address":"10.1.2.4:41231","duration":12,"mesh":"istio","method":"GET","namespace":"shop","path":"/api/v1/cart/12","pod":"cart-0a1b2c3d-0a1b2","protocol":"HTTP/2","request_id":"0f8fad5b-d9cb-469f-a165-70867728950e","requested_server_name":"outbound_.8080_._.cart.shop.svc.cluster.local","response_code":200,"response_code_details":"via_upstream","response_flags":"-","route_name":"default","service":"cart","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","upstream_cluster":"outbound|8080||cart.shop.svc.cluster.local","upstream_host":"10.1.2.3:8080","upstream_service_time":"11","user_agent":"okhttp/4.12.0"}`

func TestScanAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	names := NewNames(nil)
	var o Object
	in := []byte(`{"esc":"a\nb","n":{"x":[1,2],"y":1.25}}`)
	acc := []byte(access)
	if n := testing.AllocsPerRun(100, func() {
		if o.Scan(in, names) != nil || o.Scan(acc, names) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkScan(b *testing.B) {
	names := NewNames(nil)
	var o Object
	in := []byte(access)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if err := o.Scan(in, names); err != nil {
			b.Fatal(err)
		}
	}
}
