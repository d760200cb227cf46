package atom_test

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"batchterminator/worker/servicebustest/internal/atom"
)

// FuzzBody: whatever a client sends, the answer is a well-formed document, and a description that was taken can be
// sent back as it was told and changes nothing.
func FuzzBody(f *testing.F) {
	f.Add("/q", inQueue("<LockDuration>PT30S</LockDuration><UserMetadata>a&amp;b</UserMetadata><Status>Disabled</Status>"))
	f.Add("/t", inEntry(`<TopicDescription xmlns="`+connect+`"/>`))
	f.Add("/t/Subscriptions/n", inEntry(`<s:SubscriptionDescription xmlns:s="`+connect+`"><s:DefaultRuleDescription><s:Name>n</s:Name></s:DefaultRuleDescription></s:SubscriptionDescription>`))
	f.Add("/t/Subscriptions/s/Rules/r", inRule(`<Filter i:type="SqlFilter"><SqlExpression>a=@b</SqlExpression><Parameters><KeyValueOfstringanyType><Key>b</Key><Value i:type="s:dateTime">2025-03-04T05:06:07Z</Value></KeyValueOfstringanyType></Parameters></Filter>`))
	f.Add("/t/Subscriptions/s/Rules/r", inRule(`<Filter i:type="q:New" xmlns:q="urn:q" a="b"><q:c><![CDATA[<]]></q:c></Filter><Action i:type="SqlRuleAction"/>`))
	f.Fuzz(func(t *testing.T, path, body string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " \x7f") || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' }) {
			return // not a request
		}
		if _, err := http.NewRequest(http.MethodPut, path, nil); err != nil {
			return
		}
		ns := newFake()
		h := atom.New(atom.Config{Namespace: ns})
		serve(h, http.MethodPut, "/t", inEntry(`<TopicDescription xmlns="`+connect+`"/>`))
		serve(h, http.MethodPut, "/t/Subscriptions/s", inEntry(`<SubscriptionDescription xmlns="`+connect+`"/>`))
		created := serve(h, http.MethodPut, path, body)
		wellFormed(t, created.Body.String())
		if created.Code != http.StatusCreated {
			return
		}
		updated := serve(h, http.MethodPut, path, created.Body.String(), "If-Match", "*")
		if updated.Code != http.StatusOK || updated.Body.String() != created.Body.String() {
			t.Errorf("told\n%s\nand after an update with it %d\n%s", created.Body, updated.Code, updated.Body)
		}
	})
}

func wellFormed(t *testing.T, document string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(document))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in %s", err, document)
		}
	}
}
