package atom

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// item is what becomes an Atom entry.
type item struct {
	name        string
	path        string // from the root, decoded
	published   time.Time
	updated     time.Time
	description func(*writer)
}

// link is the absolute URL of a path. Clients read names out of it again, JavaScript nothing but this.
func (x *exchange) link(path string, query url.Values) string {
	query.Set("api-version", x.version())
	return x.base + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// write adds the entry. Its namespace is the one in force.
func (it item) write(w *writer, x *exchange, attributes ...string) {
	link := x.link(it.path, url.Values{})
	w.open("entry", attributes...)
	w.element("id", link)
	w.element("title", it.name, "type", "text")
	w.element("published", seconds(it.published))
	w.element("updated", seconds(it.updated))
	w.open("author")
	w.element("name", x.info.Name)
	w.close("author")
	w.element("link", "", "rel", "self", "href", link)
	w.open("content", "type", "application/xml")
	it.description(w)
	w.close("content")
	w.close("entry")
}

// seconds is how Atom elements show a time; descriptions show more of it.
func seconds(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (x *exchange) entry(status int, it item) {
	var w writer
	it.write(&w, x, "xmlns", atomNamespace)
	x.answer(status, "application/atom+xml;type=entry;charset=utf-8", &w)
}

// feed answers a page, with a link to the next one when next is not zero.
func (x *exchange) feed(title string, items []item, next, top int) {
	var w writer
	self := x.link(x.r.URL.Path, x.r.URL.Query())
	w.open("feed", "xmlns", atomNamespace)
	w.element("title", title, "type", "text")
	w.element("id", self)
	w.element("updated", seconds(time.Now()))
	w.element("link", "", "rel", "self", "href", self)
	if next > 0 {
		query := url.Values{"$skip": {strconv.Itoa(next)}, "$top": {strconv.Itoa(top)}}
		w.element("link", "", "rel", "next", "href", x.link(x.r.URL.Path, query))
	}
	for _, it := range items {
		it.write(&w, x)
	}
	w.close("feed")
	x.answer(http.StatusOK, "application/atom+xml;type=feed;charset=utf-8", &w)
}

// emptyFeed is how the service says that a queue or topic is not there. Clients know it by its title.
func (x *exchange) emptyFeed() { x.feed("Publicly Listed Services", nil, 0, 0) }

func (x *exchange) namespaceInfo() {
	if !x.permit(claims, get) {
		return
	}
	info := x.info
	x.entry(http.StatusOK, item{
		name: info.Name, path: "/$namespaceinfo", published: info.CreatedAt, updated: info.ModifiedAt,
		description: func(w *writer) {
			w.open("NamespaceInfo", "xmlns", connectNamespace, "xmlns:i", instanceNamespace)
			w.element("CreatedTime", formatTime(info.CreatedAt))
			w.element("MessagingSKU", info.SKU)
			if info.Units > 0 {
				w.element("MessagingUnits", strconv.Itoa(info.Units))
			}
			w.element("ModifiedTime", formatTime(info.ModifiedAt))
			w.element("Name", info.Name)
			w.element("NamespaceType", "Messaging")
			w.close("NamespaceInfo")
		},
	})
}

// fail answers an error in the form that clients take apart.
func (x *exchange) fail(status int, detail string) {
	var w writer
	w.open("Error")
	w.element("Code", strconv.Itoa(status))
	w.element("Detail", detail)
	w.close("Error")
	x.answer(status, "application/xml; charset=utf-8", &w)
}

func (x *exchange) answer(status int, contentType string, w *writer) {
	x.w.Header().Set("Content-Type", contentType)
	x.w.WriteHeader(status)
	_, _ = x.w.Write(w.buf.Bytes()) // a client that is gone needs no answer
}
