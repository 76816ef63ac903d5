package facts

// levels are the names of severities in logs of any origin, in lower case, and
// their numbers on OpenTelemetry's scale (logs data model, appendix B).
var levels = map[string]int64{
	"trace": 1, "finest": 1, "finer": 1, "verbose": 1, "trce": 1, "v": 1,
	"debug": 5, "dbg": 5, "debu": 5, "fine": 5, "d": 5,
	"info": 9, "inf": 9, "information": 9, "informational": 9, "i": 9, "notice": 10, "log": 9, "note": 9, "system": 9,
	"warn": 13, "warning": 13, "wrn": 13, "w": 13,
	"error": 17, "err": 17, "eror": 17, "severe": 17, "e": 17,
	"critical": 18, "crit": 18, "alert": 19,
	"erro": 17, "noti": 10, "aler": 19, "emer": 21, // RabbitMQ
	"dbug": 5, "fail": 17, // .NET
	"trac": 1, "fata": 21, "pani": 21, // logrus
	"fatal": 21, "panic": 21, "emerg": 21, "emergency": 21, "dpanic": 19, "ftl": 21, "f": 21,
}

// Level returns the severity's number on OpenTelemetry's scale of 1 to 24 that a
// word names, in any case, or 0.
func Level(word []byte) int64 {
	var few [16]byte
	if len(word) == 0 || len(word) > len(few) {
		return 0
	}
	low := append(few[:0], word...)
	for i, c := range low {
		if c >= 'A' && c <= 'Z' {
			low[i] = c | 0x20
		}
	}
	return levels[string(low)]
}

// IsLevel reports whether a word of at least three letters names a severity.
func IsLevel(word []byte) bool { return len(word) >= 3 && Level(word) != 0 }
