package claims

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
)

// signature is a shared access signature taken apart. Fields keep their URL encoding, because that is what is signed.
type signature struct{ resource, mac, expiry, rule string }

const scheme = "SharedAccessSignature "

// parse reads "SharedAccessSignature sr=…&sig=…&se=…&skn=…", in any order.
func parse(token string) (s signature, ok bool) {
	rest, ok := strings.CutPrefix(token, scheme)
	if !ok {
		return s, false
	}
	for field := range strings.SplitSeq(rest, "&") {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "sr":
			s.resource = value
		case "sig":
			s.mac = value
		case "se":
			s.expiry = value
		case "skn":
			s.rule = value
		}
	}
	return s, s.resource != "" && s.mac != "" && s.expiry != "" && s.rule != ""
}

// expires reads when the signature ends.
func (s signature) expires() (time.Time, bool) {
	seconds, err := strconv.ParseInt(s.expiry, 10, 64)
	return time.Unix(seconds, 0), err == nil
}

// signedWith says whether the key has signed it.
func (s signature) signedWith(key string) bool {
	mac, err := url.QueryUnescape(s.mac)
	return err == nil && hmac.Equal([]byte(mac), []byte(sign(key, s.resource, s.expiry)))
}

func sign(key, resource, expiry string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(resource + "\n" + expiry))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// covers says whether the signature's resource is the audience or a parent of it. A resource may also be a host
// alone, without a scheme.
func (s signature) covers(audience string) bool {
	resource, err := url.QueryUnescape(s.resource)
	if err != nil {
		return false
	}
	if _, rest, isURL := strings.Cut(audience, "://"); isURL {
		host, _, _ := strings.Cut(rest, "/")
		if strings.EqualFold(strings.TrimSuffix(resource, "/"), host) {
			return true
		}
	}
	return within(Entity(audience), Entity(resource))
}

const management = "/$management"

// Entity is what an address or audience is about, for comparing. Case and scheme differ between SDKs, the management
// node belongs to its entity, and the Go administration client signs the query of its URL too.
func Entity(address string) string {
	bare, _, _ := strings.Cut(address, "?")
	path := strings.ToLower(broker.EntityPath(bare))
	return strings.TrimSuffix(path, management)
}

// within says whether a path is another one or below it; everything is below the namespace, "".
func within(path, parent string) bool {
	return parent == "" || path == parent || strings.HasPrefix(path, parent+"/")
}
