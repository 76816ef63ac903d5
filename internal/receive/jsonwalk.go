package receive

// Object calls f for each member of an object whose value is not null. f must
// read the value, or pass it with Raw.
func (j *JSON) Object(f func(key []byte)) {
	if !j.Begin('{') {
		return
	}
	for {
		key, ok := j.Field()
		if !ok {
			return
		}
		if j.Peek() == 'n' {
			j.Scalar()
			continue
		}
		f(key)
	}
}

// Array calls f before each element of an array. f must read it.
func (j *JSON) Array(f func()) {
	if !j.Begin('[') {
		return
	}
	for j.Elem() {
		f()
	}
}
