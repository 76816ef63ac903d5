package logql

import (
	"slices"
	"strings"
)

// keyword reads what follows | other than a condition.
func (p *parser) keyword(l *Log, e *RangeAgg) error {
	t := p.tok
	if err := p.advance(); err != nil {
		return err
	}
	var s Stage
	var err error
	switch word := strings.ToLower(t.text); word {
	case "json":
		s, err = p.json(t.pos)
	case "logfmt":
		s, err = p.logfmt(t.pos)
	case "unpack":
		s = &Parser{At: t.pos, Name: word}
	case "regexp", "pattern":
		s, err = p.captures(t.pos, word)
	case "line_format":
		s, err = p.lineFormat(t.pos)
	case "label_format":
		s, err = p.labelFormat(t.pos)
	case "decolorize":
		s = &Decolorize{At: t.pos}
	case "drop", "keep":
		s, err = p.dropKeep(t.pos, word == "keep")
	case "distinct":
		s, err = p.distinct(t.pos)
	case "unwrap":
		if e == nil {
			return p.errorAt(t.pos, "unwrap gives a function its numbers: sum_over_time({…} | unwrap latency [5m])", "syntax error: unexpected unwrap")
		}
		e.Unwrap, err = p.unwrap(t.pos)
		return err
	default:
		return p.unknownStage(t)
	}
	if err != nil {
		return err
	}
	l.Stages = append(l.Stages, s)
	return nil
}

// stageNames are the words that may follow |.
var stageNames = []string{
	"json", "logfmt", "regexp", "pattern", "unpack", "line_format", "label_format", "decolorize", "drop", "keep", "distinct", "unwrap",
}

// unknownStage says what may follow |. The word is a field when an operator was
// merely forgotten, or a stage that was misspelt.
func (p *parser) unknownStage(t token) error {
	if near := nearest(t.text, stageNames); near != "" {
		return p.errorAt(t.pos, "did you mean | "+near+"?", "syntax error: unexpected %s", t.name())
	}
	return p.unexpected("after | stands a condition such as status >= 500, or one of "+strings.Join(stageNames, ", "), "=", "!=", "=~", "!~", ">", ">=", "<", "<=", "==")
}

// nearest returns the word of the list that was most likely meant, or "".
func nearest(word string, list []string) string {
	word = strings.ToLower(word)
	if len(word) > 32 {
		return ""
	}
	best, most := "", 1+len(word)/4
	for _, w := range list {
		if d := distance(word, w, most); d <= most {
			best, most = w, d-1
		}
	}
	return best
}

// distance counts the letters to change, add or take away between two words,
// stopping beyond most.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		corner := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := corner
			if a[i-1] != b[j-1] {
				change++
			}
			corner = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// json reads what follows | json: nothing, or a="b.c[0]", d.
func (p *parser) json(at int) (Stage, error) {
	s := &Parser{At: at, Name: "json"}
	if p.op("-") {
		return nil, p.unexpected("flags are logfmt's: | logfmt --strict")
	}
	err := p.extractions(s, func(text string) (int, error) {
		_, at, err := parsePath(text)
		return at, err
	}, `a path is a.b[0]["c d"]`)
	return s, err
}

// logfmt reads what follows | logfmt: flags, and a="b", c.
func (p *parser) logfmt(at int) (Stage, error) {
	s := &Parser{At: at, Name: "logfmt"}
	for p.op("-") && !p.full && strings.HasPrefix(p.src[p.tok.pos:], "--") {
		pos := p.tok.pos
		end := pos + 2
		for end < len(p.src) && (isIdentPart(p.src[end]) || p.src[end] == '-') {
			end++
		}
		switch flag := p.src[pos:end]; flag {
		case "--strict":
			s.Strict = true
		case "--keep-empty":
			s.KeepEmpty = true
		default:
			return nil, p.errorAt(pos, "logfmt has the flags --strict and --keep-empty", "syntax error: unknown flag %s", clip(flag))
		}
		p.pos = end
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	err := p.extractions(s, func(text string) (int, error) {
		_, err := LogfmtKey(text)
		return 0, err
	}, `a key is a name, or anything in quotes: a="b", c="\"d.e\""`)
	return s, err
}

// extractions reads a="b", c, if there is one; check says what is wrong with a
// path, and where in it.
func (p *parser) extractions(s *Parser, check func(string) (int, error), hint string) error {
	if p.tok.kind != kIdent && p.tok.kind != kString {
		return nil
	}
	return p.list(func() error {
		x := Extraction{At: p.tok.pos}
		t := p.tok
		if word := strings.ToLower(t.text); t.kind == kIdent && (reserved(word) || slices.Contains(stageNames, word)) {
			if next, err := p.peek(); err == nil && !(next.kind == kOp && next.text == "=") {
				return p.unexpected("stages are joined by |: | " + s.Name + " | " + word)
			}
		}
		var err error
		if x.Name, err = p.name(); err != nil {
			return err
		}
		x.Path = x.Name
		if t.kind == kString && !p.op("=") {
			return p.errorAt(t.pos, "to look for a text write |= "+quote(clip(t.text))+"; a field is "+s.Name+" name=\"path\"", "syntax error: unexpected STRING")
		}
		if p.op("=") {
			if err := p.advance(); err != nil {
				return err
			}
			if t = p.tok; t.kind != kString {
				return p.unexpected("the path is quoted: "+quoteName(x.Name)+`="a.b"`, "STRING")
			}
			x.Path = t.text
			if err := p.advance(); err != nil {
				return err
			}
		}
		if at, err := check(x.Path); err != nil {
			pos := t.pos
			if t.kind == kString {
				pos = p.inside(t, at)
			}
			return p.errorAt(pos, hint, "cannot parse expression [%s]: %s", clip(x.Path), err)
		}
		s.Fields = append(s.Fields, x)
		return nil
	})
}

// list reads one or more items with commas between them.
func (p *parser) list(item func() error) error {
	for n := 0; ; n++ {
		if n == maxNames {
			return p.errorAt(p.tok.pos, "", "more than %d labels in one list", maxNames)
		}
		if err := item(); err != nil {
			return err
		}
		if !p.op(",") {
			return nil
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
}

// captures reads the expression of | regexp or | pattern.
func (p *parser) captures(at int, word string) (Stage, error) {
	s := &Parser{At: at, Name: word, Expr: p.tok.text}
	if p.tok.kind != kString {
		return nil, p.unexpected("", "STRING")
	}
	if word == "pattern" {
		if at, err := checkPattern(s.Expr, false); err != nil {
			return nil, p.errorAt(p.inside(p.tok, at), `captures are <name>, or <_> for what is not wanted, with text between them: "<ip> <_> <status>"`, "invalid pattern parser: %s", err)
		}
		return s, p.advance()
	}
	if err := p.regexp("invalid regexp parser: "); err != nil {
		return nil, err
	}
	if err := checkCaptures(s.Expr); err != nil {
		return nil, p.errorAt(p.tok.pos, "name what it captures: (?P<status>[0-9]+)", "invalid regexp parser: %s", err)
	}
	return s, p.advance()
}

func (p *parser) lineFormat(at int) (Stage, error) {
	s := &LineFormat{At: at, Template: p.tok.text}
	if p.tok.kind != kString {
		return nil, p.unexpected("", "STRING")
	}
	if err := p.template("line template"); err != nil {
		return nil, err
	}
	return s, p.advance()
}

// labelFormat reads a=b, c="{{.d}}".
func (p *parser) labelFormat(at int) (Stage, error) {
	s := &LabelFormat{At: at}
	seen := map[string]bool{}
	return s, p.list(func() error {
		set := LabelSet{At: p.tok.pos}
		var err error
		if set.Name, err = p.name(); err != nil {
			return err
		}
		if set.Name == "__error__" {
			return p.errorAt(set.At, "| drop __error__ takes it away", "__error__ cannot be formatted")
		}
		if seen[set.Name] {
			return p.errorAt(set.At, "write a second | label_format", "multiple label name '%s' not allowed in a single format operation", clip(set.Name))
		}
		seen[set.Name] = true
		if err := p.expect("="); err != nil {
			return err
		}
		switch p.tok.kind {
		case kString:
			if err := p.template("template for label '" + clip(set.Name) + "'"); err != nil {
				return err
			}
			set.Template = p.tok.text
		case kIdent:
			set.From, set.Rename = p.tok.text, true
		default:
			return p.unexpected(`write dst=src to rename, dst="{{.src}}" to compute`, "STRING", "IDENTIFIER")
		}
		s.Sets = append(s.Sets, set)
		return p.advance()
	})
}

// dropKeep reads a, b="c", d=~"e".
func (p *parser) dropKeep(at int, keep bool) (Stage, error) {
	s := &Names{At: at, Keep: keep}
	return s, p.list(func() error {
		m := Matcher{At: p.tok.pos}
		var err error
		if m.Name, err = p.name(); err != nil {
			return err
		}
		if p.tok.kind == kOp && isTextOp(Op(p.tok.text)) {
			m.Op = Op(p.tok.text)
			if err := p.advance(); err != nil {
				return err
			}
			if err := p.matcherValue(&m); err != nil {
				return err
			}
		} else if comparisonAhead(p.tok) {
			return p.unexpected("drop and keep compare texts: "+quoteName(m.Name)+"=\"…\"", "=", "=~", "!=", "!~")
		}
		s.Items = append(s.Items, m)
		return nil
	})
}

func (p *parser) distinct(at int) (Stage, error) {
	s := &Distinct{At: at}
	return s, p.list(func() error {
		n, err := p.name()
		s.Names = append(s.Names, n)
		return err
	})
}

// unwrap reads name, or conv(name), after | unwrap.
func (p *parser) unwrap(at int) (*Unwrap, error) {
	u := &Unwrap{At: at}
	word := p.tok
	var err error
	if u.Name, err = p.name(); err != nil {
		return nil, err
	}
	if !p.op("(") {
		return u, nil
	}
	conv := strings.ToLower(word.text)
	if word.kind != kIdent || conv != "duration" && conv != "duration_seconds" && conv != "bytes" {
		return nil, p.errorAt(word.pos, "conversions: bytes(name), duration(name), duration_seconds(name)", "syntax error: unknown conversion %s", clip(word.text))
	}
	u.Conv = conv
	if err := p.advance(); err != nil {
		return nil, err
	}
	if u.Name, err = p.name(); err != nil {
		return nil, err
	}
	return u, p.expect(")")
}

// unwrapFilter reads | conditions after an unwrap: nothing else may follow it.
func (p *parser) unwrapFilter(u *Unwrap) error {
	const hint = "after unwrap stand only conditions such as | __error__=\"\"; move other stages before it"
	if !p.op("|") {
		return p.unexpected(hint, "|", "[", ")")
	}
	if err := p.advance(); err != nil {
		return err
	}
	if p.tok.kind == kIdent {
		if next, err := p.peek(); err == nil && !comparisonAhead(next) {
			return p.unexpected(hint)
		}
	}
	c, err := p.conditions()
	u.Filters = append(u.Filters, c)
	return err
}
