package frames

// Close ends the connection (part 2 §2.7.9).
type Close struct {
	Error *Error
}

// Decode reads the fields.
func (c *Close) Decode(b []byte) (err error) {
	c.Error, err = errorField(b, "close")
	return err
}

func (c Close) append(b []byte) []byte { return appendErrorField(b, CodeClose, c.Error) }
