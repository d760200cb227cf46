package app

import (
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

var buffers = buffer.NewPool()

// jsonEncoder escapes what JSON allows and a terminal, or who splits text into lines, may act on: DEL, the C1 controls (some
// terminals take U+009B for the beginning of an escape sequence), line separators, marks that turn the direction of text.
// Below U+0020 zap does it.
type jsonEncoder struct{ zapcore.Encoder }

// Clone implements [zapcore.Encoder].
func (e jsonEncoder) Clone() zapcore.Encoder { return jsonEncoder{e.Encoder.Clone()} }

// EncodeEntry implements [zapcore.Encoder].
func (e jsonEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	line, err := e.Encoder.EncodeEntry(entry, fields)
	if err != nil {
		return nil, err
	}
	return escaped(line), nil
}

// escaped returns the line itself where there is nothing to do, else another buffer in its place.
func escaped(line *buffer.Buffer) *buffer.Buffer {
	b := line.Bytes()
	if plain(b) {
		return line
	}
	out := buffers.Get()
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case r < utf8.RuneSelf && r != unicode.MaxASCII || r != utf8.RuneError && unicode.IsPrint(r):
			out.AppendBytes(b[:size])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			appendEscape(out, high)
			appendEscape(out, low)
		default:
			appendEscape(out, r)
		}
		b = b[size:]
	}
	line.Free()
	return out
}

func appendEscape(out *buffer.Buffer, r rune) {
	digits := strconv.FormatInt(int64(r)|0x10000, 16)
	out.AppendString(`\u` + digits[1:])
}

// plain tells whether all of b is ASCII but for DEL. Most lines are, and it is asked of every one.
func plain(b []byte) bool {
	for _, c := range b {
		if c >= unicode.MaxASCII {
			return false
		}
	}
	return true
}
