package filter

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLikeOnTexts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		s, pattern, escape string
		want               bool
	}{
		{"abc", "abc", "", true}, {"abc", "ab", "", false}, {"ab", "abc", "", false}, {"abc", "%", "", true}, {"", "%%", "", true},
		{"abc", "%c", "", true}, {"abcc", "%c", "", true}, {"abcb", "a%b", "", true}, {"aab", "%ab", "", true}, {"abab", "%ab%ab", "", true},
		{"ababx", "%ab%ab", "", false}, {"abc", "___", "", true}, {"abc", "____", "", false}, {"世界", "_界", "", true}, {"a\nb", "a%b", "", true},
		{"100%", "100\\%", "\\", true}, {"1000", "100\\%", "\\", false}, {"a_b", "a__b", "_", true}, {"axb", "a__b", "_", false},
		{"mississippi", "m%iss%ip%i", "", true}, {strings.Repeat("a", 1000), strings.Repeat("a%", 200) + "b", "", false},
	} {
		pattern, err := compilePattern(test.pattern, test.escape)
		if err != nil || like(test.s, pattern) != test.want {
			t.Errorf("%.20q LIKE %.20q ESCAPE %q is not %v (%v)", test.s, test.pattern, test.escape, test.want, err)
		}
	}
}

func TestLikeAgreesWithARegularExpression(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[ab世]{0,8}`).Draw(t, "s")
		pattern := rapid.StringMatching(`[ab世%_]{0,8}`).Draw(t, "pattern")
		expr := strings.NewReplacer("%", "(?s:.*)", "_", "(?s:.)").Replace(pattern)
		want := regexp.MustCompile("^" + expr + "$").MatchString(s)
		compiled, err := compilePattern(pattern, "")
		if err != nil || like(s, compiled) != want {
			t.Fatalf("%q LIKE %q is not %v (%v)", s, pattern, want, err)
		}
	})
}
