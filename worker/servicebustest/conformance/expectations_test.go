package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryExpectationHasAReason(t *testing.T) {
	t.Parallel()
	expected, err := parseExpectations(expectationsText)
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range expected {
		if len(strings.Fields(e.reason)) < 4 {
			t.Errorf("%s: %q is not a reason", name, e.reason)
		}
	}
}

func TestExpectationsAreRead(t *testing.T) {
	t.Parallel()
	got, err := parseExpectations("# comment\n\n./admin TestA/sub skip: needs a tenant: none here\n")
	want := map[string]expectation{"./admin TestA/sub": {skipped, "needs a tenant: none here"}}
	if err != nil || got["./admin TestA/sub"] != want["./admin TestA/sub"] || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	for _, line := range []string{
		". TestA fail", ". TestA fail: ", ". TestA pass: it passes", "TestA fail: no package", ". TestA fail: once\n. TestA fail: twice",
	} {
		if _, err := parseExpectations(line); err == nil || !strings.Contains(err.Error(), "expectations.txt:") {
			t.Errorf("%q: error %v", line, err)
		}
	}
}

const events = `not JSON
{"Action":"run","Test":"TestA"}
{"Action":"run","Test":"TestA/x"}
{"Action":"output","Test":"TestA/x","Output":"wrong\n"}
{"Action":"fail","Test":"TestA/x"}
{"Action":"fail","Test":"TestA"}
{"Action":"run","Test":"TestB"}
{"Action":"skip","Test":"TestB/y"}
{"Action":"pass","Test":"TestB"}
{"Action":"run","Test":"TestC"}
{"Action":"fail"}
`

func TestEventsBecomeResults(t *testing.T) {
	t.Parallel()
	got, err := parseEvents(".", bytes.NewBufferString(events))
	if err != nil {
		t.Fatal(err)
	}
	want := []result{
		{pkg: ".", test: "TestA", status: failed, output: "wrong\n", subtests: []result{{pkg: ".", test: "x", status: failed}}},
		{pkg: ".", test: "TestB", status: passed, subtests: []result{{pkg: ".", test: "y", status: skipped}}},
		{pkg: ".", test: "TestC", status: unending},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotAsExpectedIsTold(t *testing.T) {
	t.Parallel()
	results, err := parseEvents(".", bytes.NewBufferString(events))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		expected string
		all      bool
		want     string
	}{
		{"", true, ". TestA: fail|. TestB/y: skip|. TestC: did not end"},
		{". TestA fail: because\n. TestB/y skip: because", true, ". TestC: did not end"},
		{". TestA skip: because\n. TestB fail: because\n. TestB/y skip: because", true,
			". TestA: fail, expected skip (because)|. TestB: pass, expected fail (because)|. TestC: did not end"},
		{". TestA fail: because\n. TestB/y skip: because\n. TestD fail: because", true, ". TestC: did not end|. TestD: not there, expected fail"},
		{". TestA fail: because\n. TestB/y skip: because\n. TestD fail: because", false, ". TestC: did not end"},
	} {
		expected, err := parseExpectations(test.expected)
		if err != nil {
			t.Fatal(err)
		}
		var told strings.Builder
		printSurprises(&told, compare(results, expected, test.all), results, false)
		for _, line := range strings.Split(test.want, "|") {
			if !strings.Contains(told.String(), "  "+line+"\n") {
				t.Errorf("expected %q: %q is not told in\n%s", test.expected, line, &told)
			}
		}
		if got, want := strings.Count(told.String(), "\n  ."), len(strings.Split(test.want, "|")); got != want {
			t.Errorf("expected %q: %d surprises, want %d:\n%s", test.expected, got, want, &told)
		}
	}
}

func TestTestsFindTheirGroup(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		r    result
		want string
	}{
		{result{pkg: ".", test: "TestSessionReceiver_acceptSession"}, "sessions"},
		{result{pkg: ".", test: "TestSessionReceiver_Detach"}, "detach"},
		{result{pkg: "./internal", test: "TestAMQPLinksBasic"}, "links and recovery"},
		{result{pkg: "./admin", test: "TestAdminClient_CreateQueue_Premium"}, "administration"},
		{result{pkg: "./admin", test: "TestAdminClient_StringToTime"}, withoutServer},
	} {
		if got := groupOf(test.r); got != test.want {
			t.Errorf("%s is of %q, want %q", test.r.name(), got, test.want)
		}
	}
}
