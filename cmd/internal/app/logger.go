package app

import (
	"fmt"
	"io"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"json", "console"}
)

// NewLogger returns a logger that writes whole lines to w. There is no sampling: promise P10 counts on every line.
func NewLogger(level, format string, w io.Writer) (*zap.Logger, error) {
	if !slices.Contains(logLevels, level) || !slices.Contains(logFormats, format) {
		return nil, fmt.Errorf("log: level %q, format %q: want one of %v and one of %v", level, format, logLevels, logFormats)
	}
	least, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	config := zap.NewProductionEncoderConfig()
	config.TimeKey = "time"
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	config.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(config)
	if format == "console" {
		config.EncodeLevel = zapcore.CapitalLevelEncoder
		config.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoder = zapcore.NewConsoleEncoder(config)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), least)), nil
}

// PlatformFields tell the replicas of a Container App apart, where the process runs in one.
func PlatformFields(env Environment) (fields []zap.Field) {
	for _, f := range []struct{ variable, field string }{
		{"CONTAINER_APP_REPLICA_NAME", "replica"}, {"CONTAINER_APP_REVISION", "revision"},
	} {
		if value, ok := env.lookup(f.variable); ok {
			fields = append(fields, zap.String(f.field, value))
		}
	}
	return fields
}
