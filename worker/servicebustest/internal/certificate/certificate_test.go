package certificate

import (
	"crypto/x509"
	"net"
	"testing"
)

func TestCertificateIsGoodForEveryNameWithAndWithoutPort(t *testing.T) {
	t.Parallel()
	authority, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Issue(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 2), Port: 8443}, "bus.example", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority.PEM()) {
		t.Fatal("the authority is no certificate")
	}
	for name, good := range map[string]bool{
		"localhost": true, "localhost:8443": true, "127.0.0.1": true, "127.0.0.1:8443": true, "[::1]:8443": true,
		"127.0.0.2": true, "127.0.0.2:8443": true, "bus.example": true, "bus.example:8443": true, "192.0.2.1:8443": true,
		"localhost:8444": false, "elsewhere.example": false, "192.0.2.2": false,
	} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); (err == nil) != good {
			t.Errorf("%s: %v, want good %v", name, err, good)
		}
	}
	other, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	strangers := x509.NewCertPool()
	strangers.AppendCertsFromPEM(other.PEM())
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: strangers, DNSName: "localhost"}); err == nil {
		t.Error("another authority vouches for it")
	}
}
