package verdict

import (
	"fmt"
	"slices"
	"strings"
)

// Line is what is said of one promise or invariant.
type Line struct {
	ID string `json:"id"`
	// Covers names the invariant that the promise has in it, "" for none.
	Covers string `json:"covers,omitempty"`
	Name   string `json:"name"`
	Holds  bool   `json:"holds"`
	Detail string `json:"detail"`
}

// Verdict is what a run comes to.
type Verdict struct {
	Lines []Line `json:"lines"`
	// Lost requests never came to their end. DuplicatedEnds are ends above one for each message sent: twins of a copy that an
	// unanswered send has made, harmless since the task was terminated once. Recovered requests came to their end although one
	// of their locks was lost, or a fault had doubled them. These are Jepsen's classes of what a queue may do to a message.
	Lost           int `json:"lost"`
	DuplicatedEnds int `json:"duplicatedEnds"`
	Recovered      int `json:"recovered"`
	// Burned counts delivery counts that rose without need. Excused ones rose because the connection was cut with the message
	// on the wire, a worker was killed, the broker was deaf, it ended the lock, or it took no copies.
	Burned  int     `json:"burned"`
	Excused Excused `json:"excused"`
	// MaxLocked is the most messages that workers held at one time.
	MaxLocked int `json:"maxLocked"`
	// Repeated counts calls for what had been terminated before, by a worker that could have known.
	Repeated int `json:"repeated"`
	// Stories tell of the first few requests with a burned delivery, or without an end, line by line.
	Stories []string `json:"stories,omitempty"`
	// Pace is how long requests took.
	Pace Pace `json:"-"`
}

// Excused counts lost locks by what excuses them.
type Excused struct {
	OnTheWire int `json:"onTheWire"`
	Killed    int `json:"killed"`
	Deaf      int `json:"deaf"`
	Ended     int `json:"ended"`
	Refused   int `json:"refused"`
}

// Add adds what another run excused.
func (e *Excused) Add(other Excused) {
	e.OnTheWire, e.Killed, e.Deaf, e.Ended, e.Refused = e.OnTheWire+other.OnTheWire, e.Killed+other.Killed, e.Deaf+other.Deaf, e.Ended+other.Ended, e.Refused+other.Refused
}

// String names each reason.
func (e Excused) String() string {
	return fmt.Sprintf("%d on the wire when it was cut, %d held by a worker that was killed, %d while the broker was deaf, %d ended by it, %d abandoned for want of a copy",
		e.OnTheWire, e.Killed, e.Deaf, e.Ended, e.Refused)
}

// Holds tells whether every line does.
func (v Verdict) Holds() bool { return len(v.Broken()) == 0 }

// Broken returns the ids of the lines that do not hold.
func (v Verdict) Broken() (ids []string) {
	for _, l := range v.Lines {
		if !l.Holds {
			ids = append(ids, l.ID)
		}
	}
	return ids
}

// Judge goes through the evidence.
func Judge(e Evidence) Verdict {
	h := newHistory(e)
	v := Verdict{
		Lost: len(h.lost()), DuplicatedEnds: h.duplicatedEnds(), Recovered: h.recovered(), Burned: len(h.burned()),
		Excused:   h.allExcused(),
		MaxLocked: h.maxHeld(), Repeated: len(h.repeated()), Pace: h.pace(),
		Stories: h.stories(),
	}
	v.Lines = []Line{
		h.p1(), h.p2(), h.p3(), h.p4(), h.p5(), h.p6(), h.p7(), h.p8(), h.p9(), h.p10(),
		h.i2(), h.i4(), h.i12(),
	}
	return v
}

// line holds if nothing is wrong.
func line(id, covers, name string, wrong []string, format string, args ...any) Line {
	detail := fmt.Sprintf(format, args...)
	if len(wrong) > 0 {
		detail += ": " + examples(wrong)
	}
	return Line{ID: id, Covers: covers, Name: name, Holds: len(wrong) == 0, Detail: detail}
}

// examples names the first few of what went wrong.
func examples(wrong []string) string {
	const most = 3
	slices.Sort(wrong)
	shown := strings.Join(wrong[:min(most, len(wrong))], "; ")
	if len(wrong) > most {
		shown += fmt.Sprintf("; and %d more", len(wrong)-most)
	}
	return shown
}
