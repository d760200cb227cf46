package handler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("request.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("request.json") // which holds it to the meta-schema that it names
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// disagreement returns "" where schema and decoder say the same of a body that is one JSON object.
func disagreement(s *jsonschema.Schema, body string) string {
	_, decoderSays := DecodeRequest([]byte(body))
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		return fmt.Sprintf("%s\nis no JSON: %v", body, err)
	}
	if schemaSays := s.Validate(value); (schemaSays == nil) != (decoderSays == nil) {
		return fmt.Sprintf("%s\ndecoder: %v\nschema: %v", body, decoderSays, schemaSays)
	}
	return ""
}

// What a sender has checked with the schema is not refused, and what is accepted here passes a sender's check. Bodies are
// drawn from what is right and from what is nearly right.
func TestSchemaAndDecoderAcceptTheSameBodies(t *testing.T) {
	t.Parallel()
	s := compiledSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		if d := disagreement(s, drawBody(t)); d != "" {
			t.Fatal(d)
		}
	})
}

// Each value is tried alone in an otherwise valid body, which chance would leave out, as it may leave out every body
// that is accepted.
func TestSchemaAndDecoderAcceptTheSameValues(t *testing.T) {
	t.Parallel()
	s := compiledSchema(t)
	accepted, refused := 0, 0
	for member, values := range memberValues {
		for _, value := range slices.Concat(values, strangers) {
			body := map[string]string{"jobId": `"nightly"`, "taskId": `"t-1"`}
			body[member] = value
			var members []string
			for name, v := range body {
				members = append(members, `"`+name+`": `+v)
			}
			text := "{" + strings.Join(members, ", ") + "}"
			if d := disagreement(s, text); d != "" {
				t.Error(d)
			}
			if _, err := DecodeRequest([]byte(text)); err == nil {
				accepted++
			} else {
				refused++
			}
		}
	}
	if accepted < 50 || refused < 50 {
		t.Errorf("%d bodies accepted and %d refused: that compares one side only", accepted, refused)
	}
}

// The ends of each month, in years that differ in their leap day or stand at the bounds; GMT shifts some over them.
func TestSchemaAndDecoderShareACalendar(t *testing.T) {
	t.Parallel()
	s := compiledSchema(t)
	months := strings.Fields("Nil Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec Und")
	for _, year := range []int{0, 1, 2, 4, 1900, 2000, 2023, 2024, 2100, 2400, 9996, 9999} {
		for month := range months {
			for day := range 33 {
				if day > 1 && day < 28 {
					continue
				}
				for _, date := range []string{fmt.Sprintf("%04d-%02d-%02dT23:59:59.9Z", year, month, day),
					fmt.Sprintf("%04d-%02d-%02dT00:00:00+14:00", year, month, day), fmt.Sprintf("%04d-%02d-%02dT23:00:00-12:00", year, month, day),
					fmt.Sprintf("Sat, %02d %s %04d 00:00:00 GMT", day, months[month], year)} {
					if d := disagreement(s, `{"jobId":"j","taskId":"t","ifModifiedSince":"`+date+`"}`); d != "" {
						t.Error(d)
					}
				}
			}
		}
	}
}

// What no schema can say, as its $comment tells: a lenient parser hides it from the schema, and the decoder refuses it.
func TestDecoderRefusesWhatNoSchemaCanSay(t *testing.T) {
	t.Parallel()
	const request = `"jobId": "j", "taskId": "t"`
	for what, body := range map[string]string{
		"at most 64 KiB":     `{` + request + strings.Repeat(" ", MaxBody) + `}`,
		"UTF-8":              `{` + request + `, "reason": "` + "\xff" + `"}`,
		"nothing behind it":  `{` + request + `} {}`,
		"member is repeated": `{` + request + `, "taskId": "t"}`,
	} {
		if _, err := DecodeRequest([]byte(body)); err == nil {
			t.Errorf("%s: accepted", what)
		}
		if !strings.Contains(Schema(), what) {
			t.Errorf("the schema does not tell: %s", what)
		}
	}
	refused := newHandler(t, &account{t: t}).Handle(t.Context(), message(`"endpoint": "https://elsewhere.example"`))
	if refused.Outcome != EndpointNotAllowed || !strings.Contains(Schema(), "allow-list") {
		t.Errorf("%v, and the schema must tell of the allow-list", refused.Outcome)
	}
}

// repeated is a string of a length, for the bounds and one beyond.
func repeated(s string, n int) string { return `"` + strings.Repeat(s, n) + `"` }

var (
	ids    = []string{`"nightly"`, `"A-b_9"`, repeated("x", 64), repeated("x", 65), `""`, `"."`, `".."`, `"a/b"`, `"a\n"`, `"\u0061"`, `"\u00e4"`, `"a%2e"`, `"a b"`}
	etags  = []string{`"0x8DCF3C953387E09"`, `"\"0x1\""`, `"*"`, repeated("~", 256), repeated("~", 257), `""`, `"a b"`, `"a\u007f"`, `"\u00fc"`, `"a\n"`}
	audits = []string{`""`, `"superseded"`, repeated("x", 256), repeated("x", 257), repeated("ü", 256), repeated("ü", 257), repeated("\U0001F600", 256), repeated("\U0001F600", 257), `"\ud83d\ude00\u0000"`}
	dates  = []string{`"2026-01-31T17:00:00Z"`, `"2026-01-31T17:00:00.123456789012+05:30"`, `"2026-02-29T00:00:00Z"`, `"2024-02-29T00:00:00Z"`, `"2026-01-31t17:00:00z"`, `"2026-01-31 17:00:00Z"`,
		`"2026-01-31T24:00:00Z"`, `"2026-01-31T17:00:60Z"`, `"2026-01-31T17:60:00Z"`, `"2026-01-31T17:00:00"`, `"2026-01-31T17:00:00,5Z"`, `"2026-01-31T17:00:00.Z"`, `"2026-01-31T7:00:00Z"`, `"2026-01-31T17:00Z"`,
		`"2026-01-31T17:00:00+24:00"`, `"2026-01-31T17:00:00+23:59"`, `"2026-01-31T17:00:00+00:60"`, `"2026-01-31T17:00:00-00:00"`, `"2026-01-31T17:00:00+0530"`, `"2026-01-31T17:00:00Z "`, `"2026-01-31T17:00:00Z\n"`,
		`"0001-01-01T00:00:00Z"`, `"0002-01-01T00:30:00+01:00"`, `"0002-01-01T00:00:00Z"`, `"9999-12-31T23:59:59.9999999Z"`, `"9999-12-31T23:59:59-08:00"`, `"10000-01-01T00:00:00Z"`, `"٢٠٢٦-01-31T17:00:00Z"`,
		`"Sat, 31 Jan 2026 17:00:00 GMT"`, `"Mon, 31 Jan 2026 17:00:00 GMT"`, `"Sat, 31 Feb 2026 17:00:00 GMT"`, `"sat, 31 jan 2026 17:00:00 gmt"`, `"SAT, 31 JAN 2026 17:00:00 GMT"`, `"Sat, 1 Jan 2026 17:00:00 GMT"`, `"Sat,31 Jan 2026 17:00:00 GMT"`,
		`"Sat, 31 Jan 2026 17:00:00.5 GMT"`, `"Sat, 31 Jan 2026 7:00:00 GMT"`, `"Sat, 31 Jan 2026 17:00:00 UTC"`, `"Saturday, 31-Jan-26 17:00:00 GMT"`, `"Sat Jan 31 17:00:00 2026"`, `""`, `"now"`}
	// strangers are wrong for every member, or right for few.
	strangers = []string{`null`, `true`, `false`, `0`, `5`, `"5"`, `[]`, `{}`, `["nightly"]`, `{"jobId": "nightly"}`, `"x"`, `""`}

	memberValues = map[string][]string{
		"jobId":    append([]string{`"w:job-1"`, `"w:job-0"`, `"w:job-01"`, `"w:job-9999999999"`, `"w:job-10000000000"`, `"w:job-"`, `":job-1"`, `"w:Job-1"`, `"w:job-1:job-2"`}, ids...),
		"taskId":   append([]string{`"w:job-1"`}, ids...),
		"endpoint": {`"https://contoso.westeurope.batch.azure.com"`, `" "`, `"ü"`},
		"timeOut": {`1`, `30`, `31`, `-1`, `-0`, `5.0`, `5.5`, `1e1`, `3E+1`, `300e-1`, `3e-1`, `31e0`, `0.5e1`, `5.0000000000000000000000001`, `29.99999999999999999999999`,
			`30.00000000000000000001`, `0.99999999999999999999`, `4294967301`, `18446744073709551617`, `1e30`, `0.00000000000000000005e20`},
		"ifMatch": etags, "ifNoneMatch": etags,
		"ifModifiedSince": dates, "ifUnmodifiedSince": dates, "createdBefore": dates,
		"clientRequestId": {`"` + guid + `"`, `"0F3C1D52-6A7E-4B58-9A44-2D1C8E5B7F10"`, `"{0f3c1d52-6a7e-4b58-9a44-2d1c8e5b7f10}"`, `"0f3c1d526a7e4b589a442d1c8e5b7f10"`, `"0f3c1d52-6a7e-4b58-9a44-2d1c8e5b7f1g"`, `"urn:uuid:` + guid + `"`},
		"reason":          audits, "requestedBy": audits,
		"JobId": {`"nightly"`}, "taskid": {`"t-1"`}, "ifmatch": {`"0x1"`}, "timeout": {`5`}, "": {`1`}, "taskId ": {`"t-1"`}, "__proto__": {`{}`},
	}
)

// drawBody writes the required members most of the time, some of the others, and now and then one that does not belong.
func drawBody(t *rapid.T) string {
	optional := []string{"endpoint", "timeOut", "ifMatch", "ifNoneMatch", "ifModifiedSince", "ifUnmodifiedSince", "createdBefore", "clientRequestId", "reason", "requestedBy"}
	foreign := []string{"JobId", "taskid", "ifmatch", "timeout", "", "taskId ", "__proto__"}
	names := rapid.SliceOfNDistinct(rapid.SampledFrom(optional), 0, 4, rapid.ID[string]).Draw(t, "optional members")
	for _, required := range []string{"jobId", "taskId"} {
		if rapid.IntRange(0, 19).Draw(t, "leave out "+required) > 0 {
			names = append(names, required)
		}
	}
	if rapid.IntRange(0, 19).Draw(t, "foreign member") == 0 {
		names = append(names, rapid.SampledFrom(foreign).Draw(t, "foreign"))
	}
	names = rapid.Permutation(names).Draw(t, "order")
	members := make([]string, len(names))
	for i, name := range names {
		members[i] = `"` + name + `": ` + drawValue(t, name)
	}
	return "{" + strings.Join(members, ",") + "}"
}

// drawValue takes the first value, which is right, two times of three.
func drawValue(t *rapid.T, member string) string {
	values := memberValues[member]
	switch rapid.IntRange(0, 29).Draw(t, "kind of "+member) {
	case 0:
		return rapid.SampledFrom(strangers).Draw(t, member)
	case 1, 2, 3, 4, 5, 6, 7:
		return rapid.SampledFrom(values).Draw(t, member)
	case 8:
		return jsonString(rapid.StringMatching(`[A-Za-z0-9_.:/ -]{0,70}`).Draw(t, member))
	case 9:
		return jsonString(rapid.StringMatching(`[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,10})?(Z|[+-][0-2][0-9]:[0-6][0-9])`).Draw(t, member))
	case 10:
		return rapid.StringMatching(`-?(0|[1-9][0-9]{0,2})(\.[0-9]{1,3})?([eE][+-]?[0-9])?`).Draw(t, member)
	}
	return values[0]
}
