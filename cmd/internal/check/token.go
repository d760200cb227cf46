package check

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const tokenAction = "give the process an identity: assign a managed identity to the app and set AZURE_CLIENT_ID to its client id, or run az login"

// checkToken asks for a token and says whose it is. The token itself goes nowhere.
func checkToken(ctx context.Context, credential azcore.TokenCredential, scope string) verdict {
	type answer struct {
		token azcore.AccessToken
		err   error
	}
	answered := make(chan answer, 1)
	go func() { // a developer tool that hangs may outlive its context by a few seconds
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}, EnableCAE: true})
		answered <- answer{token, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return fail(tokenAction, "no token for %s: %v", scope, a.err)
		}
		if left := time.Until(a.token.ExpiresOn); left <= 0 {
			return fail("set this machine's clock right", "the token for %s has expired already", scope)
		}
		return pass("%s", identity(a.token.Token))
	case <-ctx.Done():
		return fail(tokenAction, "no token for %s: the identity service gave no answer", scope)
	}
}

var guid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// identity says who a token is for, as role assignments name it. The claims are not verified: who issued the token is asked
// here, not whether it is good.
func identity(token string) string {
	const unknown = "a token was issued"
	claims, err := payload(token)
	if err != nil {
		return unknown
	}
	client := claims.AppID
	if client == "" {
		client = claims.AuthorizedParty
	}
	var parts []string
	for _, p := range []struct{ what, id string }{{"object", claims.ObjectID}, {"client", client}, {"tenant", claims.TenantID}} {
		if guid.MatchString(p.id) {
			parts = append(parts, p.what+" id "+p.id)
		}
	}
	if len(parts) == 0 {
		return unknown
	}
	return "signed in as " + strings.Join(parts, ", ")
}

type claims struct {
	ObjectID        string `json:"oid"`
	AppID           string `json:"appid"`
	AuthorizedParty string `json:"azp"`
	TenantID        string `json:"tid"`
}

func payload(token string) (c claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("not a JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(text, &c)
}
