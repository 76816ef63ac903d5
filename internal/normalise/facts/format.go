package facts

// A Kind says what the records of a layout are about. Policy chooses retention
// classes by it.
type Kind uint8

// The kinds.
const (
	App    Kind = iota // what a program says of itself
	Access             // one request or connection, by who served or carried it
	Flow               // packets and connections, by the network
	Audit              // who did what to a system's own state
	Auth               // who was let in, or not
	Host               // what a machine says of itself
)

// String returns the kind's name.
func (k Kind) String() string {
	return [...]string{"app", "access", "flow", "audit", "auth", "host"}[k]
}

// A Format is one layout that a platform parser reads. Its Name is what
// parse.format holds and never changes once released.
type Format struct {
	Name     string // "istio-text"
	Platform string // by which a sender may declare it: "istio"
	Mesh     string // mesh.type of its records; "" if the layout does not tell
	Kind     Kind
	Of       string // what writes it, for people: "Istio's sidecar, default text"
}

// A Line reads text lines of one platform. Parsers keep scratch memory, so each
// Normaliser has Lines of its own.
type Line interface {
	// Text reads a line without its line break and reports whether it is of a
	// layout of the platform. Only then it may have written to o: it sets Format
	// and Status, and Time unless o.Fixed. The caller keeps the whole line as the
	// body. line is valid UTF-8 and not empty; it is the caller's.
	Text(line []byte, o *Out) bool
}
