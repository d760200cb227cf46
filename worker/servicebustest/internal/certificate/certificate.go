// Package certificate makes a certificate authority in memory, and certificates for listeners. Nothing is kept: a
// client has to be told of the authority, and its keys end with the process.
package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"time"
)

// lifetime is longer than any test and any afternoon with the emulator; OpenSSL and Apple refuse leaves beyond 825 days.
const lifetime = 365 * 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority.
func NewAuthority() (*Authority, error) {
	template := template("embedded Service Bus authority")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	return &Authority{cert: cert, key: key}, nil
}

// PEM is the authority's certificate, for SSL_CERT_FILE or NODE_EXTRA_CA_CERTS.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Issue makes a certificate for a listener on address, with these names beside the usual ones of this machine.
//
// The Go SDK takes the namespace with its port for the name of the TLS server. So each name is there a second time,
// with the port behind it.
func (a *Authority) Issue(address net.Addr, names ...string) (tls.Certificate, error) {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate for %v: %w", address, err)
	}
	template := template("embedded Service Bus")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range append([]string{"localhost", "127.0.0.1", "::1", host}, names...) {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
		template.DNSNames = append(template.DNSNames, net.JoinHostPort(name, port))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate for %v: %w", address, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate for %v: %w", address, err)
	}
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}, nil
}

// template is what both kinds have. A process has few certificates, so that the clock numbers them well enough.
func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name + " " + strconv.FormatInt(now.Unix(), 36)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lifetime),
	}
}
