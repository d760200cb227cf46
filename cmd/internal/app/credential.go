package app

import (
	"errors"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// sovereign maps the suffix that all hosts of a cloud share to where its identities sign in. Other hosts are public.
var sovereign = map[string]cloud.Configuration{
	".chinacloudapi.cn":  cloud.AzureChina,
	".usgovcloudapi.net": cloud.AzureGovernment,
}

// signInAt returns the cloud of the hosts, which must all be in one: there is one identity.
func signInAt(hosts []string) (cloud.Configuration, error) {
	found := map[string]bool{}
	for _, host := range hosts {
		found[suffix(host)] = true
	}
	if len(found) > 1 {
		return cloud.Configuration{}, errors.New("the Service Bus namespace and the Batch endpoints are in different Azure clouds; one process signs in to one cloud")
	}
	for s := range found {
		if c, ok := sovereign[s]; ok {
			return c, nil
		}
	}
	return cloud.AzurePublic, nil
}

func suffix(host string) string {
	for s := range sovereign {
		if strings.HasSuffix(strings.ToLower(host), s) {
			return s
		}
	}
	return ""
}

// newCredential returns the chain of managed identity, workload identity and developer sign-in. It contacts nobody.
func newCredential(hosts []string) (azcore.TokenCredential, error) {
	return newCredentialOver(hosts, azcore.ClientOptions{})
}

// newCredentialOver is newCredential with the options of its HTTP calls.
func newCredentialOver(hosts []string, options azcore.ClientOptions) (azcore.TokenCredential, error) {
	where, err := signInAt(hosts)
	if err != nil {
		return nil, err
	}
	options.Cloud = where
	credential, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
	if err != nil {
		return nil, fmt.Errorf("azure credential: %w", err)
	}
	return credential, nil
}
