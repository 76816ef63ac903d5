package trace

import (
	"cmp"
	"slices"
	"strings"
)

// A Summary says what a trace is without its spans.
type Summary struct {
	ID                    string
	RootService, RootName string
	Start, End            int64
	Spans, Failed         int
	Orphans               int // spans whose parent is not there
	Services              []ServiceSummary
}

// A ServiceSummary is the part of one service.
type ServiceSummary struct {
	Name          string
	Spans, Failed int
}

// Summary returns the summary of a trace.
func (t *Trace) Summary() Summary {
	m := Summary{ID: t.ID}
	there := make(map[string]bool, len(t.Spans))
	for i := range t.Spans {
		there[t.Spans[i].SpanID] = true
	}
	services := map[string]*ServiceSummary{}
	root := -1
	for i := range t.Spans {
		s := &t.Spans[i]
		if m.Spans == 0 || s.Start < m.Start {
			m.Start = s.Start
		}
		m.End = max(m.End, s.End())
		m.Spans++
		sv := services[s.Service]
		if sv == nil {
			sv = &ServiceSummary{Name: s.Service}
			services[s.Service] = sv
		}
		sv.Spans++
		if s.Failed() {
			m.Failed++
			sv.Failed++
		}
		switch {
		case s.Parent == "":
			if root < 0 || t.Spans[root].Parent != "" || s.Start < t.Spans[root].Start {
				root = i
			}
		case !there[s.Parent]:
			m.Orphans++
			if root < 0 {
				root = i
			}
		}
	}
	if root >= 0 {
		m.RootService, m.RootName = t.Spans[root].Service, t.Spans[root].Name
	}
	for _, sv := range services {
		m.Services = append(m.Services, *sv)
	}
	slices.SortFunc(m.Services, func(a, b ServiceSummary) int {
		return cmp.Or(cmp.Compare(b.Spans, a.Spans), strings.Compare(a.Name, b.Name))
	})
	return m
}
