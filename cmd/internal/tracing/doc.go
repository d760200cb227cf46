// Package tracing sends traces where the standard OTEL_* variables say, and nowhere as long as they say nothing.
//
//	tracing.go   the tracer provider: what it knows of this process, what becomes of spans that cannot be sent
//	settings.go  the variables of OTLP
//	otlp.go      spans on their way, over gRPC or HTTP
//	attempt.go   a span for each Batch call
//	send.go      a span for a sending
//
// Package worker makes the spans of deliveries; it knows the API of OpenTelemetry alone.
//
// # Work comes first
//
// Spans wait in a bounded queue and are dropped beyond it. A collector that is down, slow or hostile costs a log line and the
// spans; nobody waits for it but the end of the process, for half a second.
//
// # Rejected
//
//   - The exporters otlptracegrpc and otlptracehttp: both link gRPC for Go, even where HTTP is spoken, and make the binary of
//     16.5 MB one of more than 20 MB. OTLP is one unary call, which net/http can make in either dialect. How a span looks on
//     the wire is still OpenTelemetry's own code (package otlptrace).
//   - A wrong variable ends the start, as a wrong setting does. The variables belong to a standard, which has them ignored
//     with a warning, and the platform may set them for all it runs.
//   - The delivery as a child of the producer's span: messages wait, come again and are copied, and one trace that spans days
//     is shown by no tool. They are linked, as the conventions for messaging have it.
package tracing
