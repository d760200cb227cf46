package atom

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Config is what a handler works with.
type Config struct {
	Namespace Namespace

	// Authorize says whether the holder of a token, the Authorization header as it came, may manage what a URL names.
	// An error refuses the token itself. Without Authorize everybody may.
	Authorize func(token, url string) (manage bool, err error)
}

// Handler serves the administration API. It keeps nothing between requests.
type Handler struct{ cfg Config }

// New returns a handler.
func New(cfg Config) *Handler { return &Handler{cfg} }

const maxBody = 256 << 10 // the longest texts a description may have are 1024 characters each

// exchange is one request with its answer.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	url    string // of the request without its query
	base   string // scheme and authority
	info   Info
	manage bool // the client has the right to
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	x := &exchange{w: w, r: r, base: scheme + "://" + r.Host, info: h.cfg.Namespace.Info(), manage: true}
	x.url = x.base + r.URL.EscapedPath()
	if h.cfg.Authorize != nil {
		var err error
		if x.manage, err = h.cfg.Authorize(r.Header.Get("Authorization"), x.url); err != nil {
			x.fail(http.StatusUnauthorized, err.Error())
			return
		}
	}
	h.serve(x, parseRoute(r.URL.Path))
}

func (h *Handler) serve(x *exchange, to route) {
	ns := h.cfg.Namespace
	switch to.kind {
	case toRoot:
		x.only(http.MethodGet, x.emptyFeed)
	case toNamespace:
		x.only(http.MethodGet, x.namespaceInfo)
	case toQueues:
		c := &collection[Queue]{kind: &queueKind, Store: ns.Queues()}
		x.only(http.MethodGet, func() { c.list(x, "Queues") })
	case toTopics:
		c := &collection[Topic]{kind: &topicKind, Store: ns.Topics()}
		x.only(http.MethodGet, func() { c.list(x, "Topics") })
	case toEntity:
		serveEntity(x, to.entity,
			&collection[Queue]{kind: &queueKind, Store: ns.Queues()},
			&collection[Topic]{kind: &topicKind, Store: ns.Topics()})
	case toSubscription, toSubscriptions:
		store, err := ns.Subscriptions(to.entity)
		c := &collection[Subscription]{
			kind: &subscriptionKind, Store: store, missing: err, path: "/" + to.entity + "/Subscriptions",
		}
		c.serve(x, to.subscription)
	case toRule, toRules:
		store, err := ns.Rules(to.entity, to.subscription)
		c := &collection[Rule]{
			kind: &ruleKind, Store: store, missing: err,
			path: "/" + to.entity + "/Subscriptions/" + to.subscription + "/Rules",
		}
		c.serve(x, to.rule)
	}
}

// only answers one method and refuses the others.
func (x *exchange) only(method string, answer func()) {
	if x.r.Method != method {
		x.notAllowed(method)
		return
	}
	answer()
}

func (x *exchange) notAllowed(methods string) {
	x.w.Header().Set("Allow", methods)
	x.fail(http.StatusMethodNotAllowed, "method "+x.r.Method+" is not supported here")
}

// serveEntity answers for a path that may be a queue or a topic: they share their names, so a client that creates one
// says in the body which it is, and one that reads gets what is there.
func serveEntity(x *exchange, name string, queues *collection[Queue], topics *collection[Topic]) {
	switch x.r.Method {
	case http.MethodPut:
		if !x.permit(claims, put) {
			return
		}
		description, ok := x.description(queueKind.element, topicKind.element)
		switch {
		case !ok:
		case description.name.Local == queueKind.element:
			queues.put(x, name, description)
		default:
			topics.put(x, name, description)
		}
	case http.MethodGet:
		if _, err := queues.Get(name); err == nil {
			queues.get(x, name)
		} else if _, err := topics.Get(name); err == nil {
			topics.get(x, name)
		} else {
			// Service Bus: what is not there is answered with a list that it is not in, whoever asks.
			x.emptyFeed()
		}
	case http.MethodDelete:
		if _, err := queues.Get(name); err == nil {
			queues.remove(x, name)
		} else {
			topics.remove(x, name)
		}
	default:
		x.notAllowed("GET, PUT, DELETE")
	}
}

// permit refuses a client without the right to manage.
func (x *exchange) permit(denied func(verb, string) string, v verb) bool {
	if !x.manage {
		x.fail(http.StatusUnauthorized, denied(v, x.url))
	}
	return x.manage
}

// description reads the request's entry and returns the one description in it, which must be an element of names.
func (x *exchange) description(names ...string) (*node, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		x.fail(status, "read the body: "+err.Error())
		return nil, false
	}
	description, err := findDescription(body, names)
	if err != nil {
		x.badRequest(err.Error())
		return nil, false
	}
	return description, true
}

func findDescription(body []byte, names []string) (*node, error) {
	entry, err := parse(body)
	if err != nil {
		return nil, err
	}
	content := entry.child(atomNamespace, "content")
	if entry.name.Local != "entry" || entry.name.Space != atomNamespace || content == nil {
		return nil, errors.New("the body is not an Atom entry with content")
	}
	for _, name := range names {
		if description := content.child(connectNamespace, name); description != nil {
			return description, nil
		}
	}
	return nil, fmt.Errorf("the entry has no %s in namespace %s", names[len(names)-1], connectNamespace)
}

// refuse turns what a Store says into an answer.
func (x *exchange) refuse(err error, kind string) {
	immutable := (*ImmutableError)(nil)
	switch {
	case errors.Is(err, ErrNotFound):
		x.fail(http.StatusNotFound, "SubCode=40400. Not found: "+x.url)
	case errors.Is(err, ErrExists):
		x.fail(http.StatusConflict, "SubCode=40900. Conflict: "+err.Error())
	case errors.As(err, &immutable) && immutable.Property == "EnablePartitioning":
		x.badRequest("Partitioning cannot be changed for " + kind + ". ")
	case errors.As(err, &immutable):
		x.badRequest("The value for the " + immutable.Property + " property of an existing " + kind + " cannot be changed. ")
	default:
		x.badRequest(err.Error())
	}
}

func (x *exchange) badRequest(detail string) {
	x.fail(http.StatusBadRequest, "SubCode=40000. "+detail)
}

// version is the api-version of the request, which every URL of the answer repeats.
func (x *exchange) version() string { return cmp.Or(x.r.URL.Query().Get("api-version"), "2021-05") }
