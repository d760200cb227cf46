package batchapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// DefaultAPIVersion is the revision of the Batch REST API this package speaks.
const DefaultAPIVersion = "2025-06-01"

const (
	moduleName    = "batchterminator/batchapi"
	moduleVersion = "v1.0.0"
)

// ClientOptions are the optional settings of a Client; the zero value is ready
// for production.
type ClientOptions struct {
	// ClientOptions are azcore's own. Retry is ignored: this package never
	// retries. Logging.IncludeBody is ignored, because a refusal may echo what
	// was signed. A Transport that is an *http.Client is used without following
	// redirects and without its cookie jar; any other Transport must not follow
	// redirects by itself.
	azcore.ClientOptions

	// APIVersion is sent as api-version. Default: DefaultAPIVersion.
	APIVersion string

	// Scope is what a token is requested for. Default: derived from the
	// endpoint's suffix. An endpoint outside the known clouds needs it.
	Scope string

	// AllowLoopbackHTTP admits plain http to a loopback address, for simulators
	// on this machine. No token is requested for such an endpoint, a fixed
	// placeholder is sent in its place, and the credential may be nil.
	AllowLoopbackHTTP bool

	// MaxConnsPerHost bounds the connection pool of the default transport.
	// Default: 128. Below the number of concurrent calls, calls queue here,
	// invisibly to whoever times them. Ignored when Transport is set.
	MaxConnsPerHost int
}

// Client makes calls to one Batch account. It is safe for concurrent use.
// Everything in it is fixed by NewClient but the token, which guards itself.
type Client struct {
	endpoint  endpoint
	version   string // the query that names the API version
	userAgent string
	azure     *azcore.Client
	tokens    *tokenSource // nil on a loopback http endpoint: no token exists there
	way       sender
}

// NewClient returns a client of the Batch account at endpoint, which reads
// https://{account}.{region}.batch.azure.com or the like in a sovereign cloud.
// It makes no network call.
func NewClient(endpoint string, cred azcore.TokenCredential, options *ClientOptions) (*Client, error) {
	if options == nil {
		options = &ClientOptions{}
	}
	target, err := parseEndpoint(endpoint, options.Scope, options.AllowLoopbackHTTP)
	if err != nil {
		return nil, fmt.Errorf("batch client: %w", err)
	}
	c := &Client{
		endpoint:  target,
		version:   queryAPIVersion + "=" + url.QueryEscape(cmp.Or(options.APIVersion, options.ClientOptions.APIVersion, DefaultAPIVersion)),
		userAgent: userAgent(options.Telemetry),
	}
	if !target.loopbackHTTP {
		if cred == nil {
			return nil, errors.New("batch client: credential: none given")
		}
		c.tokens = newTokenSource(cred, target.scope)
	}
	way := newSender(options)
	c.way = way
	c.azure, err = azcore.NewClient(moduleName, moduleVersion, azruntime.PipelineOptions{
		AllowedHeaders: []string{headerClientRequestID, headerReturnClientRequestID, headerDataServiceID},
		Tracing:        azruntime.TracingOptions{Namespace: "Microsoft.Batch"},
	}, pipelineOptions(options, &guard{endpoint: target, tokens: c.tokens, sender: way}))
	if err != nil {
		return nil, fmt.Errorf("batch client: %w", err)
	}
	return c, nil
}

// Endpoint returns the account's canonical address: lower case, no trailing
// slash.
func (c *Client) Endpoint() string { return c.endpoint.base }

// InvalidateToken discards the cached token if Batch has refused it with 401 or
// 403, so that the next call acquires another one. Callers that come late, with
// a refusal of a token that has been replaced since, change nothing. The
// credential is given claims, the refusal's own if it carried a challenge, so that
// it asks the authority and does not answer from a cache.
func (c *Client) InvalidateToken() {
	if c.tokens != nil {
		c.tokens.invalidate()
	}
}

// CloseIdleConnections closes the pool's connections that no call is using.
func (c *Client) CloseIdleConnections() { c.way.closeIdle() }

// Scope returns what a token is requested for; "" for plain http on this machine, which sees none.
func (c *Client) Scope() string { return c.endpoint.scope }

// pipelineOptions copies the caller's options with everything taken out that
// could change a request or write down a secret. Retry is overruled in do.
func pipelineOptions(options *ClientOptions, g *guard) *policy.ClientOptions {
	azure := options.ClientOptions
	azure.APIVersion = "" // part of the query, which is the guard's
	azure.Logging.IncludeBody = false
	azure.Telemetry.Disabled = true // request.go sets a User-Agent that does not claim to be the SDK
	azure.Transport = g
	return &azure
}

// retryOff makes azcore's retry policy a single pass. The empty list of statuses
// takes the place of a default one, which it would build for each call.
var retryOff = policy.RetryOptions{MaxRetries: -1, StatusCodes: []int{}}

// userAgent names this program. An empty value keeps Go's default from being
// sent, which is what a caller who disabled telemetry asked for.
func userAgent(telemetry policy.TelemetryOptions) string {
	if telemetry.Disabled {
		return ""
	}
	product := "batch-terminator/" + strings.TrimPrefix(moduleVersion, "v") +
		" (" + runtime.Version() + "; " + runtime.GOOS + ")"
	if telemetry.ApplicationID == "" {
		return product
	}
	return strings.ReplaceAll(telemetry.ApplicationID, " ", "/") + " " + product
}
