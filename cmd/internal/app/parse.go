package app

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"batchterminator/batchapi"
)

// vars are the values that help texts name.
var vars = kong.Vars{"api_version": batchapi.DefaultAPIVersion}

// ErrHelp says that help was asked for and printed.
var ErrHelp = errors.New("help was printed")

// Command describes a program to [Parse].
type Command struct {
	Name, Description string
	Env               Environment
	// Stdout takes the help.
	Stdout io.Writer
}

// Parse reads flags, environment and defaults, in this order of precedence, into the grammar, whose commands may embed
// [Settings]. The error is ErrHelp, or [Problems] with one line each; no line repeats a secret.
func Parse(grammar any, c Command, args []string) (*kong.Context, error) {
	asked := false
	k, err := kong.New(grammar, vars, kong.Name(c.Name), kong.Description(c.Description), kong.Writers(c.Stdout, c.Stdout),
		kong.Exit(func(int) { asked = true }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.ValueFormatter(withVariable))
	if err != nil {
		return nil, fmt.Errorf("command line: %w", err)
	}
	e := &fromEnvironment{env: c.Env}
	known := e.takeOver(k.Model.Node)
	if err := kong.Resolvers(e).Apply(k); err != nil {
		return nil, fmt.Errorf("command line: %w", err)
	}
	parsed, err := k.Parse(args)
	if asked {
		return nil, ErrHelp
	}
	given := parsed
	if failed, ok := errors.AsType[*kong.ParseError](err); ok {
		given = failed.Context
	}
	if given != nil {
		if empty := emptyValues(given); len(empty) > 0 {
			return nil, empty
		}
	}
	problems := e.problems
	if _, ok := errors.AsType[Problems](err); ok || err == nil {
		// Only the settings themselves are left to judge, so the variables beside them are worth a look.
		problems = append(c.Env.typos(known), problems...)
	}
	if p, ok := errors.AsType[Problems](err); ok {
		problems = append(problems, p...)
	} else if err != nil {
		problems = append(problems, usage(err, k.Model))
	}
	return parsed, problems.err()
}

// emptyValues reports what is given without a value. A variable that a script left unset must not take a condition away, nor send
// a request to another account.
func emptyValues(c *kong.Context) (problems Problems) {
	for _, p := range c.Path {
		var name string
		switch {
		case p.Resolved:
			continue
		case p.Flag != nil:
			name = named(p.Flag)
		case p.Positional != nil:
			name = "<" + p.Positional.Name + ">"
		default:
			continue
		}
		if v := reflect.Indirect(c.Value(p)); v.Kind() == reflect.String && v.Len() == 0 {
			problems = append(problems, fmt.Errorf("%s: empty; give a value, or leave it out", name))
		}
	}
	return problems
}

// fromEnvironment gives kong the environment that it was handed, instead of the process's own, and goes on after a
// value that cannot be read, so that one start shows all of them.
type fromEnvironment struct {
	env      Environment
	problems Problems
}

// takeOver keeps kong from looking by itself, and returns every variable that means something.
func (e *fromEnvironment) takeOver(node *kong.Node) (known []string) {
	for _, flag := range node.Flags {
		known = append(known, flag.Envs...)
		flag.Tag.Envs = nil
	}
	for _, child := range node.Children {
		known = append(known, e.takeOver(child)...)
	}
	return known
}

// Validate implements [kong.Resolver].
func (*fromEnvironment) Validate(*kong.Application) error { return nil }

// Resolve implements [kong.Resolver].
func (e *fromEnvironment) Resolve(k *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		value, ok := e.env.Lookup(name)
		if !ok {
			continue
		}
		trial := reflect.New(flag.Target.Type()).Elem()
		if err := flag.Parse(kong.Scan().PushTyped(value, kong.FlagValueToken), trial); err != nil {
			e.problems = append(e.problems, usage(err, k.Model))
			return nil, nil
		}
		return value, nil
	}
	return nil, nil
}

// withVariable ends each flag's help with its environment variable.
func withVariable(v *kong.Value) string {
	if v.Flag == nil || len(v.Flag.Envs) == 0 {
		return v.Help
	}
	return v.Help + " $" + v.Flag.Envs[0]
}

var (
	flagError = regexp.MustCompile(`^--([a-z-]+)(?:=.*?)?: (.*)$`)
	keyPart   = regexp.MustCompile(`(?i)((?:SharedAccessKey|SharedAccessSignature|AccountKey|\bsig)=)[^;\s"]+`)
	// The parser's words for a value of the wrong kind, and what stands behind them from the standard library.
	wrongKind = regexp.MustCompile(`^expected (duration|a valid 64 bit int|a float) but got ("(?:[^"\\]|\\.)*").*$`)
	// Its words for a flag that is the last thing on the line.
	endOfLine = `got "EOL" (<EOL>)`
	kinds     = map[string]string{
		"duration":           "a duration such as 500ms, 30s or 15m",
		"a valid 64 bit int": "a whole number",
		"a float":            "a number",
	}
)

// usage turns the parser's error into one line that names the setting as the other lines do.
func usage(err error, model *kong.Application) error {
	line := keyPart.ReplaceAllString(strings.ReplaceAll(err.Error(), "\n", " "), "${1}REDACTED")
	m := flagError.FindStringSubmatch(line)
	if m == nil {
		return errors.New(line)
	}
	name, cause := "--"+m[1], m[2]
	if flag := find(model.Node, m[1]); flag != nil {
		name = named(flag)
	}
	if strings.HasSuffix(cause, endOfLine) {
		cause = "needs a value"
	}
	if kind := wrongKind.FindStringSubmatch(cause); kind != nil {
		cause = fmt.Sprintf("want %s, got %s", kinds[kind[1]], kind[2])
	}
	return fmt.Errorf("%s: %s", name, cause)
}

// named is how a line calls a flag.
func named(flag *kong.Flag) string {
	if len(flag.Envs) == 0 {
		return "--" + flag.Name
	}
	return setting(flag.Name, flag.Envs[0])
}

func find(node *kong.Node, name string) *kong.Flag {
	for _, flag := range node.Flags {
		if flag.Name == name {
			return flag
		}
	}
	for _, child := range node.Children {
		if flag := find(child, name); flag != nil {
			return flag
		}
	}
	return nil
}
