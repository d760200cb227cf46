package batchapi

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// endpoint is the one address a client may call.
type endpoint struct {
	base         string // canonical scheme://host[:port]
	scheme, host string // host includes the port, where there is one
	scope        string // empty when loopbackHTTP
	loopbackHTTP bool
}

// clouds maps an account's suffix to the scope its tokens are requested for.
// The doubled slash is right: the resource id itself ends in one, and a token
// for the id without it has another audience. Public and US Government clouds
// have a "core" host in the scope that is not in the endpoint.
var clouds = map[string]string{
	"batch.azure.com":         "https://batch.core.windows.net//.default",
	"batch.chinacloudapi.cn":  "https://batch.chinacloudapi.cn//.default",
	"batch.usgovcloudapi.net": "https://batch.core.usgovcloudapi.net//.default",
}

var (
	// accountHost is {account}.{region}.{suffix}. Batch account names are 3 to
	// 24 lower-case letters and digits.
	accountHost = regexp.MustCompile(`^[a-z0-9]{3,24}\.[a-z0-9]+\.(batch\.[a-z0-9.]+)$`)

	// anyHost is what a caller may name together with an explicit scope.
	anyHost = regexp.MustCompile(`^(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?$`)
)

// parseEndpoint accepts an address and decides which tokens it may see.
func parseEndpoint(raw, scope string, allowLoopbackHTTP bool) (endpoint, error) {
	refuse := func(format string, args ...any) (endpoint, error) {
		return endpoint{}, &ArgumentError{Field: "endpoint", Reason: fmt.Sprintf(format, args...)}
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The cause is left out: it quotes the whole address, userinfo included.
		return refuse("not a URL")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" ||
		(u.Path != "" && u.Path != "/") || strings.Contains(raw, "#") {
		return refuse("must be a scheme and a host only")
	}
	host := strings.ToLower(u.Host)
	if !anyHost.MatchString(host) {
		return refuse("host is not valid")
	}
	ep := endpoint{scheme: u.Scheme, host: host, base: u.Scheme + "://" + host}
	switch {
	case u.Scheme == "http" && allowLoopbackHTTP && isLoopback(u.Hostname()):
		ep.loopbackHTTP = true
		return ep, nil
	case u.Scheme != "https":
		return refuse("must be https (plain http is for loopback addresses, and only when allowed)")
	case scope != "":
		ep.scope = scope
		return ep, nil
	}
	if m := accountHost.FindStringSubmatch(host); m != nil {
		ep.scope = clouds[m[1]]
	}
	if ep.scope == "" {
		return refuse("host %q is not {account}.{region} in a known Batch cloud; a token scope must be set for it", host)
	}
	return ep, nil
}

// CheckEndpoint tells whether an address has the form that [New] takes, given a token scope where its host needs one: https
// or, on loopback, http; a host; and nothing behind it. The error never repeats what stands before an @.
func CheckEndpoint(raw string) error {
	_, err := parseEndpoint(raw, "any", true)
	return err
}

// isLoopback reports whether host can only mean this machine. RFC 6761 §6.3
// reserves the name localhost for that.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
