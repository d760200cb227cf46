package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// grpcPath is the one call of OTLP for traces.
const grpcPath = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

const (
	// maxReply bounds what is read of an answer; a good one is a few bytes.
	maxReply = 64 << 10
	// The wait before an export is tried again, doubling and jittered, as long as the timeout of the export allows.
	firstWait = 500 * time.Millisecond
	lastWait  = 5 * time.Second
)

// client exports over OTLP/gRPC or OTLP/HTTP with net/http. A unary call of gRPC is an HTTP/2 request whose body has a prefix
// of five bytes, and whose status is in the trailer.
type client struct {
	settings  settings
	transport *http.Transport
	life      context.Context // of every call
	end       context.CancelFunc
	patience  context.Context // nothing is tried again after it
	hurry     context.CancelFunc
}

func newClient(s settings) *client {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetHTTP1(!s.grpc)
	protocols.SetUnencryptedHTTP2(s.grpc)
	c := &client{settings: s, transport: &http.Transport{
		Protocols: protocols, TLSClientConfig: s.tls, TLSHandshakeTimeout: s.timeout, MaxConnsPerHost: 2, IdleConnTimeout: 90 * time.Second,
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}}
	if !s.grpc || s.target.Scheme == "https" { // a proxy would not understand HTTP/2 without TLS
		c.transport.Proxy = http.ProxyFromEnvironment
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.patience, c.hurry = context.WithCancel(c.life)
	return c
}

// Start implements [otlptrace.Client].
func (c *client) Start(context.Context) error { return nil }

// Stop implements [otlptrace.Client]. It interrupts what is under way.
func (c *client) Stop(context.Context) error {
	c.end()
	c.transport.CloseIdleConnections()
	return nil
}

// UploadTraces implements [otlptrace.Client].
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithTimeout(ctx, c.settings.timeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	message, err := encode(spans)
	if err != nil {
		return err
	}
	body, err := c.body(message)
	if err != nil {
		return err
	}
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		err := c.call(ctx, body)
		refused, ok := errors.AsType[*refusal](err)
		if err == nil || ctx.Err() != nil || ok && !refused.passing {
			return err
		}
		pause := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-pause.C:
		case <-c.patience.Done():
			pause.Stop()
			return err
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// encode is an ExportTraceServiceRequest, whose field 1 repeats: the generated type would link gRPC.
func encode(spans []*tracepb.ResourceSpans) (b []byte, err error) {
	for _, s := range spans {
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(proto.Size(s)))
		if b, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(b, s); err != nil {
			return nil, fmt.Errorf("encode spans: %w", err)
		}
	}
	return b, nil
}

// body is the message as the protocol carries it.
func (c *client) body(message []byte) ([]byte, error) {
	if c.settings.gzip {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(message)
		if err := errors.Join(err, w.Close()); err != nil {
			return nil, fmt.Errorf("compress spans: %w", err)
		}
		message = packed.Bytes()
	}
	if !c.settings.grpc {
		return message, nil
	}
	prefix := make([]byte, 5, 5+len(message))
	if c.settings.gzip {
		prefix[0] = 1
	}
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(message)))
	return append(prefix, message...), nil
}

// refusal is an answer other than success.
type refusal struct {
	status  string
	passing bool
}

func (r *refusal) Error() string { return "the collector answered " + r.status }

// call makes one try.
func (c *client) call(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.settings.target.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = c.settings.headers.Clone()
	c.describe(req.Header)
	resp, err := c.transport.RoundTrip(req) // which follows no redirect
	if err != nil {
		return err
	}
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	_ = resp.Body.Close() // what is left of it is not wanted
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return &refusal{strconv.Itoa(resp.StatusCode), passingStatus(resp.StatusCode)}
	case !c.settings.grpc:
		return rejected(reply)
	}
	status := resp.Trailer.Get("Grpc-Status")
	if status == "" {
		status = resp.Header.Get("Grpc-Status") // an answer without a message has no trailer of its own
	}
	if status != "0" {
		return &refusal{fmt.Sprintf("grpc-status %.16q", status), passingCode(status)}
	}
	return rejected(reply[min(5, len(reply)):])
}

func (c *client) describe(h http.Header) {
	h.Set("User-Agent", "batch-terminator")
	if !c.settings.grpc {
		h.Set("Content-Type", "application/x-protobuf")
		if c.settings.gzip {
			h.Set("Content-Encoding", "gzip")
		}
		return
	}
	h.Set("Content-Type", "application/grpc")
	h.Set("Te", "trailers")
	if c.settings.gzip {
		h.Set("Grpc-Encoding", "gzip")
	}
}

// passingStatus: OTLP/HTTP, "Retryable Response Codes".
func passingStatus(code int) bool {
	switch code {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// passingCode: OTLP/gRPC, the table of retryable codes: cancelled, deadline exceeded, aborted, out of range, unavailable,
// data loss. Resource exhausted is final without a RetryInfo, which is not looked for.
func passingCode(status string) bool {
	switch status {
	case "1", "4", "10", "11", "14", "15":
		return true
	}
	return false
}

// rejected tells of a success that was none: the answer's partial_success (1) counts rejected_spans (1).
func rejected(reply []byte) error {
	partial, _ := field(reply, 1, protowire.BytesType)
	message, _ := protowire.ConsumeBytes(partial)
	value, _ := field(message, 1, protowire.VarintType)
	if n, size := protowire.ConsumeVarint(value); size > 0 && n > 0 {
		return &refusal{fmt.Sprintf("that it rejected %d spans", n), false}
	}
	return nil
}

// field returns what follows the tag of the first field of that number and type.
func field(b []byte, number protowire.Number, kind protowire.Type) ([]byte, bool) {
	for len(b) > 0 {
		n, t, size := protowire.ConsumeTag(b)
		if size < 0 {
			return nil, false
		}
		b = b[size:]
		if n == number && t == kind {
			return b, true
		}
		if size = protowire.ConsumeFieldValue(n, t, b); size < 0 {
			return nil, false
		}
		b = b[size:]
	}
	return nil, false
}
