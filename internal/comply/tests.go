package comply

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// outcome is what a control test came to.
type outcome struct {
	state      State
	population int
	deviations []string
	reason     string
}

// control is one control test of this version. Identifiers are stable.
type control struct {
	id, title string
	run       func(*builder) outcome
}

// controls is the list of the tests that this version runs.
var controls = []control{
	{"COV-3", "No source falls silent unnoticed", (*builder).silence},
	{"COV-4", "What was received is all accounted for", (*builder).conservation},
	{"INT-1", "What is kept is unchanged", (*builder).unchanged},
	{"INT-2", "The account is sealed without pause", (*builder).sealing},
	{"ACC-5", "Reads of the logs are on record", (*builder).reads},
	{"ACC-9", "Everything kept is encrypted under a committed key", (*builder).encrypted},
	{"RET-3", "What is destroyed is destroyed with approval", (*builder).destruction},
	{"CHG-1", "Changes of the configuration are approved by another person", (*builder).approvals},
}

// maxDeviations bounds the list of one test; the count is always whole.
const maxDeviations = 200

func (b *builder) tests(context.Context) error {
	for _, c := range controls {
		o := c.run(b)
		if n := len(o.deviations); n > maxDeviations {
			o.deviations = append(o.deviations[:maxDeviations:maxDeviations], fmt.Sprintf("and %d more", n-maxDeviations))
		}
		t := Test{ID: c.id, Title: c.title, State: o.state, Population: o.population, Deviations: o.deviations, Reason: o.reason, Criteria: []string{}}
		if t.Deviations == nil {
			t.Deviations = []string{}
		}
		for _, k := range catalogue {
			if slices.Contains(k.Tests, c.id) {
				t.Criteria = append(t.Criteria, k.ID)
			}
		}
		b.rep.Tests = append(b.rep.Tests, t)
	}
	return nil
}

// late is the outcome where the history does not reach back to the start of the
// period: a part of it was never seen, and that is not a pass.
func (b *builder) late(o outcome) outcome {
	if o.state == Pass && !b.hist.begins() {
		o.state = NoData
		o.reason = "no deviation since " + brief(time.Unix(0, b.hist.genesis.At)) + ", but the period began before the history did"
	}
	return o
}

func (b *builder) silence() outcome {
	o := outcome{state: NoData, population: len(b.rep.Completeness.Sources), reason: "no source has an account in this period"}
	for _, a := range b.rep.Completeness.Sources {
		for _, g := range a.Silent {
			o.deviations = append(o.deviations, fmt.Sprintf("%s: nothing from %s to %s", a.Source, when(g.From), when(g.To)))
		}
	}
	if o.population > 0 {
		o.reason = "no interval is declared within which a source must send: silence is listed and not judged"
	}
	return o
}

func (b *builder) conservation() outcome {
	c := b.rep.Completeness
	o := outcome{state: c.Verdict, population: len(c.Sources), reason: c.Reason}
	for _, a := range c.Sources {
		if a.Difference != 0 {
			o.deviations = append(o.deviations, fmt.Sprintf("%s: received %d, accounted for %d", a.Source, a.Received, int64(a.Received)-a.Difference))
		}
	}
	return b.late(o)
}

func (b *builder) unchanged() outcome {
	i := b.rep.Integrity
	o := outcome{state: i.Verdict, population: i.Segments.Listed, reason: i.Reason}
	for _, f := range i.Findings {
		o.deviations = append(o.deviations, fmt.Sprintf("%s: %s at byte %d: %s", f.Kind, f.File, f.Offset, f.Detail))
	}
	return o
}

func (b *builder) sealing() outcome {
	c := b.rep.Completeness
	o := outcome{state: Pass, population: c.Epochs, reason: fmt.Sprintf("an epoch was sealed at least every %s", b.in.EpochEvery)}
	for _, g := range c.Outages {
		o.deviations = append(o.deviations, fmt.Sprintf("no epoch from %s to %s", when(g.From), when(g.To)))
	}
	switch {
	case c.Epochs == 0:
		o.state, o.reason = NoData, "no epoch was sealed in this period"
	case len(c.Outages) > 0:
		o.state, o.reason = Fail, "the server did not run, or did not seal, for longer than "+b.in.EpochEvery.String()
	}
	return b.late(o)
}

func (b *builder) reads() outcome {
	t := b.rep.Access
	o := outcome{state: t.State, population: len(t.Rows), reason: t.Reason}
	if t.State == Pass {
		o.state, o.reason = NoData, "the reads are listed; this version does not hold them against a second count of what the engine executed"
	}
	return o
}

func (b *builder) encrypted() outcome {
	o := outcome{state: NotOccurring, reason: "no segment was sealed before the end of the period"}
	for _, s := range b.hist.segments {
		o.population++
		if s.KeyID == "" || strings.Trim(s.KeyCommitment, "0") == "" {
			o.deviations = append(o.deviations, "segment "+s.ID+" names no key")
		}
	}
	switch {
	case len(o.deviations) > 0:
		o.state, o.reason = Fail, "segments without a committed key"
	case o.population > 0:
		o.state, o.reason = Pass, "every segment names its data key and commits to it"
	}
	return o
}

func (b *builder) destruction() outcome {
	destroyed := b.hist.destroyed()
	o := outcome{state: NotOccurring, population: len(destroyed), reason: "the ledger has no destroyed key in this period"}
	for _, k := range destroyed {
		if !b.hist.certified[k.leaf.ID] {
			o.deviations = append(o.deviations, fmt.Sprintf("leaf %d: key %s", k.index, k.leaf.ID))
		}
	}
	switch {
	case len(o.deviations) > 0:
		o.state, o.reason = Fail, "keys were destroyed without a certificate"
	case len(destroyed) > 0:
		o.state, o.reason = NoData, "every destroyed key has a certificate; this version does not record who approved the retention that it names"
	}
	if o.state == NotOccurring && !b.hist.begins() {
		o.state, o.reason = NoData, "the period began before the history did"
	}
	return o
}

func (b *builder) approvals() outcome {
	n := b.hist.changed()
	switch {
	case len(b.hist.configs) == 0 && b.hist.config == "":
		return outcome{state: NoData, reason: "the ledger has no configuration yet"}
	case n > 0:
		return outcome{state: NoData, population: n, reason: "the configuration changed; this version does not record who approved it"}
	case !b.hist.begins():
		return outcome{state: NoData, reason: "no change is recorded, but the period began before the history did"}
	}
	return outcome{state: NotOccurring, reason: "the server ran under one configuration"}
}

// coverage gives each of the 61 criteria its standing. A criterion passes only
// if nothing is wanting: a test that does not exist is missing data.
func (b *builder) coverage() {
	byID := map[string]Test{}
	for _, t := range b.rep.Tests {
		byID[t.ID] = t
	}
	for _, k := range catalogue {
		c := Coverage{ID: k.ID, Category: k.Category, Paraphrase: k.Paraphrase, Strength: k.Strength, State: NoData, Wanting: k.Wanting, Tests: []string{}}
		worst := NotOccurring
		for _, id := range k.Tests {
			c.Tests = append(c.Tests, id+" "+string(byID[id].State))
			worst = worse(worst, byID[id].State)
		}
		switch {
		case len(k.Tests) == 0 && k.Strength == Attestation:
			c.Evidence = "Attestation only: logs cannot show this. Not tested here."
		case len(k.Tests) == 0:
			c.Evidence = "Not tested by this version."
		case worst == Fail || worst == Error:
			c.State, c.Evidence = worst, "A test that speaks to this criterion did not pass."
		case worst == NoData:
			c.Evidence = "Tested in part, and not all of it has data."
		case k.Wanting != "":
			c.Evidence = "The tests of this version hold; they are a part of what the criterion needs."
		default:
			c.State, c.Evidence = worst, "All that the criterion needs was tested."
		}
		b.rep.Coverage = append(b.rep.Coverage, c)
	}
}

// severity orders the states from best to worst.
var severity = []State{NotApplicable, NotOccurring, Pass, NoData, Error, Fail}

func worse(a, b State) State {
	if slices.Index(severity, b) > slices.Index(severity, a) {
		return b
	}
	return a
}
