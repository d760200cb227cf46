package tracing

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Lookup returns an environment variable that is set to something.
type Lookup func(name string) (value string, ok bool)

// The dialects of OTLP that are spoken here.
const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// defaultTimeout bounds one export (OTLP exporter specification).
const defaultTimeout = 10 * time.Second

// settings are the variables OTEL_EXPORTER_OTLP_*, of which one with TRACES_ in its name wins.
type settings struct {
	target  *url.URL
	grpc    bool
	implied bool // nobody chose the protocol
	headers http.Header
	timeout time.Duration
	gzip    bool
	tls     *tls.Config
}

// enabled tells whether traces are wanted: an exporter or an endpoint is named, and nothing says no.
func enabled(get Lookup) (bool, error) {
	if v, _ := get("OTEL_SDK_DISABLED"); strings.EqualFold(strings.TrimSpace(v), "true") {
		return false, nil
	}
	if list, ok := get("OTEL_TRACES_EXPORTER"); ok {
		for name := range strings.SplitSeq(list, ",") {
			switch strings.TrimSpace(name) {
			case "otlp":
				return true, nil
			case "none":
				return false, nil
			}
		}
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER: want otlp or none, got %q", list)
	}
	_, general := get("OTEL_EXPORTER_OTLP_ENDPOINT")
	_, ours := get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	return general || ours, nil
}

// read returns the settings, or what is wrong with them. No error repeats a header, which may be a secret.
func read(get Lookup) (settings, error) {
	var s settings
	problems := []error{s.readProtocol(get), s.readTarget(get), s.readHeaders(get), s.readTimeout(get), s.readTLS(get)}
	switch name, v := either(get, "COMPRESSION"); v {
	case "", "none":
	case "gzip":
		s.gzip = true
	default:
		problems = append(problems, fmt.Errorf("%s: want gzip or none, got %q", name, v))
	}
	return s, errors.Join(problems...)
}

// either returns the variable for traces, or the one for all signals.
func either(get Lookup, part string) (name, value string) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + part, "OTEL_EXPORTER_OTLP_" + part} {
		if v, ok := get(name); ok {
			return name, strings.TrimSpace(v)
		}
	}
	return "OTEL_EXPORTER_OTLP_" + part, ""
}

func (s *settings) readProtocol(get Lookup) error {
	name, v := either(get, "PROTOCOL")
	switch v {
	case "":
		s.implied = true
	case protocolGRPC:
		s.grpc = true
	case protocolHTTP:
	default:
		return fmt.Errorf("%s: want grpc or http/protobuf, got %q", name, v)
	}
	return nil
}

// readTarget follows the specification: a general endpoint is the base of the path over HTTP, one for traces is the whole
// URL; with gRPC a host and port will do, and the path is the call's own.
func (s *settings) readTarget(get Lookup) error {
	name, v := either(get, "ENDPOINT")
	switch {
	case v == "" && s.grpc:
		v = "http://localhost:4317"
	case v == "":
		v = "http://localhost:4318"
	case s.grpc && !strings.Contains(v, "://"):
		scheme := "https://"
		if _, insecure := either(get, "INSECURE"); strings.EqualFold(insecure, "true") {
			scheme = "http://"
		}
		v = scheme + v
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%s: want a URL such as http://localhost:4318", name) // it may hold a password
	}
	switch general := name == "OTEL_EXPORTER_OTLP_ENDPOINT"; {
	case s.grpc:
		u.Path = grpcPath
	case general:
		u.Path = strings.TrimSuffix(u.Path, "/") + "/v1/traces"
	case u.Path == "":
		u.Path = "/"
	}
	s.target = u
	return nil
}

// readHeaders reads name=value pairs between commas, percent-encoded as in W3C baggage.
func (s *settings) readHeaders(get Lookup) error {
	s.headers = http.Header{}
	name, list := either(get, "HEADERS")
	for pair := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		key = strings.TrimSpace(key)
		if !ok || err != nil || key == "" || strings.ContainsFunc(key, noToken) || strings.ContainsFunc(value, isControl) {
			return fmt.Errorf("%s: want name=value pairs between commas, percent-encoded", name)
		}
		s.headers.Add(key, value)
	}
	return nil
}

// noToken: RFC 9110 §5.6.2.
func noToken(r rune) bool {
	letterOrDigit := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letterOrDigit && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// isControl: RFC 9110 §5.5.
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == unicode.MaxASCII }

func (s *settings) readTimeout(get Lookup) error {
	s.timeout = defaultTimeout
	name, v := either(get, "TIMEOUT")
	if v == "" {
		return nil
	}
	ms, err := strconv.Atoi(v)
	if err != nil || ms <= 0 || ms > int(time.Hour/time.Millisecond) {
		return fmt.Errorf("%s: want milliseconds, got %q", name, v)
	}
	s.timeout = time.Duration(ms) * time.Millisecond
	return nil
}

func (s *settings) readTLS(get Lookup) error {
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if name, file := either(get, "CERTIFICATE"); file != "" {
		pem, err := os.ReadFile(file) //nolint:gosec // G304: the operator names the file
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.tls.RootCAs = x509.NewCertPool()
		if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s: no certificate in %s", name, file)
		}
	}
	name, certificate := either(get, "CLIENT_CERTIFICATE")
	_, key := either(get, "CLIENT_KEY")
	if certificate == "" && key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.tls.Certificates = []tls.Certificate{pair}
	return nil
}
