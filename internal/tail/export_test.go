package tail

// Load returns how many watchers there are, how many bytes wait for them, and
// how many records were held against predicates so far.
func (h *Hub) Load() (open int, held int64, tested uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open, h.held, h.tested
}

// Settle waits until everything that was published is offered.
func (h *Hub) Settle() {
	f := &h.feed
	f.mu.Lock()
	if !f.working {
		f.mu.Unlock()
		return
	}
	if f.idle == nil {
		f.idle = make(chan struct{})
	}
	idle := f.idle
	f.mu.Unlock()
	<-idle
}

// Channels returns how many different things are watched for.
func (h *Hub) Channels() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, of := range h.subs {
		for _, list := range of.channels {
			n += len(list)
		}
	}
	return n
}

// Hold keeps the hub from matching until release is called.
func (h *Hub) Hold() (release func()) {
	h.mu.Lock()
	return h.mu.Unlock
}
