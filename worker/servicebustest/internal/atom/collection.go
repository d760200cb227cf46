package atom

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// collection is the entities of one kind under one path.
type collection[D any] struct {
	*kind[D]
	Store[D]
	missing error  // the parent is not there, and so there is no Store
	path    string // before the name; empty for queues and topics
}

// serve answers for a path that leaves no doubt about the kind. Without a name the collection itself is meant.
func (c *collection[D]) serve(x *exchange, name string) {
	switch {
	case x.r.Method == http.MethodGet && name == "":
		c.list(x, c.name+"s")
	case x.r.Method == http.MethodGet:
		c.get(x, name)
	case x.r.Method == http.MethodPut:
		if !x.permit(c.denied, put) {
			return
		}
		description, ok := x.description(c.element)
		if !ok {
			return
		}
		if name == "" { // the Go client creates a rule without a name like this
			name = ruleName(description)
		}
		c.put(x, name, description)
	case x.r.Method == http.MethodDelete && name != "":
		c.remove(x, name)
	default:
		x.notAllowed("GET, PUT, DELETE")
	}
}

func (c *collection[D]) get(x *exchange, name string) {
	if !x.permit(c.denied, get) {
		return
	}
	e, err := c.find(name)
	if err != nil {
		x.refuse(err, c.name)
		return
	}
	x.entry(http.StatusOK, c.item(x, &e))
}

// find is Get where the parent may be missing.
func (c *collection[D]) find(name string) (Entity[D], error) {
	if c.missing != nil {
		return Entity[D]{}, c.missing
	}
	return c.Get(name)
}

// put creates, or updates when the client says that there is something to match.
func (c *collection[D]) put(x *exchange, name string, description *node) {
	e := Entity[D]{Description: c.defaults()}
	if err := readFields(description, c.fields(&e)); err != nil {
		x.badRequest(err.Error())
		return
	}
	if c.missing != nil {
		x.refuse(c.missing, c.name)
		return
	}
	apply, status := c.Create, http.StatusCreated
	if x.r.Header.Get("If-Match") != "" {
		apply, status = c.Update, http.StatusOK
	}
	e, err := apply(name, e.Description)
	if err != nil {
		x.refuse(err, c.name)
		return
	}
	x.entry(status, c.item(x, &e))
}

func (c *collection[D]) remove(x *exchange, name string) {
	if !x.permit(c.denied, remove) {
		return
	}
	err := c.missing
	if err == nil {
		err = c.Delete(name)
	}
	if err != nil {
		x.refuse(err, c.name)
		return
	}
	x.w.WriteHeader(http.StatusOK)
}

// list answers one page. A client that asks for too much gets less and a link to the rest.
func (c *collection[D]) list(x *exchange, title string) {
	if !x.permit(c.denied, list) {
		return
	}
	skip, top, err := x.page()
	if err != nil {
		x.badRequest(err.Error())
		return
	}
	var all []Entity[D]
	if err = c.missing; err == nil {
		all, err = c.List()
	}
	if err != nil {
		x.refuse(err, c.name)
		return
	}
	from := min(skip, len(all))
	to := min(from+top, len(all))
	items := make([]item, 0, to-from)
	for i := range all[from:to] {
		items = append(items, c.item(x, &all[from+i]))
	}
	next := 0
	if to < len(all) {
		next = to
	}
	x.feed(title, items, next, top)
}

const maxPage = 100 // Service Bus: entities per page, asked for or not

// page reads which entities the client wants.
func (x *exchange) page() (skip, top int, err error) {
	query := x.r.URL.Query()
	number := func(name string, absent int) int {
		text := query.Get(name)
		if text == "" {
			return absent
		}
		n, malformed := strconv.ParseUint(text, 10, 31)
		if malformed != nil {
			err = errors.New(name + " is not a number")
		}
		return int(n)
	}
	skip, top = number("$skip", 0), number("$top", maxPage)
	if top == 0 && err == nil {
		err = errors.New("$top is not positive")
	}
	return skip, min(top, maxPage), err
}

// item is what an entry of an answer shows of an entity. Service Bus: a forwarding target is told as a URL, whether or
// not the client wrote one.
func (c *collection[D]) item(x *exchange, e *Entity[D]) item {
	if c.targets != nil {
		for _, target := range c.targets(&e.Description) {
			if *target != "" && !strings.Contains(*target, "://") {
				*target = x.base + "/" + strings.TrimPrefix(*target, "/")
			}
		}
	}
	return item{
		name: e.Name, path: c.path + "/" + e.Name,
		published: e.Runtime.CreatedAt, updated: e.Runtime.UpdatedAt,
		description: func(w *writer) {
			w.open(c.element, "xmlns", connectNamespace, "xmlns:i", instanceNamespace)
			writeFields(w, c.fields(e))
			w.close(c.element)
		},
	}
}
