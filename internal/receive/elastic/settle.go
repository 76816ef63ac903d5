package elastic

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
)

// Calls by which clients settle in before they write: they change indices,
// aliases and settings of a cluster, of which this server has none. They are
// acknowledged; what clients ask for again is remembered (objects).

func acknowledge(w http.ResponseWriter) error { return writeJSON(w, []byte(`{"acknowledged":true}`)) }

func (e *Receiver) acknowledged(w http.ResponseWriter, _ *http.Request) error { return acknowledge(w) }

// shards answers calls that would make an index write or tidy.
func (e *Receiver) shards(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, []byte(`{"_shards":{"total":1,"successful":1,"failed":0}}`))
}

func (e *Receiver) lifecycle(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, []byte(`{"operation_mode":"RUNNING"}`))
}

// authenticate answers GET /_security/_authenticate: who am I.
func (e *Receiver) authenticate(w http.ResponseWriter, r *http.Request) error {
	from, err := receive.Identify(r, Name)
	if err != nil {
		return err
	}
	return writeJSON(w, fmt.Appendf(nil, `{"username":%s,"roles":[],"full_name":null,"email":null,"metadata":{},"enabled":true,"authentication_realm":{"name":"meshtrail","type":"native"},"lookup_realm":{"name":"meshtrail","type":"native"},"authentication_type":"api_key"}`, quote(from.Name)))
}

// aliasKind is where aliases are remembered: Logstash makes its own with its
// first index, and asks for it at every start.
var aliasKind = kind{path: "/_alias", read: true, show: func(name string, _ []byte) []byte {
	return fmt.Appendf(nil, `{%s:{"aliases":{%s:{}}}}`, quote(name), quote(name))
}}

// Exists answers HEAD /{index} for who may only send: whether one's own tenant has
// left an alias of that name here, as Logstash asks before it makes its own. What
// is stored, a sender is not told. The pattern is the read side's.
func (e *Receiver) Exists() *httpd.Route {
	return &httpd.Route{Need: access.LogsWrite, Handle: e.exists, Fail: e.Fail}
}

func (e *Receiver) exists(w http.ResponseWriter, r *http.Request) error {
	from, err := receive.Identify(r, Name)
	if err != nil {
		return err
	}
	name := r.PathValue("index")
	if name == "elastic" { // /elastic/{name}
		name = r.PathValue("name")
	}
	if _, ok := e.objects.get(objectKey{from.Tenant, aliasKind.path, name}); !ok {
		return fault.Errorf(fault.NotFound, "no such index or alias")
	}
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	return e.empty(w, r)
}

func (e *Receiver) putAlias(w http.ResponseWriter, r *http.Request, name string) error {
	from, err := receive.Identify(r, Name)
	if err != nil {
		return err
	}
	if len(name) > 255 {
		return fault.Errorf(fault.Invalid, "name has %d bytes, more than 255", len(name))
	}
	e.objects.put(objectKey{from.Tenant, aliasKind.path, name}, []byte("{}"))
	return acknowledge(w)
}

// putIndex takes the creation of an index. There is nothing to create; its
// aliases are remembered.
func (e *Receiver) putIndex(w http.ResponseWriter, r *http.Request) error {
	from, err := receive.Identify(r, Name)
	if err != nil {
		return err
	}
	body, err := e.inlet.Bodies.Read(r, r.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	defer body.Release()
	set := receive.NewSet()
	defer set.Release()
	for _, name := range aliasesOf(body.Bytes, e.inlet.Limits.Depth, set) {
		e.objects.put(objectKey{from.Tenant, aliasKind.path, name}, []byte("{}"))
	}
	return writeJSON(w, fmt.Appendf(nil, `{"acknowledged":true,"shards_acknowledged":true,"index":%s}`, quote(r.PathValue("index"))))
}

// aliasesOf returns the names of {"aliases":{"name":{…}}}, some at most.
func aliasesOf(body []byte, depth int, set *receive.Set) (names []string) {
	j := jsontext.NewReader(body, depth, set)
	if len(body) == 0 || !j.Begin('{') {
		return nil
	}
	for {
		key, ok := j.Field()
		if !ok {
			return names
		}
		if string(key) != "aliases" || j.Peek() != '{' {
			j.Raw()
			continue
		}
		j.Begin('{')
		for {
			name, ok := j.Field()
			if !ok {
				break
			}
			j.Raw()
			if len(name) > 0 && len(name) <= 255 && len(names) < 16 {
				names = append(names, string(name))
			}
		}
	}
}

// list answers GET of a kind without a name: all that this tenant's clients left.
func (e *Receiver) list(k kind) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		from, err := receive.Identify(r, Name)
		if err != nil {
			return err
		}
		names, bodies := e.objects.all(objectKey{tenant: from.Tenant, path: k.path})
		out := []byte{'{'}
		if k.list != "" {
			out = fmt.Appendf(out, `%q:[`, k.list)
		}
		for i, name := range names {
			if i > 0 {
				out = append(out, ',')
			}
			shown := k.show(name, bodies[i])
			shown = shown[1 : len(shown)-1] // without the braces
			if k.list != "" {
				shown = shown[len(k.list)+4 : len(shown)-1] // nor "list":[ and ]
			}
			out = append(out, shown...)
		}
		if k.list != "" {
			out = append(out, ']')
		}
		return writeJSON(w, append(out, '}'))
	}
}

// all returns the objects of a tenant and kind, by name.
func (o *objects) all(of objectKey) (names []string, bodies [][]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k := range o.m {
		if k.tenant == of.tenant && k.path == of.path {
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		bodies = append(bodies, o.m[objectKey{of.tenant, of.path, name}])
	}
	return names, bodies
}

// elsewhere answers a path that is none of Elasticsearch's, as the house does.
func (e *Receiver) elsewhere(w http.ResponseWriter, r *http.Request) error {
	w.Header().Del("X-Elastic-Product")
	httpd.WriteError(w, r, fault.WithHint(fault.Errorf(fault.NotFound, "no such path for %s: %s", r.Method, r.URL.Path),
		"the API is described at /api/openapi.json"))
	return nil
}
