package tail

// Load returns how many watchers there are, how many bytes wait for them, and
// how many records were held against their predicates so far.
func (h *Hub) Load() (open int, held int64, tested uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open, h.held, h.tested
}
