package servicebustest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of the control endpoint.
const (
	maxControlBody   = 64 << 10
	maxControlFaults = 1000 // that wait; those that are over make room
)

// WithControl adds an HTTP endpoint for faults, for a server that runs by itself. It is on every listener, under
// /sandbox/, for clients of this machine that are not browsers:
//
//	GET    /sandbox/faults        what was asked for, how often it struck and how often it will
//	POST   /sandbox/faults        {"op":"settle","kind":"swallow","entity":"orders","times":3}; answers with an id
//	DELETE /sandbox/faults/{id}   takes one back; without an id all
//	POST   /sandbox/actions       {"action":"drop-connections"}; see controlActions for the others
//	GET    /sandbox/entities      where the messages of each entity are
//	GET    /sandbox/history       ?entity=orders&message=m1: what happened to a message, if history is kept
//
// Operations and kinds have the names of this package in lower case with dashes; faultSpec lists the other members.
func WithControl() Option { return func(s *settings) { s.control = true } }

// control is the endpoint's memory.
type control struct {
	server *Server

	mu     sync.Mutex
	lastID int            // any goroutine, under mu
	faults []controlFault // by id; any goroutine, under mu
}

// controlFault is one fault that was asked for over HTTP.
type controlFault struct {
	ID int `json:"id"`
	faultSpec
	Fired     int  `json:"fired"`
	Remaining *int `json:"remaining"` // null: no end

	injection *Injection
}

// newControl returns the endpoint of s.
func newControl(s *Server) http.Handler {
	c := &control{server: s}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sandbox/faults", c.list)
	mux.HandleFunc("POST /sandbox/faults", c.add)
	mux.HandleFunc("DELETE /sandbox/faults", c.removeAll)
	mux.HandleFunc("DELETE /sandbox/faults/{id}", c.remove)
	mux.HandleFunc("POST /sandbox/actions", c.act)
	mux.HandleFunc("GET /sandbox/entities", c.entities)
	mux.HandleFunc("GET /sandbox/history", c.history)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := permitted(r); err != nil {
			respond(w, http.StatusForbidden, problem{err.Error()})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// permitted keeps other machines and web pages out: a page that a developer happens to visit can send requests to this
// machine, under a name of its own that resolves to it.
func permitted(r *http.Request) error {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if host != "pipe" && !loopback(host) { // pipe: a connection within the process
		return errors.New("the control endpoint serves this machine only")
	}
	name, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		name = r.Host
	}
	if !strings.EqualFold(name, "localhost") && !loopback(strings.Trim(name, "[]")) {
		return fmt.Errorf("the Host header names %q; use localhost", name)
	}
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		return errors.New("the control endpoint does not serve browsers")
	}
	return nil
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// problem is the body of a refusal.
type problem struct {
	Error string `json:"error"`
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body) // the client may be gone
}

// read takes a JSON body, whole and with known members only; false when it has answered already.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/json" {
		respond(w, http.StatusUnsupportedMediaType, problem{"send JSON with Content-Type: application/json"})
		return false
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBody))
	d.DisallowUnknownFields()
	d.UseNumber()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		respond(w, http.StatusBadRequest, problem{err.Error()})
		return false
	}
	return true
}

func (c *control) list(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	faults := slices.Clone(c.faults)
	c.mu.Unlock()
	for i := range faults {
		faults[i].look()
	}
	respond(w, http.StatusOK, struct {
		Faults []controlFault `json:"faults"`
	}{faults})
}

// look brings the numbers up to date.
func (f *controlFault) look() {
	var left int
	f.Fired, left = f.injection.state()
	if f.Remaining = &left; left < 0 {
		f.Remaining = nil
	}
}

func (c *control) add(w http.ResponseWriter, r *http.Request) {
	var spec faultSpec
	if !read(w, r, &spec) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) >= maxControlFaults {
		c.faults = slices.DeleteFunc(c.faults, func(f controlFault) bool {
			_, left := f.injection.state()
			return left == 0
		})
	}
	if len(c.faults) >= maxControlFaults {
		respond(w, http.StatusConflict, problem{fmt.Sprintf("%d faults are waiting", maxControlFaults)})
		return
	}
	injection, err := spec.inject(c.server)
	if err != nil {
		respond(w, http.StatusBadRequest, problem{err.Error()})
		return
	}
	c.lastID++
	f := controlFault{ID: c.lastID, faultSpec: spec, injection: injection}
	c.faults = append(c.faults, f)
	f.look()
	respond(w, http.StatusCreated, f)
}

func (c *control) remove(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.faults, func(f controlFault) bool { return f.ID == id })
	if err != nil || at < 0 {
		respond(w, http.StatusNotFound, problem{"no such fault"})
		return
	}
	c.faults[at].injection.Remove()
	c.faults = slices.Delete(c.faults, at, at+1)
	w.WriteHeader(http.StatusNoContent)
}

func (c *control) removeAll(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults {
		f.injection.Remove()
	}
	c.faults = nil
	w.WriteHeader(http.StatusNoContent)
}

// entityCounts says where the messages of an entity are.
type entityCounts struct {
	Entity string `json:"entity"`
	Kind   string `json:"kind"`
	Counts Counts `json:"counts"`
}

func (c *control) entities(w http.ResponseWriter, _ *http.Request) {
	b := c.server.broker
	described := b.Queues()
	for _, topic := range b.Topics() {
		subscriptions, _ := b.Subscriptions(topic.Path) // none of a topic deleted just now
		described = append(append(described, topic), subscriptions...)
	}
	listed := make([]entityCounts, 0, len(described))
	for _, d := range described {
		if q, err := b.Resolve(d.Path); err == nil {
			listed = append(listed, entityCounts{d.Path, strings.ToLower(d.Kind.String()), q.Counts()})
		}
	}
	respond(w, http.StatusOK, struct {
		Entities []entityCounts `json:"entities"`
	}{listed})
}

// historyLine is one event of a message.
type historyLine struct {
	Event          string    `json:"event"`
	At             time.Time `json:"at"`
	SequenceNumber int64     `json:"sequenceNumber"`
	DeliveryCount  uint32    `json:"deliveryCount"`
	Reason         string    `json:"reason,omitempty"`
}

func (c *control) history(w http.ResponseWriter, r *http.Request) {
	q, err := c.server.broker.Resolve(r.FormValue("entity"))
	if err != nil {
		respond(w, http.StatusNotFound, problem{err.Error()})
		return
	}
	lines := []historyLine{}
	for _, e := range q.History(r.FormValue("message")) {
		lines = append(lines, historyLine{e.Kind.String(), e.At.UTC(), e.SequenceNumber, e.DeliveryCount, e.Reason})
	}
	respond(w, http.StatusOK, struct {
		Events []historyLine `json:"events"`
	}{lines})
}
