package servicebustest

import (
	"net/http"
	"testing"
)

func TestControlServesOnlyThisMachineAndNoBrowser(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		remote, host string
		header       http.Header
		want         bool
	}{
		"curl":                {"127.0.0.1:1", "localhost:5300", nil, true},
		"by address":          {"127.0.0.1:1", "127.0.0.1:5300", nil, true},
		"IPv6":                {"[::1]:1", "[::1]:5300", nil, true},
		"IPv4 in IPv6":        {"[::ffff:127.0.0.1]:1", "LOCALHOST", nil, true},
		"without a port":      {"127.0.0.1:1", "[::1]", nil, true},
		"in memory":           {"pipe", "localhost", nil, true},
		"another machine":     {"192.0.2.1:1", "localhost:5300", nil, false},
		"no address":          {"", "localhost:5300", nil, false},
		"a name that rebinds": {"127.0.0.1:1", "evil.example:5300", nil, false},
		"a name like ours":    {"127.0.0.1:1", "localhost.evil.example", nil, false},
		"no host":             {"127.0.0.1:1", "", nil, false},
		"a page's request":    {"127.0.0.1:1", "localhost:5300", http.Header{"Origin": {"http://localhost:5300"}}, false},
		"a sandboxed page":    {"127.0.0.1:1", "localhost:5300", http.Header{"Origin": {"null"}}, false},
		"a browser's address": {"127.0.0.1:1", "localhost:5300", http.Header{"Sec-Fetch-Site": {"none"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := permitted(&http.Request{RemoteAddr: c.remote, Host: c.host, Header: c.header})
			if (err == nil) != c.want {
				t.Errorf("permitted: %v", err)
			}
		})
	}
}
