package atom

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The namespaces of the API. Clients choose the prefixes.
const (
	atomNamespace     = "http://www.w3.org/2005/Atom"
	connectNamespace  = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
	instanceNamespace = "http://www.w3.org/2001/XMLSchema-instance"
	countNamespace    = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
	schemaNamespace   = "http://www.w3.org/2001/XMLSchema"
	xmlNamespace      = "http://www.w3.org/XML/1998/namespace"
)

// Bounds on what a request makes the parser remember and search.
const (
	maxDepth    = 32 // elements in elements; a rule with parameters needs nine
	maxDeclared = 16 // namespaces on one element
)

// node is an element of a request, with names resolved.
type node struct {
	name     xml.Name
	attrs    []xml.Attr // without namespace declarations
	declared []xml.Attr // prefix and namespace; the prefix of the default namespace is empty
	parent   *node
	children []*node
	text     []byte // directly inside
	inner    []byte // everything between the tags, as it came

	tag   xml.Name // as written, to match the end tag
	start int64    // offset of inner
	depth int      // 0 for the document
}

// parse reads a document. It resolves prefixes itself, since the standard decoder takes an undeclared prefix for a
// namespace.
func parse(body []byte) (*node, error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	d := xml.NewDecoder(bytes.NewReader(body))
	root := &node{} // the document
	current := root
	for {
		before := d.InputOffset()
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) && current == root && len(root.children) == 1 {
			return root.children[0], nil
		}
		if errors.Is(err, io.EOF) {
			return nil, errors.New("xml: the document ends too early")
		}
		if err != nil {
			return nil, fmt.Errorf("xml: %w", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if current, err = current.open(token, d.InputOffset()); err != nil {
				return nil, err
			}
		case xml.EndElement:
			if current == root || token.Name != current.tag {
				return nil, fmt.Errorf("xml: unexpected end of %s", token.Name.Local)
			}
			current.inner = body[current.start:before]
			current = current.parent
		case xml.CharData:
			if current == root && len(bytes.TrimSpace(token)) > 0 {
				return nil, errors.New("xml: text outside of the element")
			}
			current.text = append(current.text, token...)
		case xml.Directive:
			return nil, errors.New("xml: a document type is not allowed")
		}
	}
}

// open adds the element that a start tag begins.
func (n *node) open(token xml.StartElement, start int64) (*node, error) {
	child := &node{parent: n, tag: token.Name, start: start, depth: n.depth + 1}
	switch {
	case child.depth > maxDepth:
		return nil, fmt.Errorf("xml: more than %d nested elements", maxDepth)
	case n.depth == 0 && len(n.children) > 0:
		return nil, errors.New("xml: more than one element at the top")
	}
	child.declare(token.Attr)
	if len(child.declared) > maxDeclared {
		return nil, fmt.Errorf("xml: more than %d namespaces on one element", maxDeclared)
	}
	if err := child.qualify(token.Attr); err != nil {
		return nil, err
	}
	n.children = append(n.children, child)
	return child, nil
}

// declare takes the namespaces out of a start tag.
func (n *node) declare(attrs []xml.Attr) {
	for _, a := range attrs {
		if prefix, ok := declaration(a); ok {
			n.declared = append(n.declared, xml.Attr{Name: xml.Name{Local: prefix}, Value: a.Value})
		}
	}
}

// declaration says whether an attribute declares a namespace, and for which prefix.
func declaration(a xml.Attr) (prefix string, ok bool) {
	if a.Name.Space == "xmlns" {
		return a.Name.Local, true
	}
	return "", a.Name == xml.Name{Local: "xmlns"}
}

// qualify resolves the names of the element and of its attributes.
func (n *node) qualify(attrs []xml.Attr) (err error) {
	if n.name, err = n.resolve(n.tag); err != nil {
		return err
	}
	for _, a := range attrs {
		if _, ok := declaration(a); ok {
			continue
		}
		if a.Name.Space != "" { // an attribute without a prefix has no namespace
			if a.Name, err = n.resolve(a.Name); err != nil {
				return err
			}
		}
		n.attrs = append(n.attrs, a)
	}
	return nil
}

// resolve turns a prefix into the namespace it stands for here.
func (n *node) resolve(name xml.Name) (xml.Name, error) {
	if name.Space == "xml" {
		return xml.Name{Space: xmlNamespace, Local: name.Local}, nil
	}
	for at := n; at != nil; at = at.parent {
		for _, d := range at.declared {
			if d.Name.Local == name.Space {
				return xml.Name{Space: d.Value, Local: name.Local}, nil
			}
		}
	}
	if name.Space != "" {
		return xml.Name{}, fmt.Errorf("xml: prefix %q is not declared", name.Space)
	}
	return name, nil
}

// qualified resolves a value that is itself a name, like the "l28:string" of i:type.
func (n *node) qualified(value string) (xml.Name, error) {
	prefix, local, ok := strings.Cut(strings.TrimSpace(value), ":")
	if !ok {
		prefix, local = "", prefix
	}
	return n.resolve(xml.Name{Space: prefix, Local: local})
}

// instanceType is the value of i:type, whatever the prefix.
func (n *node) instanceType() string {
	for _, a := range n.attrs {
		if a.Name == (xml.Name{Space: instanceNamespace, Local: "type"}) {
			return a.Value
		}
	}
	return ""
}

// scope returns the namespaces in force at n, the innermost declaration of each prefix.
func (n *node) scope() []xml.Attr {
	var all []xml.Attr
	seen := make(map[string]bool)
	for at := n; at != nil; at = at.parent {
		for _, d := range at.declared {
			if !seen[d.Name.Local] {
				seen[d.Name.Local] = true
				all = append(all, d)
			}
		}
	}
	return all
}

// child returns the first child of a name, or nil.
func (n *node) child(space, local string) *node {
	for _, c := range n.children {
		if c.name == (xml.Name{Space: space, Local: local}) {
			return c
		}
	}
	return nil
}
