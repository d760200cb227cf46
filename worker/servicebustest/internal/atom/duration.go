package atom

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// forever is how the service writes Forever: the longest duration that .NET can hold.
const forever = "P10675199DT2H48M5.4775807S"

const day = 24 * time.Hour

var errDuration = errors.New("not an ISO 8601 duration like P1DT2H3M4.5S")

// parseDuration reads an ISO 8601 duration as XML Schema restricts it. Years and months count 365 and 30 days, as in
// .NET. What time.Duration cannot hold is Forever: nobody waits 292 years to see the difference.
func parseDuration(s string) (time.Duration, error) {
	rest, ok := strings.CutPrefix(s, "P")
	if !ok {
		return 0, errDuration
	}
	date, clock, hasClock := strings.Cut(rest, "T")
	days, err := parseUnits(date, []unit{{'Y', 365 * day}, {'M', 30 * day}, {'D', day}})
	if err != nil {
		return 0, err
	}
	hours, err := parseUnits(clock, []unit{{'H', time.Hour}, {'M', time.Minute}, {'S', time.Second}})
	if err != nil {
		return 0, err
	}
	if hasClock == (clock == "") || rest == "" {
		return 0, errDuration
	}
	return add(days, hours), nil
}

type unit struct {
	letter byte
	length time.Duration
}

// parseUnits sums numbers with units; each unit at most once and in order.
func parseUnits(s string, units []unit) (total time.Duration, err error) {
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if end <= 0 {
			return 0, errDuration
		}
		number, letter := s[:end], s[end]
		s = s[end+1:]
		for len(units) > 0 && units[0].letter != letter {
			units = units[1:]
		}
		if len(units) == 0 {
			return 0, errDuration
		}
		amount, err := parseAmount(number, units[0])
		if err != nil {
			return 0, err
		}
		total = add(total, amount)
		units = units[1:]
	}
	return total, nil
}

func parseAmount(number string, u unit) (time.Duration, error) {
	whole, fraction, hasFraction := strings.Cut(number, ".")
	if whole == "" || hasFraction && (u.letter != 'S' || fraction == "" || strings.Contains(fraction, ".")) {
		return 0, errDuration
	}
	n, err := strconv.ParseUint(whole, 10, 64)
	if err != nil {
		return Forever, nil // all digits, so too large
	}
	high, low := bits.Mul64(n, uint64(u.length))
	if high != 0 || low > uint64(Forever) {
		return Forever, nil
	}
	nanoseconds, _ := strconv.Atoi((fraction + "000000000")[:9]) // digits only: parseUnits looked
	return add(time.Duration(low), time.Duration(nanoseconds)), nil
}

// add stops at Forever.
func add(a, b time.Duration) time.Duration {
	if a > Forever-b {
		return Forever
	}
	return a + b
}

// formatDuration writes what .NET writes: only units that are not zero, seconds in ticks of 100 ns.
func formatDuration(d time.Duration) string {
	if d == Forever {
		return forever
	}
	if d < 100*time.Nanosecond {
		return "PT0S"
	}
	var b strings.Builder
	b.WriteByte('P')
	write := func(n time.Duration, letter byte) {
		if n > 0 {
			fmt.Fprintf(&b, "%d%c", n, letter)
		}
	}
	write(d/day, 'D')
	if clock := d % day; clock >= 100*time.Nanosecond {
		b.WriteByte('T')
		write(clock/time.Hour, 'H')
		write(clock%time.Hour/time.Minute, 'M')
		if seconds, ticks := clock%time.Minute/time.Second, clock%time.Second/100; ticks > 0 {
			b.WriteString(strings.TrimRight(fmt.Sprintf("%d.%07d", seconds, ticks), "0") + "S")
		} else {
			write(seconds, 'S')
		}
	}
	return b.String()
}
