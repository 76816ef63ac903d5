package schema

// Resolve returns what an asked name means. It never fails: an unknown name
// means the column of that name, or one that LogQL writes the same way.
func Resolve(name string) Resolution {
	r := Resolution{Asked: name}
	// The dictionary (dictionary.go) fills refs and Unit.
	return r
}
