package policy

import (
	"errors"
	"fmt"
	"time"

	"github.com/meshtrail/meshtrail/internal/record"
)

// maxReason bounds what is said of a hold, in bytes: it goes into the ledger.
const maxReason = 500

// Hold is a legal hold: what it covers is not destroyed, whatever its retention
// says. Placing, changing and releasing one goes into the ledger for ever.
type Hold struct {
	// ID names the hold: 1 to 64 of a-z, 0-9, _ and -.
	ID string `yaml:"id"`
	// Tenant and Class narrow the hold; without them it covers all.
	Tenant string `yaml:"tenant"`
	Class  string `yaml:"class"`
	// From and To are the first and the last event day (UTC, 2006-01-02) that the
	// hold covers; without them it has no beginning or no end.
	From string `yaml:"from"`
	To   string `yaml:"to"`
	// Reason is a case number or the like, no names: the ledger forgets nothing.
	Reason string `yaml:"reason"`
}

// ValidateHolds reports everything that is wrong with holds, as Config.Validate
// does.
func ValidateHolds(holds []Hold) error {
	v := &validator{}
	seen := map[string]int{}
	for i, h := range holds {
		path := fmt.Sprintf("holds[%d]", i)
		if !record.ValidName(h.ID) {
			v.bad("use 1 to 64 of a-z, 0-9, _ and -", path+".id", h.ID, "no valid id")
		} else if first, twice := seen[h.ID]; twice {
			v.bad("give each hold an id of its own", path+".id", h.ID, fmt.Sprintf("holds[%d] has the same id", first))
		}
		seen[h.ID] = i
		if h.Tenant != "" && !record.ValidName(h.Tenant) {
			v.bad("leave it out to hold all tenants", path+".tenant", h.Tenant, "no valid name of a tenant")
		}
		if h.Class != "" && !record.ValidName(h.Class) {
			v.bad("leave it out to hold all classes", path+".class", h.Class, "no valid name of a class")
		}
		for _, d := range [][2]string{{"from", h.From}, {"to", h.To}} {
			if _, err := time.Parse(time.DateOnly, d[1]); d[1] != "" && err != nil {
				v.bad("write it as 2006-01-02", path+"."+d[0], d[1], "no day")
			}
		}
		if h.From != "" && h.To != "" && h.From > h.To {
			v.bad("", path+".to", h.To, "the hold ends before it begins")
		}
		if h.Reason == "" || len(h.Reason) > maxReason {
			v.bad("a case number; no names of people, the ledger keeps it for ever", path+".reason", h.Reason, fmt.Sprintf("a reason of 1 to %d bytes is needed", maxReason))
		}
	}
	return errors.Join(v.errs...)
}

// What retention counts from.
const (
	fromArrival = "arrival" // the event day's end, or the arrival of its newest record if that is later
	fromEvent   = "event"   // the event day's end
)

// EndOfDay returns when the last record of a class and UTC day (2006-01-02), of
// which the newest arrived at a time, may be destroyed, and the rule in words.
// Who loads last year's logs wants to keep them for as long as the class says
// from then on, so arrival counts unless the policy says otherwise. It is not ok
// for a class that the policy does not name: nobody promised an end for that, so
// it has none.
func (p *Policy) EndOfDay(class record.Class, day string, arrived time.Time) (end time.Time, rule string, ok bool) {
	keep, named := p.classes[class]
	t, err := time.Parse(time.DateOnly, day)
	if !named || err != nil {
		return time.Time{}, "", false
	}
	end, rule = keep.End(t.AddDate(0, 0, 1).Add(-1)), string(class)+" "+keep.String()
	if p.byEvent {
		return end, rule + " from event", true
	}
	if late := keep.End(arrived.UTC()); late.After(end) {
		end = late
	}
	return end, rule, true
}
