package tracing

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"batchterminator/batchapi"
)

// Attempts is the pipeline step that has a span for each Batch call, a child of the delivery's, and tells Batch of it in a
// traceparent header. It leaves all else of a request alone, its client-request-id first of all.
type Attempts struct{ Tracer trace.Tracer }

// Do implements [policy.Policy]. What the span says follows OpenTelemetry's conventions for HTTP clients.
func (a Attempts) Do(req *policy.Request) (*http.Response, error) {
	raw := req.Raw()
	template := "/jobs/{jobId}/tasks/{taskId}"
	if strings.HasSuffix(raw.URL.Path, "/terminate") {
		template += "/terminate"
	}
	ctx, span := a.Tracer.Start(raw.Context(), raw.Method+" "+template, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("http.request.method", raw.Method), attribute.String("url.full", raw.URL.String()), attribute.String("url.template", template),
		attribute.String("server.address", raw.URL.Hostname()), attribute.String("azure.resource_provider.namespace", "Microsoft.Batch"),
		attribute.String("batch_terminator.client_request_id", raw.Header.Get("client-request-id")),
	))
	defer span.End()
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(raw.Header))
	resp, err := req.WithContext(ctx).Next()
	switch {
	case resp != nil:
		span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
		if id := resp.Header.Get("request-id"); id != "" {
			span.SetAttributes(attribute.String("azure.service.request.id", strings.ToValidUTF8(id, "?")))
		}
		if resp.StatusCode >= http.StatusBadRequest {
			span.SetAttributes(attribute.String("error.type", strconv.Itoa(resp.StatusCode)))
			span.SetStatus(codes.Error, "")
		}
	case err != nil:
		span.SetAttributes(attribute.String("error.type", kindOf(err)))
		span.SetStatus(codes.Error, "") // the delivery's log line has the text
	}
	return resp, err
}

// ID is the trace of a context's span where it is recorded, else "".
func ID(ctx context.Context) string {
	c := trace.SpanContextFromContext(ctx)
	if !c.IsSampled() {
		return ""
	}
	return c.TraceID().String()
}

// kindOf names an error in one of few words.
func kindOf(err error) string {
	if _, ok := errors.AsType[*batchapi.CredentialError](err); ok {
		return "credential"
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "network"
}
