package config

import (
	"reflect"

	"github.com/meshtrail/meshtrail/internal/receive/elastic"
	"github.com/meshtrail/meshtrail/internal/receive/fluent"
	"github.com/meshtrail/meshtrail/internal/receive/gelf"
	"github.com/meshtrail/meshtrail/internal/receive/hubble"
	"github.com/meshtrail/meshtrail/internal/receive/jaeger"
	"github.com/meshtrail/meshtrail/internal/receive/lumberjack"
	"github.com/meshtrail/meshtrail/internal/receive/scrape"
	"github.com/meshtrail/meshtrail/internal/receive/syslog"
)

// Receivers is the section receivers: one field per receiver that can be
// configured. Each type belongs to its package and MUST have a Validate; its
// zero value is its default.
type Receivers struct {
	Elastic    elastic.Config    `yaml:"elastic"`
	Fluent     fluent.Config     `yaml:"fluent"`
	Lumberjack lumberjack.Config `yaml:"lumberjack"`
	Hubble     hubble.Config     `yaml:"hubble"`
	Jaeger     jaeger.Config     `yaml:"jaeger"`
	Scrape     scrape.Config     `yaml:"scrape"`
	Syslog     syslog.Config     `yaml:"syslog"`
	GELF       gelf.Config       `yaml:"gelf"`
}

// validateReceivers asks every receiver. Their paths begin below receivers.
func (r Receivers) validate() (parts []part) {
	v := reflect.ValueOf(r)
	for _, f := range fieldsOf(v.Type()) {
		if c, ok := v.FieldByIndex(f.index).Interface().(interface{ Validate() error }); ok {
			parts = append(parts, part{"receivers." + f.name, c.Validate()})
		}
	}
	return parts
}

// part is what a part of the configuration says about itself.
type part struct {
	path string
	err  error
}
