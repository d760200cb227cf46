package emulator

// standard blanks out what makes the text more than JSON: comments, and commas before a closing bracket. Everything
// keeps its place, so that a later error names the right one. What is wrong otherwise stays for the parser to find.
func standard(text []byte) []byte {
	out := append([]byte(nil), text...)
	comma := -1 // of the last token, if that was a comma
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case c == '"':
			i = endOfString(out, i)
			comma = -1
		case c == '/':
			if end := endOfComment(out, i); end > i {
				blank(out[i:end])
				i = end - 1
				continue
			}
			comma = -1
		case c == ',':
			comma = i
		case (c == '}' || c == ']') && comma >= 0:
			out[comma] = ' '
			comma = -1
		case c != ' ' && c != '\t' && c != '\n' && c != '\r':
			comma = -1
		}
	}
	return out
}

// endOfString returns the index of the quote that ends the string which starts at i, or of the last byte.
func endOfString(text []byte, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return min(i, len(text)-1)
}

// endOfComment returns the index behind the comment that starts at i, or i when none does.
func endOfComment(text []byte, i int) int {
	if i+1 >= len(text) {
		return i
	}
	switch text[i+1] {
	case '/':
		for i < len(text) && text[i] != '\n' {
			i++
		}
	case '*':
		for end := i + 2; end+1 < len(text); end++ {
			if text[end] == '*' && text[end+1] == '/' {
				return end + 2
			}
		}
	}
	return i
}

func blank(text []byte) {
	for i := range text {
		if text[i] != '\n' {
			text[i] = ' '
		}
	}
}
