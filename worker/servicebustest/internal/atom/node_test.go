package atom

import (
	"fmt"
	"strings"
	"testing"
)

func TestNamesAreResolvedNotCompared(t *testing.T) {
	t.Parallel()
	n, err := parse([]byte("\ufeff" + `<?xml version="1.0" encoding="utf-8"?>
		<a:one xmlns:a="urn:1" xmlns="urn:2" a:x="1" y="2">
			text<two xmlns:a="urn:3" a:x="4"> &lt;<![CDATA[<&]]><!-- not this -->> </two><three xmlns=""/>
		</a:one>`))
	if err != nil {
		t.Fatal(err)
	}
	if n.name.Space != "urn:1" || n.name.Local != "one" {
		t.Errorf("root %v", n.name)
	}
	if len(n.attrs) != 2 || n.attrs[0].Name.Space != "urn:1" || n.attrs[1].Name.Space != "" {
		t.Errorf("attributes %v, want one in urn:1 and one in no namespace", n.attrs)
	}
	two := n.child("urn:2", "two")
	if two == nil || string(two.text) != " <<&> " || two.attrs[0].Name.Space != "urn:3" {
		t.Fatalf("second element %+v", two)
	}
	if name, err := two.qualified("a:kind"); err != nil || name.Space != "urn:3" {
		t.Errorf("qualified inside: %v, %v", name, err)
	}
	if name, err := n.qualified(" a:kind "); err != nil || name.Space != "urn:1" || name.Local != "kind" {
		t.Errorf("qualified outside: %v, %v", name, err)
	}
	if name, err := n.qualified("kind"); err != nil || name.Space != "urn:2" {
		t.Errorf("qualified without prefix: %v, %v", name, err)
	}
	if n.child("", "three") == nil {
		t.Error("an undone default namespace is not no namespace")
	}
	if !strings.HasPrefix(string(two.inner), ` &lt;<![CDATA`) {
		t.Errorf("inner %q is not verbatim", two.inner)
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"":                                   "ends too early",
		"text":                               "text outside",
		"<a>":                                "ends too early",
		"<a></b>":                            "unexpected end of b",
		"</a>":                               "unexpected end of a",
		"<a/><b/>":                           "more than one element",
		"<a/>text":                           "text outside",
		"<a:b/>":                             `prefix "a" is not declared`,
		"<a b:c='1'/>":                       `prefix "b" is not declared`,
		"<a>&unknown;</a>":                   "invalid character entity",
		"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>": "document type",
		"<x:a xmlns:x='u'></a>":              "unexpected end of a",
		"\xff":                               "xml:",
		`<?xml version="1.0" encoding="utf-16"?><a/>`:          "xml:",
		"<a" + declarations(17) + "/>":                         "more than 16 namespaces",
		strings.Repeat("<a>", 33) + strings.Repeat("</a>", 33): "more than 32 nested",
	} {
		if _, err := parse([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want %q in it", body, err, want)
		}
	}
	if _, err := parse([]byte(strings.Repeat("<a>", 31) + "<a" + declarations(16) + "/>" + strings.Repeat("</a>", 31))); err != nil {
		t.Errorf("32 nested elements and 16 namespaces: %v", err)
	}
}

func declarations(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " xmlns:p%d='u'", i)
	}
	return b.String()
}
