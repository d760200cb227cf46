package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// completing asks a shell, with our script, what may stand in the place of the last word. Each shell is asked in its own way.
var completing = map[string]func(words []string) (script string){
	"bash": func(words []string) string {
		return fmt.Sprintf("COMP_WORDS=(batch-terminator %s); COMP_CWORD=%d; _batch_terminator; printf '%%s\\n' \"${COMPREPLY[@]}\"", shellWords(words), len(words))
	},
	"fish": func(words []string) string {
		return "complete -C 'batch-terminator " + strings.Join(words, " ") + "' | string replace -r '\\t.*' ''; or true"
	},
	// zsh completes in its editor only: what it would offer is recorded in place of that.
	"zsh": func(words []string) string {
		return fmt.Sprintf("words=(batch-terminator %s); CURRENT=%d; PREFIX=${words[-1]}; _batch_terminator", shellWords(words), len(words)+1)
	},
}

const zshRecorder = `
compdef() { }
compset() { PREFIX=${PREFIX#*=} }
compadd() { shift; for w in "$@"; do [[ $w == $PREFIX* ]] && print -r -- "$w"; done; return 0 }
_describe() { local w; for w in "${found[@]}"; do w=${w%%:*}; [[ $w == $PREFIX* ]] && print -r -- "$w"; done; return 0 }
`

func shellWords(words []string) string {
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, "'"+w+"'")
	}
	return strings.Join(quoted, " ")
}

func TestShellsCompleteCommandsFlagsAndValues(t *testing.T) {
	t.Parallel()
	for shell, ask := range completing {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("no %s here: %v", shell, err)
			}
			var r recorded
			if code := run(t.Context(), []string{"completion", shell}, nil, strings.NewReader(""), &r.out, &r.err); code != exitOK {
				t.Fatalf("exit code %d: %s", code, r.err.String())
			}
			for _, c := range []struct {
				words []string
				want  string
			}{
				{[]string{"dl"}, "dlq"},
				{[]string{"dlq", "re"}, "resubmit"},
				{[]string{"dlq", "resubmit", "--ch"}, "--check-task"},
				{[]string{"dlq", "list", "--queue", "x", "--ea"}, "--each"},
				{[]string{"dlq", "list", "-o", ""}, "json text"},
				{[]string{"dlq", "list", "--output", "j"}, "json"},
				{[]string{"send", "--output", "t"}, "text"},
				{[]string{"completion", "z"}, "zsh"},
				{[]string{"run", "--queue", "dl"}, ""},
			} {
				script := r.out.String() + "\n" + ask(c.words)
				args := []string{"-c", script}
				if shell == "zsh" {
					args = []string{"-f", "-c", zshRecorder + script}
				}
				out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
				if err != nil {
					t.Fatalf("%q: %v: %s", c.words, err, out)
				}
				if diff := cmp.Diff(c.want, strings.Join(slices.Sorted(slices.Values(strings.Fields(string(out)))), " ")); diff != "" {
					t.Errorf("%q (-want +got):\n%s", c.words, diff)
				}
			}
		})
	}
}

// flagLine begins the help of a flag; texts are further to the right.
var flagLine = regexp.MustCompile(`(?m)^ {2,6}(?:-[a-z], )?--([a-z-]+)`)

// Each command and each flag that the help shows can be completed.
func TestCompletionKnowsTheWholeGrammar(t *testing.T) {
	t.Parallel()
	var script, help recorded
	run(t.Context(), []string{"completion", "bash"}, nil, strings.NewReader(""), &script.out, &script.err)
	for _, command := range []string{"run", "send", "dlq list", "dlq show", "dlq resubmit", "dlq export", "dlq purge", "why", "outcomes"} {
		help.out.Reset()
		run(t.Context(), append(strings.Fields(command), "--help"), nil, strings.NewReader(""), &help.out, &help.err)
		_, words, found := strings.Cut(script.out.String(), "\t'"+command+"') words='")
		words, _, _ = strings.Cut(words, "'")
		if !found {
			t.Errorf("%s is not in the script", command)
		}
		flags := flagLine.FindAllStringSubmatch(help.out.String(), -1)
		for _, f := range flags {
			if !strings.Contains(" "+words+" ", " --"+f[1]+" ") {
				t.Errorf("%s: --%s is missing", command, f[1])
			}
		}
		if len(flags) == 0 {
			t.Errorf("%s: no flags found in its help", command)
		}
	}
}
