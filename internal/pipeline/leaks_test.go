package pipeline

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestSecretsOfParsers: what a parser takes out of its place, and what a name
// says from afar, is still found: numbers, names that were taken, hosts of URLs,
// arguments, the several ways to write a header.
func TestSecretsOfParsers(t *testing.T) {
	const S, n = "pw7QkZr4tYh2mLx9Vb", "482913"
	hexS := strings.ToUpper(hex.EncodeToString([]byte(S)))
	for name, c := range map[string]struct {
		payload string
		attrs   []record.Field
		json    bool
	}{
		"number":          {payload: `{"password":` + n + `}`},
		"negative":        {payload: `{"password":-` + n + `}`},
		"fraction":        {payload: `{"password":` + n + `.25}`},
		"once":            {payload: `{"message":"login","otp":` + n + `}`},
		"card":            {payload: `{"message":"paid","cvv":` + n[:3] + `}`},
		"taken name":      {payload: `{"password":"` + S + `"}`, attrs: []record.Field{{Name: "password", Value: record.StringValue("-")}}},
		"taken token":     {payload: `{"x":{"api_key":"` + S + `a1B2"}}`, attrs: []record.Field{{Name: "x.api_key", Value: record.StringValue("y")}}},
		"taken kind":      {payload: `{"apiVersion":"v1","kind":"Secret","data":{"x":"` + S + `"}}`, attrs: []record.Field{{Name: "kind", Value: record.StringValue("pod")}}},
		"envelope's kind": {payload: `{"kind":"wrapper","message":"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":{\"x\":\"` + S + `\"}}"}`},
		"part":            {payload: `{"password":{"new":"` + S + `"}}`},
		"operator":        {payload: `{"REQ(AUTHORIZATION)":"` + S + `"}`},
		"array":           {payload: `{"headers":{"X-Api-Key":["` + S + `a1B2"]}}`},
		"OTLP":            {payload: `{"attributes":[{"key":"db.password","value":{"stringValue":"` + S + `"}}]}`},
		"map":             {payload: `headers: map[Authorization:[` + S + `] Cookie:[sid=` + S + `]]`},
		"tag":             {payload: `<login><user>b</user><wsse:Password Type="text">` + S + `</wsse:Password></login>`},
		"argument":        {payload: `type=EXECVE msg=audit(1700000000.123:45): argc=3 a0="mysql" a1="--password" a2="` + S + `"`},
		"argument, hex":   {payload: `type=EXECVE msg=audit(1700000000.123:45): argc=3 a0="mysql" a1="--password" a2=` + hexS},
		"userinfo":        {payload: `{"httpRequest":{"requestMethod":"GET","requestUrl":"https://u:` + S + `@h/a","status":200},"logName":"projects/p/logs/requests","timestamp":"2026-03-01T11:00:00Z","severity":"INFO","insertId":"i","resource":{"type":"http_load_balancer"}}`},
		"flow's userinfo": {payload: `{"flow":{"time":"2026-03-01T11:00:00Z","verdict":"FORWARDED","l7":{"type":"REQUEST","http":{"method":"GET","url":"http://u:` + S + `@h/"}},"Type":"L7","node_name":"n","event_type":{"type":129}},"node_name":"n","time":"2026-03-01T11:00:00Z"}`},
		"dead number":     {payload: `{"password":` + n, json: true},
	} {
		k := &kept{}
		p, _ := open(t, k, policy.Config{}, Limits{})
		if _, err := p.Ingest(t.Context(), &Request{Tenant: "default", Source: "a/b", Raws: []record.Raw{{Payload: []byte(c.payload), JSON: c.json, Attrs: c.attrs}}}); err != nil {
			t.Fatal(name, err)
		}
		for _, b := range k.batches {
			for _, r := range b.records {
				text := string(match.AppendJSON(nil, r.Fields))
				if strings.Contains(text, S) || strings.Contains(text, hexS) || strings.Contains(text, n) || strings.Contains(text, `"cvv":`+n[:3]) {
					t.Errorf("%s: kept %s", name, text)
				}
			}
		}
	}
}
