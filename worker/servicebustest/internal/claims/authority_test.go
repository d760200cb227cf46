package claims

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// signed makes a signature from Microsoft's description of it, not with this package. The resource is given as a
// client encodes it.
func signed(encoded, rule, key string, expiry time.Time) string {
	h := hmac.New(sha256.New, []byte(key))
	_, _ = fmt.Fprintf(h, "%s\n%d", encoded, expiry.Unix())
	mac := base64.StdEncoding.EncodeToString(h.Sum(nil))
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%d&skn=%s", encoded, url.QueryEscape(mac), expiry.Unix(), rule)
}

// goStyle is how the Go SDK encodes a resource: in lower case, escapes included.
func goStyle(resource string) string { return strings.ToLower(url.QueryEscape(resource)) }

func TestSignatureGivesTheRightsOfItsRule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		later := time.Now().Add(time.Hour)
		rules := map[string]Rule{"root": {"key", All}, "send only": {"k2", Send}}
		const audience = "amqp://host/Orders"
		good := signed(goStyle(audience), "root", "key", later)
		for name, test := range map[string]struct {
			token  string
			rights Rights
			text   string
		}{
			"entity":             {good, All, ""},
			"other case, scheme": {signed(url.QueryEscape("sb://host:5671/ORDERS/"), "root", "key", later), All, ""},
			"namespace":          {signed(goStyle("sb://host/"), "root", "key", later), All, ""},
			"host alone":         {signed(goStyle("host"), "root", "key", later), All, ""},
			"its management":     {signed(goStyle(audience+"/$management"), "root", "key", later), All, ""},
			"URL with query":     {signed(goStyle("https://host/orders?api-version=2024-05"), "root", "key", later), All, ""},
			"rule with a space":  {signed(goStyle(audience), "send%20only", "k2", later), Send, ""},
			"fields turned":      {"SharedAccessSignature " + strings.Join(turned(good), "&"), All, ""},

			"wrong key":    {signed(goStyle(audience), "root", "k2", later), 0, "InvalidSignature"},
			"unknown rule": {signed(goStyle(audience), "guest", "key", later), 0, "InvalidSignature"},
			"later expiry": {strings.Replace(good, "&se=", "&se=9", 1), 0, "InvalidSignature"},
			"mac of junk":  {strings.Replace(good, "sig=", "sig=%zz", 1), 0, "InvalidSignature"},
			"other entity": {signed(goStyle("amqp://host/other"), "root", "key", later), 0, "InvalidAudience"},
			"other host":   {signed(goStyle("guest"), "root", "key", later), 0, "InvalidAudience"},
			"prefix only":  {signed(goStyle("amqp://host/ord"), "root", "key", later), 0, "InvalidAudience"},
			"sub-queue":    {signed(goStyle(audience+"/$deadletterqueue"), "root", "key", later), 0, "InvalidAudience"},
			"expired now":  {signed(goStyle(audience), "root", "key", time.Now()), 0, "ExpiredToken: The token is expired. Expiration time: "},
			"odd expiry":   {"SharedAccessSignature sr=a&sig=b&se=soon&skn=c", 0, "MalformedToken"},
			"no rule":      {good[:strings.Index(good, "&skn")], 0, "MalformedToken"},
			"bearer":       {"Bearer x", 0, "MalformedToken"},
		} {
			claim, err := NewAuthority(rules).SharedAccess(test.token, audience)
			if claim.Rights != test.rights || (err == nil) != (test.rights != 0) {
				t.Errorf("%s: %v, %v; want %v", name, claim.Rights, err, test.rights)
			}
			if err == nil && !claim.Expires.Equal(later) {
				t.Errorf("%s: expires %v, want %v", name, claim.Expires, later)
			}
			if err != nil && !strings.HasPrefix(err.Error(), test.text) {
				t.Errorf("%s: %q, want %q", name, err, test.text)
			}
		}
	})
}

// turned returns the fields of a signature in another order: JavaScript's HTTP client has one of its own.
func turned(token string) []string {
	fields := strings.Split(strings.TrimPrefix(token, scheme), "&")
	return []string{fields[1], fields[2], fields[3], fields[0]}
}

func TestWithoutRulesFormAndExpiryDecide(t *testing.T) {
	t.Parallel()
	anybody := NewAuthority(nil)
	token := signed("elsewhere", "nobody", "guess", time.Now().Add(time.Hour))
	if claim, err := anybody.SharedAccess(token, "orders"); err != nil || claim.Rights != All {
		t.Errorf("%v, %v", claim, err)
	}
	for _, bad := range []string{"", "x", signed("orders", "nobody", "guess", time.Now().Add(-time.Hour))} {
		if _, err := anybody.SharedAccess(bad, "orders"); err == nil {
			t.Errorf("%q is good", bad)
		}
	}
}

func TestAuthorizationHeaderIsASignatureOrAJWT(t *testing.T) {
	t.Parallel()
	a := NewAuthority(map[string]Rule{"listen": {"key", Listen}})
	const target = "https://localhost:8443/orders"
	good := signed(goStyle(target+"?api-version=2024-05"), "listen", "key", time.Now().Add(time.Hour))
	for name, test := range map[string]struct {
		header string
		rights Rights
	}{
		"signature":       {good, Listen},
		"forged":          {strings.Replace(good, "skn=listen", "skn=root", 1), 0},
		"raw JWT":         {"eyJ.e30.", All},
		"JWT as a bearer": {"Bearer eyJ.e30.", All},
		"empty bearer":    {"Bearer ", 0},
		"nothing":         {"", 0},
	} {
		claim, err := a.Authorization(test.header, target)
		if claim.Rights != test.rights || (err == nil) != (test.rights != 0) {
			t.Errorf("%s: %v, %v; want %v", name, claim.Rights, err, test.rights)
		}
	}
}
