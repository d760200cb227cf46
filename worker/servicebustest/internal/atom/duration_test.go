package atom

import (
	"testing"
	"time"
)

func TestDurationsAreReadAsXMLSchemaWritesThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"PT1M":                         time.Minute,
		"PT45S":                        45 * time.Second,
		"PT0S":                         0,
		"P0D":                          0,
		"PT0M1S":                       time.Second,
		"PT61M1S":                      time.Hour + time.Minute + time.Second,
		"P1DT2H3M4.5S":                 day + 2*time.Hour + 3*time.Minute + 4500*time.Millisecond,
		"PT0.0000001S":                 100 * time.Nanosecond,
		"PT1.0000000009999S":           time.Second,
		"P14D":                         14 * day,
		"P1Y":                          365 * day,
		"P2M":                          60 * day,
		"P1Y2M3D":                      428 * day,
		"PT00001H":                     time.Hour,
		forever:                        Forever,
		"PT256204778H48M5.4775807S":    Forever, // how Java writes it
		"P106751DT23H47M16.854775807S": Forever,
		"P106751DT23H47M16.854775806S": Forever - 1,
		"P99999999999999999999D":       Forever,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestOtherDurationsAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "P", "PT", "P1DT", "1D", "T1H", "P1H", "PT1D", "PT1S1M", "P1D1D", "PT1M1M", "-PT1S", "P-1D", "PT1.S", "PT.5S",
		"PT1.5M", "P1.5D", "PT1.2.3S", "P1", "PT1", "P1W", "pt1s", " PT1S", "PT1S ", "PT1ST", "P1YT", "PT1H2", "00:01:00",
	} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestDurationsAreWrittenAsDotNetWritesThem(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                              "PT0S",
		99:                             "PT0S",
		100:                            "PT0.0000001S",
		time.Minute:                    "PT1M",
		90 * time.Second:               "PT1M30S",
		14 * day:                       "P14D",
		day + time.Second:              "P1DT1S",
		1500 * time.Millisecond:        "PT1.5S",
		time.Hour + 99*time.Nanosecond: "PT1H",
		day + 99*time.Nanosecond:       "P1D",
		Forever:                        forever,
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%d is %s, want %s", d, got, want)
		}
	}
}

// FuzzDuration: what is read can be written and read again, short of the last digits.
func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"PT1M", "P1DT2H3M4.5S", forever, "PT0.00000019S", "P1Y2M", "P1DT", "PT1.S"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDuration(text)
		if err != nil {
			return
		}
		if d < 0 {
			t.Fatalf("%q is read as %v", text, d)
		}
		written := formatDuration(d)
		again, err := parseDuration(written)
		want := d
		if d != Forever {
			want = d.Truncate(100 * time.Nanosecond)
		}
		if err != nil || again != want {
			t.Fatalf("%q is %v, written %s, read %v, %v", text, d, written, again, err)
		}
	})
}
