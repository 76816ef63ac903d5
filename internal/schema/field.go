package schema

// Type is the type of a field's values. It mirrors record.Kind, which this
// package does not know.
type Type string

// The types.
const (
	Text    Type = "string"
	Integer Type = "int"
	Decimal Type = "float"
	Boolean Type = "bool"
)

// A Field is one entry of the dictionary.
type Field struct {
	Name        string // canonical: OpenTelemetry semantic convention, or mesh.*
	Type        Type
	Unit        Unit
	Sensitivity Sensitivity
	Meaning     string
	Values      string // the closed set of values, when it is one
	Aliases     []Alias
	// Also lists the columns in which JSON that no parser knows keeps the same
	// thing in the same unit; they answer for the field, after it.
	Also []string
	// OTel is OpenTelemetry's name where it is not Name, ECS that of the Elastic Common
	// Schema, OCSF the path of an attribute of OCSF's classes; "" where there is none.
	OTel, ECS, OCSF string
}

// An Alias is what a platform, or the language of its users, calls a field.
type Alias struct {
	Name string
	Unit Unit   // unit of a bare number beside this name
	From string // whose name it is
}

// String returns the sensitivity's name.
func (s Sensitivity) String() string {
	switch s {
	case Personal:
		return "personal"
	case Secret:
		return "secret"
	}
	return "public"
}

func names(from string, list ...string) []Alias {
	out := make([]Alias, len(list))
	for i, n := range list {
		out[i] = Alias{Name: n, From: from}
	}
	return out
}

func united(unit Unit, from string, list ...string) []Alias {
	out := names(from, list...)
	for i := range out {
		out[i].Unit = unit
	}
	return out
}

func all(lists ...[]Alias) []Alias {
	var out []Alias
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// The owners of alias names.
const (
	envoy   = "Envoy"
	linkerd = "Linkerd"
	hubble  = "Hubble"
	ztunnel = "ztunnel"
	short   = "short label"
	usual   = "usual"

	ecs      = "ECS"
	otel     = "OpenTelemetry before 1.30"
	journald = "journald"
	k8sAudit = "Kubernetes audit"
)

var streamLabels = []StreamLabel{
	{"cluster", "k8s.cluster.name"},
	{"namespace", "k8s.namespace.name"},
	{"service", "service.name"},
	{"app", "k8s.pod.label.app"},
	{"pod", "k8s.pod.name"},
	{"container", "k8s.container.name"},
	{"node", "k8s.node.name"},
	{"mesh", "mesh.type"},
	{"source", "log.source"},
}
