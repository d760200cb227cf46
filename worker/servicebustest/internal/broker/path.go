package broker

import (
	"fmt"
	"net/url"
	"strings"
)

// DeadLetterSuffix is the path segment of a dead-letter sub-queue; segments that start with "$" compare without case.
const DeadLetterSuffix = "$DeadLetterQueue"

const maxPathLength = 260 // Service Bus: entity path

// Resolve returns the queue, or dead-letter sub-queue, that an address names. Clients write addresses in several
// ways: bare, with a leading slash, or as a URL with any scheme and authority.
func (n *Namespace) Resolve(address string) (*Queue, error) {
	path := strings.ToLower(EntityPath(address))
	name, dead := strings.CutSuffix(path, "/"+strings.ToLower(DeadLetterSuffix))
	if strings.HasSuffix(name, "/$transfer") {
		return nil, fmt.Errorf("transfer dead-letter queue %q: %w", address, ErrNotImplemented)
	}
	n.mu.Lock()
	e := n.entities[name]
	n.mu.Unlock()
	switch {
	case e == nil:
		return nil, fmt.Errorf("%q: %w", address, ErrEntityNotFound)
	case dead:
		return e.dead, nil
	}
	return e.main, nil
}

// EntityPath strips scheme, authority, surrounding slashes and URL escapes from an address.
func EntityPath(address string) string {
	if _, rest, isURL := strings.Cut(address, "://"); isURL {
		_, address, _ = strings.Cut(rest, "/")
		if unescaped, err := url.PathUnescape(address); err == nil {
			address = unescaped
		}
	}
	return strings.Trim(address, "/")
}

// validateName holds a name to the characters Service Bus allows, which also keeps "$" segments apart from names.
func validateName(name string) error {
	if name == "" || len(name) > maxPathLength || strings.Trim(name, "/") != name {
		return fmt.Errorf("a name has 1 to %d characters and no slash at either end", maxPathLength)
	}
	for _, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune("/._-", r) {
			return fmt.Errorf("character %q is not allowed", r)
		}
	}
	return nil
}
