package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown behind the command's one-line help.
func (completionCommand) Help() string {
	return `Prints a script that completes commands, flags and fixed values. For the shell that is open:

  source <(batch-terminator completion bash)

  source <(batch-terminator completion zsh)

  batch-terminator completion fish | source

For all later ones put the script where the shell looks, such as /etc/bash_completion.d/batch-terminator, a file _batch-terminator in a folder of zsh's $fpath, or ~/.config/fish/completions/batch-terminator.fish.`
}

func (c completionCommand) run(std streams, model *kong.Application) error {
	script := map[string]func([]place) string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell]
	_, err := io.WriteString(std.out, script(places(model.Node, "")))
	return err
}

// place is a command on the way to which something can be completed.
type place struct {
	path  string // as it is typed, without the program
	words []word // what may come next: commands, flags, the values of an argument
}

// word is one completion.
type word struct {
	text, short, help string
	flag, takes       bool
	values            []string // that a flag takes
}

// places walks the grammar.
func places(node *kong.Node, path string) (all []place) {
	here := place{path: path}
	for _, child := range node.Children {
		here.words = append(here.words, word{text: child.Name, help: child.Help})
	}
	for _, argument := range node.Positional {
		for _, v := range choices(argument) {
			here.words = append(here.words, word{text: v})
		}
	}
	for _, f := range flags(node) {
		w := word{text: "--" + f.Name, help: f.Help, flag: true, takes: !f.IsBool(), values: choices(f.Value)}
		if f.Short != 0 {
			w.short = "-" + string(f.Short)
		}
		here.words = append(here.words, w)
	}
	all = append(all, here)
	for _, child := range node.Children {
		all = append(all, places(child, strings.TrimSpace(path+" "+child.Name))...)
	}
	return all
}

// flags are those of a node and of the nodes above it.
func flags(node *kong.Node) (all []*kong.Flag) {
	for ; node != nil; node = node.Parent {
		for _, f := range node.Flags {
			if !f.Hidden {
				all = append(all, f)
			}
		}
	}
	return all
}

func choices(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return strings.Split(v.Enum, ",")
}

// paths are the commands as a shell's pattern.
func paths(all []place) string {
	var p []string
	for _, at := range all {
		if at.path != "" {
			p = append(p, quote(at.path))
		}
	}
	return strings.Join(p, "|")
}

// quote makes a word of a text for all three shells: fish alone escapes within single quotes.
func quote(s string) string { return "'" + strings.NewReplacer("'", "’", `\`, `/`).Replace(s) + "'" }

// takers are the patterns "path flag" of the flags that take a value, with the values to offer.
func takers(all []place) (cases []string) {
	for _, at := range all {
		for _, w := range at.words {
			if !w.takes {
				continue
			}
			pattern := quote(at.path + " " + w.text)
			if w.short != "" {
				pattern += "|" + quote(at.path+" "+w.short)
			}
			cases = append(cases, pattern+") values="+quote(strings.Join(w.values, " "))+" ;;")
		}
	}
	return cases
}

func bashScript(all []place) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Completion of batch-terminator for bash. Made by "batch-terminator completion bash".
_batch_terminator() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= next i values words
	for ((i = 1; i < COMP_CWORD; i++)); do
		next="${at:+$at }${COMP_WORDS[i]}"
		case $next in
		%s) at=$next ;;
		esac
	done
	if [[ $cur == "=" ]]; then
		cur=
	elif [[ $prev == "=" ]]; then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	values=none
	case "$at $prev" in
	%s
	esac
	if [[ $values != none ]]; then
		COMPREPLY=($(compgen -W "$values" -- "$cur"))
		return
	fi
	case $at in
`, paths(all), strings.Join(takers(all), "\n\t"))
	for _, at := range all {
		fmt.Fprintf(&b, "\t%s) words=%s ;;\n", quote(at.path), quote(strings.Join(texts(at), " ")))
	}
	b.WriteString("\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _batch_terminator batch-terminator\n")
	return b.String()
}

func texts(at place) (all []string) {
	for _, w := range at.words {
		all = append(all, w.text)
	}
	return all
}

func zshScript(all []place) string {
	var b strings.Builder
	fmt.Fprintf(&b, `#compdef batch-terminator
# Completion of batch-terminator for zsh. Made by "batch-terminator completion zsh".
_batch_terminator() {
	local at= next i values=none
	local -a found
	for ((i = 2; i < CURRENT; i++)); do
		next="${at:+$at }${words[i]}"
		case $next in
		(%s) at=$next ;;
		esac
	done
	if [[ $PREFIX == --*=* ]]; then
		next="$at ${PREFIX%%%%=*}"
		compset -P '*='
	else
		next="$at ${words[CURRENT-1]}"
	fi
	case $next in
	(%s
	esac
	if [[ $values != none ]]; then
		compadd -- ${(s: :)values}
		return
	fi
	case $at in
`, paths(all), strings.Join(takers(all), "\n\t("))
	for _, at := range all {
		var described []string
		for _, w := range at.words {
			described = append(described, quote(strings.ReplaceAll(w.text, ":", `\:`)+":"+firstSentence(w.help)))
		}
		fmt.Fprintf(&b, "\t(%s) found=(%s) ;;\n", quote(at.path), strings.Join(described, " "))
	}
	b.WriteString("\tesac\n\t_describe -o 'batch-terminator' found\n}\nif [[ $funcstack[1] == _batch_terminator || $funcstack[1] == _batch-terminator ]]; then\n\t_batch_terminator \"$@\"\nelse\n\tcompdef _batch_terminator batch-terminator\nfi\n")
	return b.String()
}

func fishScript(all []place) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Completion of batch-terminator for fish. Made by "batch-terminator completion fish".
function __batch_terminator_at
    set -l at
    for word in (commandline -opc)[2..-1]
        switch (string join ' ' -- $at $word)
            case %s
                set -a at $word
        end
    end
    test "$at" = "$argv[1]"
end
complete -c batch-terminator -f
`, strings.ReplaceAll(paths(all), "|", " "))
	for _, at := range all {
		for _, w := range at.words {
			fmt.Fprintf(&b, "complete -c batch-terminator -n \"__batch_terminator_at %s\"", quote(at.path))
			switch {
			case !w.flag:
				fmt.Fprintf(&b, " -a %s", quote(w.text))
			default:
				fmt.Fprintf(&b, " -l %s", strings.TrimPrefix(w.text, "--"))
				if w.short != "" {
					fmt.Fprintf(&b, " -s %s", strings.TrimPrefix(w.short, "-"))
				}
			}
			if w.takes {
				fmt.Fprintf(&b, " -x -a %s", quote(strings.Join(w.values, " ")))
			}
			if w.help != "" {
				fmt.Fprintf(&b, " -d %s", quote(firstSentence(w.help)))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// firstSentence keeps a help short enough for a list.
func firstSentence(help string) string {
	for _, end := range []string{". ", "; ", ": "} {
		help, _, _ = strings.Cut(help, end)
	}
	return strings.TrimSuffix(help, ".")
}
