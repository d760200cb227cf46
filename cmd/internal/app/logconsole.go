package app

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// clock is how the console form writes times: of the day, by the machine's zone.
const clock = "15:04:05.000"

// Widths of the columns of a delivery, in characters. What is longer pushes the rest to the right.
const (
	outcomeWidth = 18
	taskWidth    = 28
	tookWidth    = 7
)

// consoleEncoder writes lines for people: time and level, then what happened, then the details as name=value.
//
//	12:50:44.123 INFO  terminated         nightly/frame-1                212ms  settlement=complete result=ok ...
//	12:50:44.207 WARN  invalid_message    -                                1ms  "taskId: required" ...
//	12:50:45.010 INFO  draining: no more messages are taken  in_flight=3
//
// It renders what zap's JSON encoder makes of the fields, so that both forms say the same.
type consoleEncoder struct{ zapcore.Encoder }

// Clone implements [zapcore.Encoder].
func (c consoleEncoder) Clone() zapcore.Encoder { return consoleEncoder{c.Encoder.Clone()} }

// EncodeEntry implements [zapcore.Encoder].
func (c consoleEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	encoded, err := c.Encoder.EncodeEntry(zapcore.Entry{}, fields)
	if err != nil {
		return nil, err
	}
	encoded = escaped(encoded)
	members, err := membersOf(encoded.Bytes())
	encoded.Free()
	if err != nil {
		return nil, err
	}
	line := buffers.Get()
	line.AppendString(entry.Time.Format(clock) + " ")
	line.AppendString(fmt.Sprintf("%-5s ", entry.Level.CapitalString()))
	if entry.Message == "delivery" {
		members = appendDelivery(line, members)
	} else {
		line.AppendString(shownText(entry.Message))
	}
	separator := "  "
	for _, m := range members {
		line.AppendString(separator + shownName(m.name) + "=" + m.shown())
		separator = " "
	}
	line.AppendByte('\n')
	return line, nil
}

// member is one field as JSON.
type member struct {
	name  string
	value jsontext.Value
}

// membersOf returns the members of an object in their order. A name may come twice: the process and a line may both have it.
func membersOf(object []byte) (members []member, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := d.ReadToken(); err != nil {
		return nil, fmt.Errorf("log line: %w", err)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("log line: %w", err)
		}
		m := member{name: name.String()}
		value, err := d.ReadValue()
		if err != nil {
			return nil, fmt.Errorf("log line: %w", err)
		}
		m.value = bytes.Clone(value)
		members = append(members, m)
	}
	return members, nil
}

// appendDelivery writes the columns of a delivery, and what it was about. It returns the members that are left, without
// those that say nothing: of a message that was refused unread, most ids are empty.
func appendDelivery(line *buffer.Buffer, members []member) (rest []member) {
	column := map[string]string{}
	for _, m := range members {
		switch m.name {
		case "outcome", "job_id", "task_id", "took", "detail":
			column[m.name] = m.text()
		default:
			if text := m.text(); text != "" && text != "0" {
				rest = append(rest, m)
			}
		}
	}
	task := "-"
	if column["job_id"] != "" {
		task = bare(column["job_id"]) + "/" + bare(column["task_id"])
	}
	line.AppendString(fmt.Sprintf("%-*s %-*s %*s", outcomeWidth, bare(column["outcome"]), taskWidth, task, tookWidth, bare(column["took"])))
	if column["detail"] != "" {
		line.AppendString("  " + strconv.Quote(column["detail"]))
	}
	return rest
}

// text is a string's value, or the JSON of anything else.
func (m member) text() string {
	if m.value.Kind() != '"' {
		return string(m.value)
	}
	unquoted, err := jsontext.AppendUnquote(nil, m.value)
	if err != nil {
		return string(m.value)
	}
	return string(unquoted)
}

// shown is the value as it may stand on a terminal.
func (m member) shown() string {
	if m.value.Kind() != '"' {
		return string(m.value) // its strings are escaped
	}
	return bare(m.text())
}

// bare returns text without quotes where it is unmistakable without them.
func bare(s string) string {
	special := func(r rune) bool {
		return r <= ' ' || r == '"' || r == '=' || r == '\\' || r == utf8.RuneError || !unicode.IsPrint(r)
	}
	if s == "" || strings.ContainsFunc(s, special) {
		return strconv.Quote(s)
	}
	return s
}

// shownText is a sentence of ours; were it anything else, it could not act on the terminal either.
func shownText(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func shownName(s string) string { return bare(s) }

// brieflyLasting writes three digits of a duration: more cannot be told apart by reading, and would not line up.
func brieflyLasting(d time.Duration) string {
	unit := time.Duration(1)
	for d.Abs() >= 1000*unit {
		unit *= 10
	}
	return d.Round(unit).String()
}
