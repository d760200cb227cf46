package batchapi

import (
	"net/http"
	"testing"
	"time"
)

// here is our clock and there the server's, which disagree.
var (
	here  = time.Date(2025, 9, 6, 7, 0, 0, 0, time.UTC)
	there = here.Add(-time.Hour)
)

func thereAfter(d time.Duration) string { return there.Add(d).Format(http.TimeFormat) }

var retryAfters = []struct {
	value  string
	server time.Time
	want   time.Duration
	ok     bool
}{
	{"", there, 0, false},
	{"0", there, 0, true},
	{"5", there, 5 * time.Second, true},
	{" 5 ", there, 5 * time.Second, true},
	{"007", there, 7 * time.Second, true},
	{"-1", there, 0, true},
	{"-99999999999999999999", there, 0, true},
	{"86400", there, 24 * time.Hour, true},
	{"86401", there, 24 * time.Hour, true},
	{"9223372036854775807", there, 24 * time.Hour, true},
	{"99999999999999999999999", there, 24 * time.Hour, true},
	{"1.5", there, 0, false},
	{"+5", there, 0, false},
	{"5s", there, 0, false},
	{"-", there, 0, false},
	{"soon", there, 0, false},
	{thereAfter(30 * time.Second), there, 30 * time.Second, true},
	{thereAfter(-30 * time.Second), there, 0, true},
	{thereAfter(72 * time.Hour), there, 24 * time.Hour, true},
	{"Fri, 31 Dec 9999 23:59:59 GMT", there, 24 * time.Hour, true},
	{"Mon, 01 Jan 0001 00:00:01 GMT", there, 0, true},
	{here.Add(time.Minute).Format(http.TimeFormat), time.Time{}, time.Minute, true},
	{"Saturday, 06-Sep-25 06:00:10 GMT", there, 10 * time.Second, true},
	{"Sat, 06 Sep 2025 06:00:10 UTC", there, 0, false},
}

// Scorecard: H6.
func TestRetryAfterInAllItsForms(t *testing.T) {
	t.Parallel()
	for _, test := range retryAfters {
		got, ok := retryAfter(test.value, test.server, here)
		if got != test.want || ok != test.ok {
			t.Errorf("%q: %v, %v; want %v, %v", test.value, got, ok, test.want, test.ok)
		}
	}
}

func FuzzRetryAfterStaysWithinADay(f *testing.F) {
	for _, seed := range []string{"", "5", "-5", "1e9", "99999999999999999999", "Sat, 06 Sep 2025 07:00:10 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(seed, int64(0))
	}
	f.Fuzz(func(t *testing.T, value string, server int64) {
		d, ok := retryAfter(value, time.Unix(server, 0), time.Unix(1757142000, 0))
		if d < 0 || d > maxRetryAfter || (!ok && d != 0) {
			t.Errorf("%q: %v, %v", value, d, ok)
		}
	})
}
