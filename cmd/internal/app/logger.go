package app

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"json", "console"}
)

// NewLogger returns a logger that writes whole lines to w: one for each entry, whatever is in it, and none with a control
// character. Only loggers named in repeating are sampled: promise P10 counts on every other line.
func NewLogger(level, format string, w io.Writer) (*zap.Logger, error) {
	log, _, err := NewAdjustableLogger(level, format, w)
	return log, err
}

// NewAdjustableLogger is NewLogger whose level may be changed later.
func NewAdjustableLogger(level, format string, w io.Writer) (*zap.Logger, *zap.AtomicLevel, error) {
	if !slices.Contains(logLevels, level) || !slices.Contains(logFormats, format) {
		return nil, nil, fmt.Errorf("log: level %q, format %q: want one of %v and one of %v", level, format, logLevels, logFormats)
	}
	first, err := levelOf(level)
	if err != nil {
		return nil, nil, err
	}
	least := zap.NewAtomicLevelAt(first)
	encoder := newConsoleEncoder()
	if format == "json" {
		encoder = newJSONEncoder()
	}
	return zap.New(sampleRepeats(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), least))), &least, nil
}

// levelOf reads the name of a level.
func levelOf(name string) (zapcore.Level, error) {
	if !slices.Contains(logLevels, name) {
		return 0, fmt.Errorf("log level: want one of %s, got %s", strings.Join(logLevels, ", "), brief(name))
	}
	level, err := zapcore.ParseLevel(name)
	if err != nil {
		return 0, fmt.Errorf("log level: %w", err)
	}
	return level, nil
}

func newJSONEncoder() zapcore.Encoder {
	config := zap.NewProductionEncoderConfig()
	config.TimeKey = "time"
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	config.EncodeDuration = zapcore.StringDurationEncoder
	return jsonEncoder{zapcore.NewJSONEncoder(config)}
}

// newConsoleEncoder leaves what heads a line to the console form itself, and has times and durations as short as a person
// reads them.
func newConsoleEncoder() zapcore.Encoder {
	return consoleEncoder{zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		SkipLineEnding: true, EncodeTime: zapcore.TimeEncoderOfLayout(clock),
		EncodeDuration: func(d time.Duration, e zapcore.PrimitiveArrayEncoder) { e.AppendString(brieflyLasting(d)) },
	})}
}

// PlatformFields tell the replicas of a Container App apart, where the process runs in one.
func PlatformFields(env Environment) (fields []zap.Field) {
	for _, f := range []struct{ variable, field string }{
		{"CONTAINER_APP_REPLICA_NAME", "replica"}, {"CONTAINER_APP_REVISION", "revision"},
	} {
		if value, ok := env.Lookup(f.variable); ok {
			fields = append(fields, zap.String(f.field, value))
		}
	}
	return fields
}
