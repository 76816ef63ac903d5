package demo

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
)

// A workload is one simulated service and its pods.
type workload struct {
	name, namespace, version string
	port                     int
	pods                     []pod
}

type pod struct{ name, ip, node string }

// host is the workload's name within the cluster.
func (w *workload) host() string {
	return fmt.Sprintf("%s.%s.svc.cluster.local", w.name, w.namespace)
}

// A call is one edge of the service graph: who asks whom for what, how often
// (weight) and how long it takes, in milliseconds.
type call struct {
	from, to int
	method   string
	path     string // %d becomes a number
	weight   int
	ms       float64
}

// A world is three meshes with their services. It is the same for the same
// random numbers.
type world struct {
	r       *rand.Rand
	istio   mesh
	linkerd mesh
	cilium  mesh
}

type mesh struct {
	services []workload
	calls    []call
	total    int // sum of weights
}

func newWorld(seed uint64) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 0x6d657368))}
	w.istio = w.mesh(10, "shop", []string{"frontend", "catalog", "cart", "checkout", "payments", "shipping"}, []call{
		{0, 1, "GET", "/api/products", 30, 9}, {0, 1, "GET", "/api/products/%d", 34, 6}, {0, 2, "GET", "/api/cart", 14, 4},
		{0, 2, "POST", "/api/cart/items", 8, 7}, {0, 3, "POST", "/api/checkout", 5, 60},
		{3, 4, "POST", "/v1/charges", 5, 45}, {3, 5, "POST", "/v1/shipments", 4, 22}, {5, 1, "GET", "/api/products/%d", 3, 6},
	})
	w.linkerd = w.mesh(20, "booksapp", []string{"webapp", "authors", "books", "traffic"}, []call{
		{3, 0, "GET", "/", 20, 14}, {3, 0, "GET", "/authors/%d", 16, 12}, {3, 0, "POST", "/books", 6, 24},
		{0, 1, "GET", "/authors/%d.json", 18, 3}, {0, 2, "GET", "/books/%d.json", 22, 4}, {0, 2, "POST", "/books.json", 5, 9},
	})
	w.cilium = w.mesh(30, "starwars", []string{"xwing", "tiefighter", "deathstar", "telemetry"}, []call{
		{1, 2, "POST", "/v1/request-landing", 22, 3}, {0, 2, "GET", "/v1/", 8, 2}, {2, 3, "POST", "/ingest", 16, 1},
	})
	return w
}

func (w *world) mesh(net int, namespace string, names []string, calls []call) mesh {
	m := mesh{calls: calls}
	ports := []int{8080, 9080, 7000, 50051}
	for i, name := range names {
		s := workload{name: name, namespace: namespace, version: "v1", port: ports[i%len(ports)]}
		replicaSet := w.random(9)
		for p := range 2 + i%2 {
			s.pods = append(s.pods, pod{
				name: fmt.Sprintf("%s-%s-%s", name, replicaSet, w.random(5)),
				ip:   fmt.Sprintf("10.%d.%d.%d", net, i+1, 10+p),
				node: fmt.Sprintf("node-%d", 1+(i+p)%3),
			})
		}
		m.services = append(m.services, s)
	}
	for _, c := range calls {
		m.total += c.weight
	}
	return m
}

// pick returns a call by weight.
func (w *world) pick(m *mesh) *call {
	n := w.r.IntN(m.total)
	for i := range m.calls {
		if n -= m.calls[i].weight; n < 0 {
			return &m.calls[i]
		}
	}
	return &m.calls[0]
}

func (w *world) pod(s *workload) pod { return s.pods[w.r.IntN(len(s.pods))] }

func (w *world) hex(bytes int) string {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = byte(w.r.Uint32())
	}
	return hex.EncodeToString(b)
}

// random returns a part of a pod's name, of the letters that Kubernetes draws.
func (w *world) random(n int) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[w.r.IntN(len(letters))]
	}
	return string(b)
}

// uuid returns a request id as Envoy makes them.
func (w *world) uuid() string {
	h := w.hex(16)
	return h[:8] + "-" + h[8:12] + "-9" + h[13:16] + "-8" + h[17:20] + "-" + h[20:]
}

// ms returns a time around mean with a long tail.
func (w *world) ms(mean float64) float64 {
	v := mean * (0.4 + 0.9*w.r.ExpFloat64())
	if w.r.IntN(100) == 0 {
		v *= 12
	}
	return v
}

func (w *world) path(c *call) string {
	for i := range c.path {
		if c.path[i] == '%' {
			return fmt.Sprintf(c.path, 1+w.r.IntN(500))
		}
	}
	return c.path
}

// oneOf returns one of the choices.
func oneOf[T any](w *world, choices ...T) T { return choices[w.r.IntN(len(choices))] }
