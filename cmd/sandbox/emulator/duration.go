package emulator

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// duration is an ISO 8601 duration. Years and months have no fixed length and are refused, as by Service Bus.
type duration time.Duration

var durationForm = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$`)

// maxDuration is far beyond every limit; below it, nothing overflows.
const maxDuration = 1e6 * time.Hour

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	parts := durationForm.FindSubmatch(text)
	if parts == nil || text[len(text)-1] == 'P' || text[len(text)-1] == 'T' {
		return fmt.Errorf("%q is not a duration like PT1H30M or P1D", text)
	}
	total := 0.0
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if len(parts[i+1]) == 0 {
			continue
		}
		n, err := strconv.ParseFloat(string(parts[i+1]), 64)
		if err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		total += n * float64(unit)
	}
	if total > float64(maxDuration) {
		return fmt.Errorf("%q is too long", text)
	}
	*d = duration(total)
	return nil
}
