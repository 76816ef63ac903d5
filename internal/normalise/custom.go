package normalise

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/normalise/envoy"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/nginx"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// maxCustom bounds the layouts that an operator may declare.
const maxCustom = 64

// A CustomFormat is an access log format of Envoy's or NGINX's that an operator
// wrote: what the proxy's own configuration has, and which records it is tried on.
type CustomFormat struct {
	// Name is what parse.format of its records holds; no layout of Formats has it.
	Name string `yaml:"name"`
	// Platform is whose proxy writes it: envoy if empty, istio, consul, kuma, …; of
	// a log_format nginx.
	Platform string `yaml:"platform"`
	// Sources are the sources whose records may be of it, * for any text; empty is
	// all. A record whose sender declares another platform is never of it.
	Sources []string `yaml:"sources"`
	// Text and JSON are Envoy's text_format and json_format, NGINX is a log_format of
	// NGINX: its text, or the directive. Exactly one is set.
	Text  string         `yaml:"text_format"`
	JSON  map[string]any `yaml:"json_format"`
	NGINX string         `yaml:"log_format"`
}

// Custom is the compiled formats of an operator. It is immutable and safe for
// concurrent use.
type Custom struct {
	list    []customFormat
	sources [][]string
	json    bool // some are of JSON
}

// customFormat is one compiled format, of Envoy or of NGINX.
type customFormat struct {
	platform string
	envoy    *envoy.Format
	nginx    *nginx.Format
}

var customName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)

// CompileFormats compiles formats. Its errors are of kind fault.Invalid, begin
// with the place in the list (formats[0].text_format) and name the column of what
// is wrong.
func CompileFormats(list []CustomFormat) (*Custom, error) {
	var errs []error
	c := &Custom{}
	if len(list) > maxCustom {
		return nil, fault.Errorf(fault.Invalid, "formats: %d, where %d may be", len(list), maxCustom)
	}
	seen := map[string]bool{}
	for i := range list {
		f := &list[i]
		bad := func(part, hint, format string, args ...any) {
			err := fault.Errorf(fault.Invalid, "formats[%d].%s: "+format, append([]any{i, part}, args...)...)
			errs = append(errs, fault.WithHint(err, hint))
		}
		known := slices.ContainsFunc(formats, func(k facts.Format) bool { return k.Name == f.Name })
		switch {
		case !customName.MatchString(f.Name):
			bad("name", "", "%q is no name of small letters, digits, dots and dashes", f.Name)
		case known || seen[f.Name]:
			bad("name", "", "%q is a layout's name already", f.Name)
		}
		seen[f.Name] = true
		platform := f.Platform
		switch {
		case platform == "" && f.NGINX != "":
			platform = "nginx"
		case platform == "":
			platform = "envoy"
		}
		if f.NGINX != "" {
			if platform != "nginx" {
				bad("platform", "leave it out, or write nginx", "a log_format is NGINX's, not %q's", platform)
			}
		} else if !envoy.Family(platform) {
			bad("platform", "formats are Envoy's: envoy, istio, consul, kuma, appmesh, osm, gloo, contour, emissary, envoy-gateway", "no proxy of %q is known to be Envoy", platform)
		}
		for _, s := range f.Sources {
			if _, err := path.Match(s, ""); err != nil || s == "" {
				bad("sources", "", "%q is no pattern", s)
			}
		}
		var compiled *envoy.Format
		var err error
		part := "text_format"
		switch {
		case f.NGINX != "" && f.Text == "" && f.JSON == nil:
			of, err := nginx.CompileFormat(f.NGINX)
			if err != nil {
				bad("log_format", fault.HintOf(err), "%w", err)
				continue
			}
			of.Name = f.Name
			c.list, c.sources = append(c.list, customFormat{platform: platform, nginx: of}), append(c.sources, f.Sources)
			c.json = c.json || of.JSON()
			continue
		case (f.Text != "") == (f.JSON != nil) || f.NGINX != "":
			bad("text_format", "one of them is what the proxy's configuration has", "either text_format or json_format or log_format")
			continue
		case f.Text != "":
			compiled, err = envoy.CompileText(f.Text)
		default:
			part = "json_format"
			compiled, err = envoy.CompileTree(f.JSON)
			if err != nil {
				if member, what, inner := strings.Cut(err.Error(), ": "); inner {
					bad(part+"."+member, fault.HintOf(err), "%s", what)
					continue
				}
			}
		}
		if err != nil {
			bad(part, fault.HintOf(err), "%w", err)
			continue
		}
		compiled.Name, compiled.Platform = f.Name, platform
		c.list, c.sources = append(c.list, customFormat{platform: platform, envoy: compiled}), append(c.sources, f.Sources)
		c.json = c.json || compiled.JSON()
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return c, nil
}

// of returns which formats the records of a source may be of, a bit for each.
func (c *Custom) of(source string) (mask uint64) {
	for i, patterns := range c.sources {
		ok := len(patterns) == 0
		for _, p := range patterns {
			ok = ok || matches(p, source)
		}
		if ok {
			mask |= 1 << i
		}
	}
	return mask
}

// matches reports whether a text is of a pattern in which * stands for any text.
func matches(pattern, s string) bool {
	for pattern != "" {
		if pattern[0] == '*' {
			for i := len(s); i >= 0; i-- {
				if matches(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		}
		if s == "" || s[0] != pattern[0] {
			return false
		}
		pattern, s = pattern[1:], s[1:]
	}
	return s == ""
}

// customs is what one Normaliser keeps of the operator's formats.
type customs struct {
	*Custom
	source string // that mask is of
	asked  bool
	mask   uint64
	access envoy.Access
	nginx  nginx.Access
}

// begin finds out which formats the records of a source may be of.
func (c *customs) begin(source string) {
	if !c.asked || c.source != source {
		c.source, c.asked, c.mask = string([]byte(source)), true, c.of(source)
	}
}

// may reports whether a record may be of a format.
func (c *customs) may(i int, o *facts.Out) bool {
	return c.mask&(1<<i) != 0 && (o.Declared == "" || o.Declared == c.list[i].platform)
}

// read reads a line of one of the formats, and reports whether it is one.
func (c *customs) read(line []byte, o *facts.Out) bool {
	for i := range c.list {
		if !c.may(i, o) {
			continue
		}
		if of := c.list[i].nginx; of != nil {
			if of.Text(&c.nginx, line, o) {
				return true
			}
			continue
		}
		f := c.list[i].envoy
		matched, whole := f.Text(&c.access, line)
		if !matched {
			continue
		}
		f.Write(&c.access, o)
		if !whole {
			o.PartialOf("columns")
		}
		return true
	}
	return false
}

// A customShape is a format that the objects of a shape may be of.
type customShape struct {
	format  int
	members []envoy.Member
	rules   []*table.Rule // of NGINX
}

// shapes returns the formats that an object's names allow.
func (c *customs) shapes(o *jsonscan.Object) (list []customShape) {
	for i := range c.list {
		switch f := &c.list[i]; {
		case f.nginx != nil && f.nginx.JSON():
			if rules, ok := f.nginx.Rules(o); ok {
				list = append(list, customShape{format: i, rules: rules})
			}
		case f.envoy != nil && f.envoy.JSON():
			if members, ok := f.envoy.Members(o); ok {
				list = append(list, customShape{format: i, members: members})
			}
		}
	}
	return list
}

// customObject writes an object of one of the operator's formats, and reports
// whether it is one.
func (n *Normaliser) customObject(o *jsonscan.Object, l *layout) bool {
	c := n.lines.custom
	for k := range l.custom {
		s := &l.custom[k]
		if !c.may(s.format, &n.out) {
			continue
		}
		if of := c.list[s.format].nginx; of != nil {
			of.Object(&c.nginx, o, s.rules, &n.out, n.member)
			return true
		}
		f, a := c.list[s.format].envoy, &c.access
		f.Begin(a)
		for i := range s.members {
			if m := &o.Members[i]; !s.members[i].Set(a, m) {
				n.member(m)
			}
		}
		for _, name := range o.Nulls {
			f.Null(a, name.Text)
		}
		f.Write(a, &n.out)
		if n.out.Time == 0 && !n.out.Fixed {
			_, n.out.Time = l.time(o) // it stays a field, too
		}
		return true
	}
	return false
}
