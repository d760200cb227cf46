package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"batchterminator/worker/servicebustest"
)

// environment is what the live tests of one package need: a namespace of the standard tier and one of the premium
// tier, both with the entities and keys that the SDK's own deployment (test-resources.bicep) makes, and the variables
// that lead there.
type environment struct {
	standard, premium *servicebustest.Server
	environ           []string
}

func (e *environment) close() error { return errors.Join(e.standard.Close(), e.premium.Close()) }

// accessRules are the shared access rules of a namespace; variable is the end of the name of the one that holds the
// connection string.
var accessRules = []struct {
	variable, name string
	rights         []servicebustest.Right
}{
	{"", rootRule, []servicebustest.Right{servicebustest.RightManage, servicebustest.RightSend, servicebustest.RightListen}},
	{"_NO_MANAGE", "NoManage", []servicebustest.Right{servicebustest.RightSend, servicebustest.RightListen}},
	{"_SEND_ONLY", "SendOnly", []servicebustest.Right{servicebustest.RightSend}},
	{"_LISTEN_ONLY", "ListenOnly", []servicebustest.Right{servicebustest.RightListen}},
}

const rootRule = "RootManageSharedAccessKey"

// startEnvironment starts the namespaces; what they need on disk goes to work.
func startEnvironment(work string) (*environment, error) {
	e := &environment{}
	standard, certificates, err := startNamespace()
	if err != nil {
		return nil, err
	}
	e.standard = standard.server
	premium, more, err := startNamespace(servicebustest.WithPremium())
	if err != nil {
		return nil, errors.Join(err, e.standard.Close())
	}
	e.premium = premium.server
	certificates = append(certificates, more...)
	if err := e.describe(work, standard.host, premium.host, certificates); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

type namespace struct {
	server *servicebustest.Server
	host   string
}

func startNamespace(options ...servicebustest.Option) (namespace, []byte, error) {
	queue := servicebustest.QueueConfig{LockDuration: 5 * time.Minute}
	sessions := queue
	sessions.RequiresSession = true
	options = append(options,
		servicebustest.WithoutHistory(),
		servicebustest.WithQueue("testQueue", queue), servicebustest.WithQueue("testQueueWithSessions", sessions),
	)
	for _, rule := range accessRules {
		options = append(options, servicebustest.WithSharedAccessRule(rule.name, keyOf(rule.name), rule.rights...))
	}
	server, err := servicebustest.Start(options...)
	if err != nil {
		return namespace{}, nil, err
	}
	address, err := server.ListenTLS("127.0.0.1:0", []string{"localhost"})
	if err != nil {
		return namespace{}, nil, errors.Join(err, server.Close())
	}
	certificates, err := server.CertificateAuthority()
	if err != nil {
		return namespace{}, nil, errors.Join(err, server.Close())
	}
	_, port, _ := strings.Cut(address.String(), ":")
	return namespace{server, "localhost:" + port}, certificates, nil
}

// token is what the stand-in for the Azure CLI prints: the SDK's tests ask the first credential that they can find, and
// this is the only one that needs no network. The broker takes any token, so nothing here is a secret.
const token = `{"accessToken": "eyJhbGciOiJub25lIn0.e30.", "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800, "subscription": "none", "tenant": "none", "tokenType": "Bearer"}` //nolint:gosec // G101: no secret, see above

// describe writes the files and sets the variables that the tests read.
func (e *environment) describe(work, standard, premium string, certificates []byte) error {
	authority := filepath.Join(work, "authority.pem")
	for path, content := range map[string]string{
		authority:                 string(certificates),
		filepath.Join(work, "az"): "#!/bin/sh\ncat <<'END'\n" + token + "\nEND\n",
	} {
		if err := os.MkdirAll(work, 0o700); err != nil {
			return fmt.Errorf("live environment: %w", err)
		}
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil { //nolint:gosec // G306: az is executed
			return fmt.Errorf("live environment: %w", err)
		}
	}
	e.environ = append(os.Environ(),
		"AZURE_RECORD_MODE=live",
		"AZURE_TOKEN_CREDENTIALS=AzureCLICredential",
		"PATH="+work+string(os.PathListSeparator)+os.Getenv("PATH"),
		"SSL_CERT_FILE="+authority,
		"SERVICEBUS_ENDPOINT="+standard,
		"SERVICEBUS_ENDPOINT_PREMIUM="+premium,
		"SERVICEBUS_CONNECTION_STRING_PREMIUM="+connectionString(premium, rootRule),
	)
	for _, rule := range accessRules {
		e.environ = append(e.environ, "SERVICEBUS_CONNECTION_STRING"+rule.variable+"="+connectionString(standard, rule.name))
	}
	return nil
}

func connectionString(host, rule string) string {
	return "Endpoint=sb://" + host + "/;SharedAccessKeyName=" + rule + ";SharedAccessKey=" + keyOf(rule)
}

// keyOf is the key of a rule; any text is one.
func keyOf(rule string) string { return "key-of-" + rule }
