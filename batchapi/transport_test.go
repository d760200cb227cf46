package batchapi

import "testing"

func TestTheDefaultTransportSpeaksHTTP1Only(t *testing.T) {
	t.Parallel()
	transport := newTransport(7)
	if p := transport.Protocols; !p.HTTP1() || p.HTTP2() || p.UnencryptedHTTP2() {
		t.Errorf("protocols %v", p)
	}
	if transport.MaxConnsPerHost != 7 || transport.MaxIdleConnsPerHost != 7 {
		t.Errorf("pool of %d, idle %d", transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost)
	}
	if transport.ResponseHeaderTimeout <= maxServiceTime {
		t.Errorf("gives up after %v, before the service does", transport.ResponseHeaderTimeout)
	}
}
