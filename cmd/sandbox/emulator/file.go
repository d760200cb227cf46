package emulator

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxSize is more than fifty topics with a thousand rules each need.
const maxSize = 64 << 20

// Config is a file that was read and found good.
type Config struct{ namespace namespace }

type file struct {
	UserConfig struct {
		Namespaces []namespace
		Logging    struct{ Type string }
	}
}

type namespace struct {
	Name   string
	Queues []queue
	Topics []topic
}

type queue struct {
	Name       string
	Properties queueProperties
}

// queueProperties are those of queues and subscriptions; nil: the emulator's default.
type queueProperties struct {
	entityProperties
	DuplicateDetectionHistoryTimeWindow *duration
	RequiresDuplicateDetection          bool
}

type entityProperties struct {
	DeadLetteringOnMessageExpiration bool
	DefaultMessageTimeToLive         *duration
	ForwardDeadLetteredMessagesTo    string
	ForwardTo                        string
	LockDuration                     *duration
	MaxDeliveryCount                 *int
	RequiresSession                  bool
}

type topic struct {
	Name       string
	Properties struct {
		DefaultMessageTimeToLive            *duration
		DuplicateDetectionHistoryTimeWindow *duration
		RequiresDuplicateDetection          bool
	}
	Subscriptions []subscription
}

type subscription struct {
	Name       string
	Properties entityProperties
	Rules      []rule
}

type rule struct {
	Name       string
	Properties struct {
		FilterType        string
		CorrelationFilter *correlation
		SqlFilter         *expression //nolint:revive // the key's spelling
		Action            *expression
	}
}

type correlation struct {
	ContentType, CorrelationId, Label, MessageId, ReplyTo, ReplyToSessionId, SessionId, To string
	Properties                                                                             map[string]any
}

type expression struct{ SqlExpression string }

// Read reads a Config.json.
func Read(r io.Reader) (Config, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return Config{}, err
	}
	if len(text) > maxSize {
		return Config{}, fmt.Errorf("larger than %d bytes", maxSize)
	}
	text = []byte(strings.TrimPrefix(string(text), "\ufeff")) // as Windows editors begin a file
	var f file
	err = json.Unmarshal(standard(text), &f, json.RejectUnknownMembers(true), json.MatchCaseInsensitiveNames(true))
	if err != nil {
		return Config{}, explain(err, text)
	}
	if err := f.validate(); err != nil {
		return Config{}, err
	}
	return Config{f.UserConfig.Namespaces[0]}, nil
}

// explain says where in the file a reading error is.
func explain(err error, text []byte) error {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		where := place(semantic.JSONPointer)
		switch {
		case errors.Is(err, json.ErrUnknownName):
			return fmt.Errorf("%s: unknown key", where)
		case semantic.Err != nil:
			return fmt.Errorf("%s: %w", where, semantic.Err)
		}
		return fmt.Errorf("%s: a %v does not belong here", where, kindName(semantic.JSONKind))
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		before := string(text[:min(int(syntactic.ByteOffset), len(text))])
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Errorf("%s: the key is there twice", place(syntactic.JSONPointer))
		}
		return fmt.Errorf("line %d: %w", 1+strings.Count(before, "\n"), syntactic.Err)
	}
	return err
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '"':
		return "string"
	case '0':
		return "number"
	case '{':
		return "object"
	case '[':
		return "list"
	case 't', 'f':
		return "truth value"
	}
	return "null"
}

// place writes a JSON pointer as people write paths: UserConfig.Namespaces[0].Queues[1].Name.
func place(p jsontext.Pointer) string {
	var path strings.Builder
	for token := range p.Tokens() {
		if _, err := strconv.Atoi(token); err == nil {
			path.WriteString("[" + token + "]")
			continue
		}
		if path.Len() > 0 {
			path.WriteString(".")
		}
		path.WriteString(token)
	}
	if path.Len() == 0 {
		return "the file"
	}
	return path.String()
}
