package elastic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

var (
	versionNumber = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$`)
	agentVersion  = regexp.MustCompile(`^(?:Elastic-[A-Za-z-]+|Logstash|[A-Za-z]+beat)/([789]\.[0-9]{1,3}\.[0-9]{1,3})`)
)

// version is the version that this client is told.
func (e *Receiver) version(r *http.Request) string {
	if m := agentVersion.FindStringSubmatch(r.UserAgent()); m != nil {
		return m[1]
	}
	return e.cfg.Version
}

// Info answers GET /: who the server says it is. It sets the product header,
// without which the official clients refuse to work.
func (e *Receiver) Info(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	return writeJSON(&reply{w, r}, fmt.Appendf(nil, `{"name":"meshtrail","cluster_name":%s,"cluster_uuid":%q,"version":{"number":%q,"build_flavor":"default","build_type":"tar","build_hash":"0000000000000000000000000000000000000000","build_date":"2025-01-01T00:00:00.000Z","build_snapshot":false,"lucene_version":"9.12.0","minimum_wire_compatibility_version":"7.17.0","minimum_index_compatibility_version":"7.0.0"},"tagline":"You Know, for Search"}`,
		quote(e.cfg.ClusterName), e.uuid, e.version(r)))
}

func (e *Receiver) empty(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	return nil
}

func (e *Receiver) license(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, fmt.Appendf(nil, `{"license":{"status":"active","uid":%q,"type":"basic","issue_date":"2025-01-01T00:00:00.000Z","issue_date_in_millis":1735689600000,"max_nodes":1000,"issued_to":%s,"issuer":"elasticsearch","start_date_in_millis":-1}}`,
		e.uuid, quote(e.cfg.ClusterName)))
}

func (e *Receiver) xpack(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, fmt.Appendf(nil, `{"build":{},"license":{"uid":%q,"type":"basic","mode":"basic","status":"active"},"features":{"ilm":{"available":true,"enabled":true},"security":{"available":true,"enabled":true}},"tagline":"You know, for X"}`, e.uuid))
}

func (e *Receiver) health(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, fmt.Appendf(nil, `{"cluster_name":%s,"status":"green","timed_out":false,"number_of_nodes":1,"number_of_data_nodes":1,"active_primary_shards":1,"active_shards":1,"relocating_shards":0,"initializing_shards":0,"unassigned_shards":0,"delayed_unassigned_shards":0,"number_of_pending_tasks":0,"number_of_in_flight_fetch":0,"task_max_waiting_in_queue_millis":0,"active_shards_percent_as_number":100.0}`,
		quote(e.cfg.ClusterName)))
}

// processors are what Filebeat's modules ask an ingest node for. Pipelines are
// taken and not run: the records come as they were sent.
var processors = []string{"append", "convert", "date", "dissect", "drop", "foreach", "geoip", "grok", "gsub", "json", "kv", "lowercase", "pipeline", "remove", "rename", "script", "set", "split", "trim", "uppercase", "uri_parts", "user_agent"}

func (e *Receiver) nodes(w http.ResponseWriter, r *http.Request) error {
	list := make([]string, len(processors))
	for i, p := range processors {
		list[i] = `{"type":"` + p + `"}`
	}
	addr := quote(r.Host)
	return writeJSON(w, fmt.Appendf(nil, `{"_nodes":{"total":1,"successful":1,"failed":0},"cluster_name":%s,"nodes":{%q:{"name":"meshtrail","version":%q,"roles":["data","ingest","master"],"http":{"bound_address":[%s],"publish_address":%s,"max_content_length_in_bytes":%d},"ingest":{"processors":[%s]}}}}`,
		quote(e.cfg.ClusterName), e.uuid, e.version(r), addr, addr, e.inlet.Limits.Decoded, strings.Join(list, ",")))
}

// Bounds of what clients may leave here.
const (
	maxObject       = 1 << 20
	maxObjects      = 256
	maxObjectsTotal = 8 << 20
)

// kind is one family of objects that clients PUT and ask for again.
type kind struct {
	path string
	long bool   // three segments: PUT has a route of its own
	read bool   // the read side answers for all of them
	list string // the member that holds them, if they are not by name
	// show wraps a stored body as the answer to GET.
	show func(name string, body []byte) []byte
}

func byName(name string, body []byte) []byte { return fmt.Appendf(nil, `{%s:%s}`, quote(name), body) }

// quote writes s as a JSON string.
func quote(s string) []byte { return jsontext.AppendString(nil, []byte(s)) }

var kinds = []kind{
	{path: "/_ilm/policy", long: true, show: byName},
	{path: "/_ingest/pipeline", long: true, show: byName},
	{path: "/_template", show: byName},
	{path: "/_index_template", list: "index_templates", show: func(name string, body []byte) []byte {
		return fmt.Appendf(nil, `{"index_templates":[{"name":%s,"index_template":%s}]}`, quote(name), body)
	}},
	{path: "/_component_template", list: "component_templates", show: func(name string, body []byte) []byte {
		return fmt.Appendf(nil, `{"component_templates":[{"name":%s,"component_template":%s}]}`, quote(name), body)
	}},
	{path: "/_data_stream", read: true, show: func(name string, _ []byte) []byte {
		return fmt.Appendf(nil, `{"data_streams":[{"name":%s,"timestamp_field":{"name":"@timestamp"},"indices":[],"generation":1,"status":"GREEN","template":%s}]}`, quote(name), quote(name))
	}},
	aliasKind,
}

type objectKey struct {
	tenant     record.TenantID
	path, name string
}

// objects is a bounded memory of what clients PUT. The oldest goes first.
type objects struct {
	mu    sync.Mutex
	m     map[objectKey][]byte
	order []objectKey
	size  int
}

func (o *objects) get(k objectKey) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.m[k]
	return b, ok
}

func (o *objects) remove(k objectKey) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.drop(k)
}

func (o *objects) drop(k objectKey) bool {
	b, ok := o.m[k]
	if ok {
		o.size -= len(b)
		delete(o.m, k)
		o.order = slices.DeleteFunc(o.order, func(x objectKey) bool { return x == k })
	}
	return ok
}

func (o *objects) put(k objectKey, body []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.m == nil {
		o.m = make(map[objectKey][]byte)
	}
	o.drop(k)
	o.m[k] = body
	o.order = append(o.order, k)
	o.size += len(body)
	for len(o.order) > maxObjects || o.size > maxObjectsTotal {
		o.drop(o.order[0])
	}
}

// key returns the memory's key for the object that r names.
func (e *Receiver) key(r *http.Request, k kind) (objectKey, error) {
	from, err := receive.Identify(r, Name)
	name := r.PathValue("name")
	if err == nil && len(name) > 255 {
		err = fault.Errorf(fault.Invalid, "name has %d bytes, more than 255", len(name))
	}
	return objectKey{from.Tenant, k.path, name}, err
}

func (e *Receiver) get(k kind) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		key, err := e.key(r, k)
		if err != nil {
			return err
		}
		body, ok := e.objects.get(key)
		if !ok {
			return fault.Errorf(fault.NotFound, "%s/%s does not exist", k.path[1:], key.name)
		}
		return writeJSON(w, k.show(key.name, body))
	}
}

func (e *Receiver) put(k kind) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		key, err := e.key(r, k)
		if err != nil {
			return err
		}
		body, err := e.inlet.Bodies.Read(r, r.Header.Get("Content-Encoding"))
		if err != nil {
			return err
		}
		defer body.Release()
		text := slices.Clone(body.Bytes)
		if len(text) == 0 {
			text = []byte("{}")
		}
		if len(text) > maxObject {
			return fault.Errorf(fault.TooLarge, "object has %d bytes, more than %d", len(text), maxObject)
		}
		if !json.Valid(text) {
			return fault.Errorf(fault.Invalid, "object is not JSON")
		}
		e.objects.put(key, text)
		return writeJSON(w, []byte(`{"acknowledged":true}`))
	}
}

func (e *Receiver) remove(k kind) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		key, err := e.key(r, k)
		if err != nil {
			return err
		}
		if !e.objects.remove(key) {
			return fault.Errorf(fault.NotFound, "%s/%s does not exist", k.path[1:], key.name)
		}
		return writeJSON(w, []byte(`{"acknowledged":true}`))
	}
}

// putTwo answers PUT with two segments: a bulk, or an object.
func (e *Receiver) putTwo(w http.ResponseWriter, r *http.Request) error {
	first := r.PathValue("index")
	if r.PathValue("name") == "_bulk" {
		return e.bulk(w, r)
	}
	for _, k := range kinds {
		if !k.long && k.path[1:] == first {
			return e.put(k)(w, r)
		}
	}
	switch name := r.PathValue("name"); {
	case first == "_cluster" && name == "settings":
		return writeJSON(w, []byte(`{"acknowledged":true,"persistent":{},"transient":{}}`))
	case name == "_mapping" || name == "_mappings" || name == "_settings":
		return acknowledge(w)
	}
	return e.elsewhere(w, r)
}

// getTwo answers GET with two segments: an object, or what a node is. What it does
// not know is no path of Elasticsearch's, and answered as the house does.
func (e *Receiver) getTwo(w http.ResponseWriter, r *http.Request) error {
	first := r.PathValue("index")
	if first == "_nodes" {
		return e.nodes(w, r)
	}
	for _, k := range kinds {
		if !k.long && k.path[1:] == first {
			return e.get(k)(w, r)
		}
	}
	if first == "elastic" && r.Method == http.MethodHead && !httpd.PrincipalFrom(r.Context()).May(access.LogsRead) {
		return e.exists(w, r)
	}
	if first == "elastic" && e.cfg.Index != nil {
		return e.cfg.Index(w, r)
	}
	return e.elsewhere(w, r)
}

// catTemplates answers what Beats before 7.16 ask.
func (e *Receiver) catTemplates(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	key, err := e.key(r, kind{path: "/_template"})
	if err != nil {
		return err
	}
	if _, ok := e.objects.get(key); ok {
		_, err = fmt.Fprintf(w, "%s [*] 0\n", key.name)
	}
	return err
}
