package ledger

// The types of leaves. Each leaf is one JSON object with "type" first, at most
// 65,535 bytes (C2SP tlog-tiles), and never holds record content.
const (
	TypeGenesis = "genesis"
	TypeSegment = "segment"
	TypeEpoch   = "epoch"
	TypeKey     = "key"
	TypeConfig  = "config"
	TypeReport  = "report"
	TypeDamage  = "damage"

	TypeCompact     = "compact"
	TypeDestruction = "destruction"
	TypeHold        = "hold"

	TypePolicy = "policy"
	TypeTokens = "tokens"
)

// Genesis is leaf 0: the birth of a history.
type Genesis struct {
	Type    string `json:"type"`
	Origin  string `json:"origin"` // of the checkpoints
	At      int64  `json:"at"`     // ns
	Version string `json:"version"`
}

// A Segment leaf commits a sealed segment. All leaves of one seal are appended
// together: a segment exists exactly when its leaf is under a checkpoint.
type Segment struct {
	Type          string `json:"type"`
	ID            string `json:"id"`
	Path          string `json:"path"` // below the data folder
	Version       int    `json:"version"`
	Tenant        string `json:"tenant"`
	Class         string `json:"class"`
	Day           string `json:"day"` // event day, UTC, 2006-01-02
	Size          int64  `json:"size"`
	Root          string `json:"root"` // Merkle root of the file's chunks, hex
	Records       uint64 `json:"records"`
	MinTime       int64  `json:"minTime"`
	MaxTime       int64  `json:"maxTime"`
	MinIngest     int64  `json:"minIngest"`
	MaxIngest     int64  `json:"maxIngest"`
	FirstOrd      uint64 `json:"firstOrd"`
	LastOrd       uint64 `json:"lastOrd"`
	KeyID         string `json:"keyId"`
	KeyCommitment string `json:"keyCommitment"` // hex
	// JournalAfter and JournalUpto bound the journal frames whose records of
	// this tenant, class and day the segment holds: After < seq <= Upto.
	JournalAfter uint64 `json:"journalAfter"`
	JournalUpto  uint64 `json:"journalUpto"`
	SealedAt     int64  `json:"sealedAt"`
	// MinSchema and MaxSchema are the versions of the dictionary of fields that the
	// records were written under; 0 does not say.
	MinSchema int `json:"minSchema,omitempty"`
	MaxSchema int `json:"maxSchema,omitempty"`
}

// An Epoch leaf is written at least every 60 s, even if nothing happened: the
// account of every source, and how far the journal reaches. A large account is
// cut over several leaves appended together (Part of Parts).
type Epoch struct {
	Type        string   `json:"type"`
	At          int64    `json:"at"`
	Reason      string   `json:"reason"` // "interval", "seal", "start", "shutdown"
	JournalSeq  uint64   `json:"journalSeq"`
	JournalHash string   `json:"journalHash"` // chain value after that frame, hex
	Part        int      `json:"part"`
	Parts       int      `json:"parts"`
	Sources     []Source `json:"sources"` // cumulative since genesis
}

// Count is a number under a name.
type Count struct {
	Name string `json:"name"`
	N    uint64 `json:"n"`
}

// Source is the cumulative account of one source up to JournalSeq.
type Source struct {
	Tenant       string  `json:"tenant"`
	Source       string  `json:"source"`
	Received     uint64  `json:"received"`
	Stored       uint64  `json:"stored"`
	Rejected     []Count `json:"rejected,omitempty"`
	Dropped      []Count `json:"dropped,omitempty"`
	Deduplicated uint64  `json:"deduplicated"`
	FirstSeen    int64   `json:"firstSeen"`
	LastSeen     int64   `json:"lastSeen"`
}

// A Key leaf says that a data key came into use or was destroyed.
type Key struct {
	Type       string `json:"type"`
	At         int64  `json:"at"`
	Action     string `json:"action"` // "created", "destroyed"
	ID         string `json:"id"`
	Tenant     string `json:"tenant"`
	Class      string `json:"class"`
	Day        string `json:"day"`
	Commitment string `json:"commitment"`
}

// A Config leaf records the configuration that a server started with.
type Config struct {
	Type    string `json:"type"`
	At      int64  `json:"at"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // of the configuration file, hex
}

// A Report leaf records that evidence was issued.
type Report struct {
	Type   string `json:"type"`
	At     int64  `json:"at"`
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	By     string `json:"by"`
	SHA256 string `json:"sha256"` // of the canonical JSON, hex
}

// A Damage leaf records that the server found data it could not trust and moved
// it aside.
type Damage struct {
	Type   string `json:"type"`
	At     int64  `json:"at"`
	File   string `json:"file"` // below the data folder
	Moved  string `json:"moved"`
	Offset int64  `json:"offset"`
	Detail string `json:"detail"`
}

// MaxInputs is how many segments one Compact leaf may name.
const MaxInputs = 1024

// A Compact leaf says that segments were replaced by one that holds the same
// records. The leaf after it is the Segment leaf of the output. Where it is
// under a checkpoint the inputs do not exist any more.
type Compact struct {
	Type      string   `json:"type"`
	At        int64    `json:"at"`
	Reason    string   `json:"reason"` // "merge", "close"
	Tenant    string   `json:"tenant"`
	Class     string   `json:"class"`
	Day       string   `json:"day"`
	Output    string   `json:"output"`
	Inputs    []string `json:"inputs"`
	Records   uint64   `json:"records"`
	Reencoded uint64   `json:"reencoded"` // records in blocks that were encoded anew
}

// A Destruction leaf is the certificate that all records of a tenant, class and
// day are destroyed: their segments do not exist any more, and their keys are
// destroyed next, each with a Key leaf. Many segments are cut over several
// leaves appended together (Part of Parts).
type Destruction struct {
	Type     string   `json:"type"`
	At       int64    `json:"at"`
	Tenant   string   `json:"tenant"`
	Class    string   `json:"class"`
	Day      string   `json:"day"`
	Reason   string   `json:"reason"` // "retention"
	Policy   string   `json:"policy"` // what allowed it: "app 90d"
	End      int64    `json:"end"`    // when that allowed it, ns
	By       string   `json:"by"`
	Segments []string `json:"segments"`
	Records  uint64   `json:"records"` // of Segments
	Bytes    int64    `json:"bytes"`   // of Segments
	KeyIDs   []string `json:"keyIds"`
	Part     int      `json:"part"`
	Parts    int      `json:"parts"`
}

// A Hold leaf says that a legal hold was placed or released. A hold keeps
// records from being destroyed; an empty Tenant, Class, From or To holds all.
type Hold struct {
	Type   string `json:"type"`
	At     int64  `json:"at"`
	Action string `json:"action"` // "placed", "released"
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	Class  string `json:"class"`
	From   string `json:"from"` // event day, included
	To     string `json:"to"`   // event day, included
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// Covers reports whether the hold covers a day (2006-01-02) of a tenant and class.
func (h *Hold) Covers(tenant, class, day string) bool {
	return (h.Tenant == "" || h.Tenant == tenant) && (h.Class == "" || h.Class == class) &&
		(h.From == "" || h.From <= day) && (h.To == "" || day <= h.To)
}

// MaxChanges bounds the text of a Policy leaf's changes, in bytes.
const MaxChanges = 40 << 10

// A Policy leaf says that a logging policy came into force which is not the one
// before it.
type Policy struct {
	Type    string `json:"type"`
	At      int64  `json:"at"`
	Version string `json:"version"` // of the program, which has built-in rules
	SHA256  string `json:"sha256"`  // of the policy in its canonical form, hex
	Was     string `json:"was"`     // of the policy before; "" for the first
	Owner   string `json:"owner"`   // who decides, as the policy says
	// Changes are lines of the rendered policy that came ("+ …") or went ("- …"),
	// of the first policy all. Omitted counts those beyond MaxChanges.
	Changes []string `json:"changes"`
	Omitted int      `json:"omitted"`
	// Note says why the changes are not known, if they are not.
	Note string `json:"note,omitempty"`
}

// A Tokens leaf says how far the token vault reaches: its journal holds this
// position for ever.
type Tokens struct {
	Type string `json:"type"`
	At   int64  `json:"at"`
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"` // chain value after that frame, hex
}
