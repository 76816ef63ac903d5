package pipe

import (
	"errors"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// What one template may cost for one record. Work is counted in bytes that are
// read or made by functions, and in the length of what loops repeat.
const (
	maxText = 1 << 20 // bytes of a result, or of a function's
	maxWork = 8 << 20
)

var errWork = errors.New("the template does too much for one record")

var errText = errors.New("the template makes more than 1 MiB of text")

// A tmpl is a compiled template. Texts and {{.name}} alone are run without the
// template engine.
type tmpl struct {
	parts []part // when the template is that simple
	full  *template.Template
	names []*ref // the fields that full asks for
	whole bool   // full asks for all fields: {{.}}, {{range .}}, {{index . "x"}}
	data  map[string]string
}

// A part is a text, or a field.
type part struct {
	text  string
	field *ref
}

// tick is the name of the function that every turn of a loop calls.
const tick = "__tick__"

// newTmpl compiles a template. It may not define templates: they could call
// themselves for ever.
func newTmpl(src string) (*tmpl, error) {
	full, err := template.New("template").Option("missingkey=zero").Funcs(newEnv().funcs()).Parse(src)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "read the template: %w", err)
	}
	if len(full.Templates()) > 1 {
		return nil, fault.Errorf(fault.Invalid, "define, template and block are not allowed in a query's template")
	}
	t := &tmpl{}
	if full.Tree == nil || full.Root == nil {
		return t, nil // empty
	}
	if t.parts = simple(full.Root); t.parts != nil {
		return t, nil
	}
	x := &inspection{names: map[string]bool{}}
	x.list(full.Root)
	if x.err != nil {
		return nil, x.err
	}
	for name := range x.names {
		t.names = append(t.names, newRef(name))
	}
	t.full, t.whole = full, x.whole
	return t, nil
}

// simple returns the parts of a template that has only texts and {{.name}}, or
// nil.
func simple(root *parse.ListNode) []part {
	parts := []part{}
	for _, n := range root.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			parts = append(parts, part{text: string(n.Text)})
		case *parse.CommentNode:
		case *parse.ActionNode:
			if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 1 {
				return nil
			}
			f, ok := n.Pipe.Cmds[0].Args[0].(*parse.FieldNode)
			if !ok || len(f.Ident) != 1 {
				return nil
			}
			parts = append(parts, part{field: newRef(f.Ident[0])})
		default:
			return nil
		}
	}
	return parts
}

// An inspection finds the fields that a template asks for, and puts a tick into
// its loops.
type inspection struct {
	names map[string]bool
	whole bool
	err   error
}

func (x *inspection) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		x.node(n)
	}
}

func (x *inspection) node(n parse.Node) {
	switch n := n.(type) {
	case *parse.ActionNode:
		x.pipe(n.Pipe)
	case *parse.IfNode:
		x.branch(&n.BranchNode)
	case *parse.WithNode:
		x.branch(&n.BranchNode)
	case *parse.RangeNode:
		x.branch(&n.BranchNode)
		n.List.Nodes = append([]parse.Node{tickOf(n.List)}, n.List.Nodes...)
	case *parse.TemplateNode:
		x.err = fault.Errorf(fault.Invalid, "template is not allowed in a query's template")
	case *parse.PipeNode:
		x.pipe(n)
	case *parse.ChainNode:
		x.node(n.Node)
	case *parse.FieldNode:
		x.names[n.Ident[0]] = true
	case *parse.VariableNode:
		if n.Ident[0] != "$" {
			return
		}
		if len(n.Ident) > 1 {
			x.names[n.Ident[1]] = true
		} else {
			x.whole = true
		}
	case *parse.DotNode:
		x.whole = true
	}
}

func (x *inspection) branch(b *parse.BranchNode) {
	x.pipe(b.Pipe)
	x.list(b.List)
	x.list(b.ElseList)
}

func (x *inspection) pipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	for _, c := range p.Cmds {
		for _, a := range c.Args {
			x.node(a)
		}
	}
}

// tickOf returns the call {{__tick__ n}} for a loop, n being the length of what
// it repeats. It is a variable-free action, so that it prints "" and no more.
func tickOf(body *parse.ListNode) parse.Node {
	n := &parse.NumberNode{NodeType: parse.NodeNumber, IsInt: true, Int64: int64(len(body.String())), Text: "0"}
	cmd := &parse.CommandNode{NodeType: parse.NodeCommand, Args: []parse.Node{parse.NewIdentifier(tick), n}}
	return &parse.ActionNode{NodeType: parse.NodeAction, Pipe: &parse.PipeNode{NodeType: parse.NodePipe, Cmds: []*parse.CommandNode{cmd}}}
}

// needs says what the template asks of a record. Where it fails, the line stays
// as it is: nobody can tell when that is needed, so it is for what may fail.
func (t *tmpl) needs() (n needs) {
	for _, r := range t.names {
		n.names = append(n.names, r.name)
	}
	for _, p := range t.parts {
		if p.field != nil {
			n.names = append(n.names, p.field.name)
		}
	}
	n.all, n.line = t.whole, t.full != nil
	return n
}

// bind gives a Run a template of its own, whose functions speak of e.
func (t *tmpl) bind(e *env) *tmpl {
	if t.full == nil {
		return t
	}
	out := *t
	out.full = template.Must(t.full.Clone()).Funcs(e.funcs())
	out.data = map[string]string{}
	return &out
}

// run makes the text for a row, whose made fields were those of before.
func (t *tmpl) run(e *env, w *Row, before *snapshot) (string, error) {
	if before != nil {
		now := w.made
		w.made, w.places.known = before.made, 0
		defer func() { w.made, w.places.known = now, 0 }()
	}
	if t.full == nil {
		return t.join(w)
	}
	clear(t.data)
	t.fill(w)
	e.row, e.left = w, maxWork
	e.out.Reset()
	if err := t.full.Execute(e, t.data); err != nil {
		for _, known := range []error{errWork, errText} {
			if errors.Is(err, known) {
				return "", known
			}
		}
		return "", err
	}
	return e.out.String(), nil
}

func (t *tmpl) join(w *Row) (string, error) {
	buf := w.run.buf[:0]
	if len(t.parts) == 1 && t.parts[0].field != nil {
		v, _, _ := w.value(t.parts[0].field)
		return v.Text(), nil
	}
	for _, p := range t.parts {
		if p.field == nil {
			buf = append(buf, p.text...)
		} else if v, _, ok := w.value(p.field); ok {
			buf = v.AppendText(buf)
		}
		if len(buf) > maxText {
			return "", errText
		}
	}
	w.run.buf = buf
	return string(buf), nil
}

// fill puts the fields of the row into data that the template may ask for.
func (t *tmpl) fill(w *Row) {
	if t.whole {
		for i := range w.base.Fields {
			f := &w.base.Fields[i]
			t.data[schema.Identifier(f.Name)] = f.Value.Text()
		}
		for _, s := range schema.StreamLabels() {
			if v, ok := match.Value(s.Label, w.base); ok {
				t.data[s.Label] = v.Text()
			}
		}
		for _, l := range w.Labels() {
			t.data[l.Name] = l.Value
		}
	}
	for _, r := range t.names {
		if v, _, ok := w.value(r); ok {
			t.data[r.name] = v.Text()
		}
	}
}

// env is what the functions of a Run's templates know: the row, what may still
// be spent, and the output.
type env struct {
	row     *Row
	left    int
	out     strings.Builder
	regexps map[string]*expression
	zones   map[string]*time.Location
}

func newEnv() *env {
	return &env{regexps: map[string]*expression{}, zones: map[string]*time.Location{}}
}

// spend takes n bytes of work off what is left.
func (e *env) spend(n int) error {
	if n < 0 || n > e.left {
		e.left = 0
		return errWork
	}
	e.left -= n
	return nil
}

// room reports whether a text of n bytes may be made, and spends them.
func (e *env) room(n int) error {
	if n < 0 || n > maxText {
		return errText
	}
	return e.spend(n + 1)
}

// Write is the template's output.
func (e *env) Write(p []byte) (int, error) {
	if e.out.Len()+len(p) > maxText {
		return 0, errText
	}
	return e.out.Write(p)
}

// tick is called in every turn of a loop whose body has n bytes.
func (e *env) tick(n int) (string, error) { return "", e.spend(n + 100) }
