package main

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// completionTime bounds what the server may take for one completion: a shell that
// hangs is worse than one that knows less.
const completionTime = 250 * time.Millisecond

// maxCandidates bounds what a shell is offered.
const maxCandidates = 100

var (
	stages    = []string{"json", "logfmt", "regexp", "pattern", "unpack", "line_format", "label_format", "decolorize", "drop", "keep", "distinct", "unwrap"}
	functions = []string{
		"count_over_time", "rate", "bytes_over_time", "bytes_rate", "sum_over_time", "avg_over_time", "min_over_time", "max_over_time",
		"first_over_time", "last_over_time", "stddev_over_time", "stdvar_over_time", "quantile_over_time", "absent_over_time", "rate_counter",
		"sum", "count", "min", "max", "avg", "stddev", "stdvar", "topk", "bottomk", "approx_topk", "sort", "sort_desc", "label_replace", "vector",
	}
	durations = []string{"1m", "5m", "15m", "30m", "1h", "6h", "1d", "7d"}
)

// A candidate is a text that may stand in the hole, and what it means.
type candidate struct{ text, about string }

// completeQuery offers what may follow in the query that is being typed: the
// argument with index first of those that have no name.
func (a *asking) completeQuery(first int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) != first {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		return a.candidates(ctx, typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveKeepOrder
	}
}

// candidates completes a query. What needs a server that does not answer in time
// is left out without a word.
func (a *asking) candidates(ctx context.Context, typed string) []string {
	h := holeOf(typed)
	if a.lang == "search" {
		h = searchHole(typed)
	}
	prefix := typed[h.start:]
	var list []candidate
	switch h.want {
	case wantStart:
		list = append(texts(functions, "("), candidate{text: "{"})
	case wantName, wantField:
		list = a.names(ctx)
	case wantStage:
		list = append(texts(stages, ""), a.names(ctx)...)
	case wantOp:
		list = texts([]string{`="`, `!="`, `=~"`, `!~"`}, "")
		if !h.braces {
			list = append(list, texts([]string{" >=", " >", " <", " <=", " =="}, "")...)
		}
	case wantValue:
		list = a.values(ctx, h, prefix)
	case wantNext:
		if h.braces {
			list = texts([]string{",", "}"}, "")
		} else {
			list = texts([]string{` |= "`, ` != "`, ` |~ "`, " |"}, "")
		}
	case wantDuration:
		list = texts(durations, "]")
	}
	list = slices.DeleteFunc(list, func(c candidate) bool { return !strings.HasPrefix(c.text, prefix) })
	if len(list) > maxCandidates {
		list = list[:maxCandidates]
	}
	return typeable(typed[:h.start], a.openEnded(h, list))
}

// openEnded gives a single candidate two ends. A shell closes the quotes around
// the whole query after the only candidate, and the query goes on.
func (a *asking) openEnded(h hole, list []candidate) []candidate {
	if len(list) != 1 {
		return list
	}
	c, ends := list[0], []string(nil)
	switch h.want {
	case wantName:
		if h.braces {
			ends = []string{`="`, `=~"`}
		}
	case wantField:
		ends = []string{":", ":>"}
	case wantValue:
		switch {
		case h.braces:
			ends = []string{"}", ","}
		case a.lang != "search":
			ends = []string{" |", ")"}
		}
	}
	if ends == nil {
		return list
	}
	return []candidate{{c.text + ends[0], c.about}, {c.text + ends[1], c.about}}
}

// typeable puts candidates, none of which may end in a space, behind what was typed, in the form that shells read:
// text, tab, description.
func typeable(head string, list []candidate) []string {
	out := make([]string, 0, len(list))
	for _, c := range list {
		if strings.ContainsAny(c.text, "\t\n\r") {
			continue // cannot be typed
		}
		s := head + c.text
		if c.about != "" {
			s += "\t" + escapeLine(strings.ReplaceAll(c.about, "\t", " "))
		}
		out = append(out, s)
	}
	return out
}

func texts(list []string, end string) []candidate {
	out := make([]candidate, len(list))
	for i, s := range list {
		out[i].text = s + end
	}
	return out
}

// ask opens the connection of a completion and gives the usual time range.
func (a *asking) ask() (url.Values, bool) {
	if a.http == nil && a.open() != nil {
		return nil, false
	}
	if a.to == "" {
		a.to = "now"
	}
	q, err := a.window(time.Now())
	return q, err == nil
}

// names lists fields as queries write them: short labels first, then what the
// records of the time range have, with what platforms call it, then what the
// schema knows.
func (a *asking) names(ctx context.Context) []candidate {
	var out []candidate
	seen, stored := map[string]bool{}, map[string]bool{}
	add := func(name, about string) {
		if !seen[name] && name != "" {
			seen[name] = true
			out = append(out, candidate{name, about})
		}
	}
	for _, l := range schema.StreamLabels() {
		add(l.Label, "label")
	}
	if q, ok := a.ask(); ok {
		var answer struct {
			Fields []struct{ Name, Query, Type, Meaning string }
		}
		if a.fetchJSON(ctx, "/api/v1/fields", q, &answer) == nil {
			for _, f := range answer.Fields {
				add(f.Query, firstOf(f.Meaning, f.Type))
				stored[f.Name] = true
			}
		}
	}
	fields := schema.Fields()
	for _, here := range []bool{true, false} {
		for i := range fields {
			if f := &fields[i]; stored[f.Name] == here {
				add(schema.Identifier(f.Name), f.Meaning)
				for _, alias := range f.Aliases {
					add(schema.Identifier(alias.Name), alias.From+": "+f.Name)
				}
			}
		}
	}
	return out
}

// values lists the values of a field, most frequent first, among the records that
// the query selects so far.
func (a *asking) values(ctx context.Context, h hole, typed string) []candidate {
	q, ok := a.ask()
	if !ok {
		return nil
	}
	quote, begun := byte('"'), strings.TrimPrefix(typed, string(rune(h.quote)))
	if h.quote == '`' {
		quote = '`'
	}
	// Only values that begin so, however rare they are.
	query := selecting(h.selector, h.field, begun)
	q.Set("query", query)
	q.Set("field", h.field)
	q.Set("limit", strconv.Itoa(maxCandidates))
	var answer struct {
		Values []struct {
			Name string
			N    uint64
		}
	}
	if a.fetchJSON(ctx, "/api/v1/values", q, &answer) != nil {
		return nil
	}
	var out []candidate
	for _, v := range answer.Values {
		about := strconv.FormatUint(v.N, 10) + " records"
		text := v.Name
		switch {
		case a.lang == "search" && h.quote == 0 && !strings.ContainsAny(v.Name, " ()\":"):
		case quote == '`' && !strings.Contains(v.Name, "`"):
			text = "`" + v.Name + "`"
		default:
			text = strconv.Quote(v.Name)
		}
		out = append(out, candidate{text, about})
		if _, err := strconv.ParseFloat(v.Name, 64); err == nil && h.quote == 0 && !h.braces && a.lang != "search" {
			out = append(out, candidate{v.Name, about})
		}
	}
	return out
}

// selecting adds the beginning of a value to a selector.
func selecting(selector, field, begun string) string {
	if selector == "" {
		selector = "{}"
	}
	if begun == "" || strings.ContainsAny(begun, `\`) {
		return selector
	}
	with := selector + " | " + field + " =~ " + strconv.Quote(regexp.QuoteMeta(begun)+".*")
	if _, err := logql.ParseLog(with); err != nil {
		return selector
	}
	return with
}

// completeFields offers the names of fields, after the last comma of a list.
func (a *asking) completeFields(first int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if first >= 0 && len(args) != first {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		head := typed[:strings.LastIndexByte(typed, ',')+1]
		list := slices.DeleteFunc(a.names(ctx), func(c candidate) bool { return !strings.HasPrefix(c.text, typed[len(head):]) })
		return typeable(head, list[:min(len(list), maxCandidates)]), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeAsking declares what completes the flags of a verb that asks. Flags
// that the verb does not have are passed over.
func (a *asking) completeAsking(cmd *cobra.Command, forms []string) {
	fixed := func(flag string, values ...string) {
		if cmd.Flags().Lookup(flag) != nil {
			cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
				fit := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !strings.HasPrefix(v, typed) })
				return fit, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
			})
		}
	}
	fixed("output", forms...)
	fixed("lang", languages...)
	fixed("color", "auto", "always", "never")
	fixed("order", "newest", "oldest")
	fixed("since", "5m", "15m", "1h", "6h", "1d", "7d")
	fixed("step", "15s", "1m", "5m", "15m", "1h")
	fixed("from", "-15m", "-1h", "-6h", "-1d", "-7d")
	fixed("to", "now", "-15m", "-1h", "-1d")
	for _, flag := range []string{"server", "limit", "lines", "rate", "context", "before", "after"} {
		fixed(flag)
	}
	for _, flag := range []string{"fields", "by"} {
		if cmd.Flags().Lookup(flag) != nil {
			cmd.RegisterFlagCompletionFunc(flag, a.completeFields(-1))
		}
	}
}
