package native

import (
	"net/http"

	"github.com/meshtrail/meshtrail/internal/schema"
)

// SchemaAnswer is the dictionary of fields, in its order.
type SchemaAnswer struct {
	Version      int           `json:"version"`
	Fields       []SchemaField `json:"fields"`
	StreamLabels []SchemaLabel `json:"streamLabels"`
}

// A SchemaField is one field.
type SchemaField struct {
	Name        string        `json:"name"`
	Query       string        `json:"query"` // how LogQL writes the name
	Type        string        `json:"type"`  // string, int, float, bool
	Unit        string        `json:"unit,omitempty"`
	Sensitivity string        `json:"sensitivity"` // public, personal, secret
	Meaning     string        `json:"meaning"`
	Values      string        `json:"values,omitempty"` // the closed set of them
	OTel        string        `json:"otel,omitempty"`   // where it is not the name
	ECS         string        `json:"ecs,omitempty"`
	OCSF        string        `json:"ocsf,omitempty"`
	Aliases     []SchemaAlias `json:"aliases"`
	Also        []string      `json:"also"` // columns that answer for it
}

// A SchemaAlias is another name of a field, in a unit of its own.
type SchemaAlias struct {
	Name string `json:"name"`
	Unit string `json:"unit,omitempty"`
	From string `json:"from"` // whose name it is
}

// A SchemaLabel is a short name that groups records in Loki's answers.
type SchemaLabel struct {
	Label string `json:"label"`
	Field string `json:"field"`
}

// schema answers with the dictionary. It holds nothing of any record.
func (a reading) schema(w http.ResponseWriter, _ *http.Request) error {
	out := SchemaAnswer{Version: schema.Version, Fields: []SchemaField{}, StreamLabels: []SchemaLabel{}}
	all := schema.Fields()
	for i := range all {
		f := &all[i]
		n := SchemaField{
			Name: f.Name, Query: schema.Identifier(f.Name), Type: string(f.Type), Unit: string(f.Unit), Sensitivity: f.Sensitivity.String(),
			Meaning: f.Meaning, Values: f.Values, OTel: f.OTel, ECS: f.ECS, OCSF: f.OCSF, Aliases: []SchemaAlias{}, Also: append([]string{}, f.Also...),
		}
		for _, x := range f.Aliases {
			n.Aliases = append(n.Aliases, SchemaAlias{x.Name, string(x.Unit), x.From})
		}
		out.Fields = append(out.Fields, n)
	}
	for _, l := range schema.StreamLabels() {
		out.StreamLabels = append(out.StreamLabels, SchemaLabel{l.Label, l.Field})
	}
	return writeJSON(w, out)
}
