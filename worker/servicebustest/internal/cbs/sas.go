package cbs

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

// verify checks form and expiry always, and signature and scope when there are keys.
func (n *Node) verify(token, audience string) *refusal {
	s, ok := parse(token)
	if !ok {
		return unauthorized("MalformedToken: not a shared access signature")
	}
	expiry, err := strconv.ParseInt(s.expiry, 10, 64)
	if err != nil {
		return unauthorized("MalformedToken: expiry is not a number")
	}
	if at := time.Unix(expiry, 0); !at.After(time.Now()) {
		return unauthorized("ExpiredToken: The token is expired. Expiration time: " + at.UTC().Format(time.RFC3339))
	}
	if len(n.cfg.Keys) == 0 {
		return nil
	}
	rule, _ := url.QueryUnescape(s.rule)
	mac, _ := url.QueryUnescape(s.mac)
	key, known := n.cfg.Keys[rule]
	if !known || !hmac.Equal([]byte(mac), []byte(sign(key, s.resource, s.expiry))) {
		return unauthorized("InvalidSignature: The token has an invalid signature.")
	}
	if !covers(s.resource, audience) {
		return unauthorized("InvalidAudience: the token is for another entity")
	}
	return nil
}

func sign(key, resource, expiry string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(resource + "\n" + expiry))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// covers says whether a token's resource is the audience or a parent of it. Case and scheme differ between SDKs.
func covers(resource, audience string) bool {
	unescaped, err := url.QueryUnescape(resource)
	if err != nil {
		return false
	}
	parent := strings.ToLower(broker.EntityPath(unescaped))
	child := strings.ToLower(broker.EntityPath(audience))
	return parent == "" || child == parent || strings.HasPrefix(child, parent+"/")
}
