package frames

// Descriptor codes (part 2 §2.7, part 3, part 4, part 5).
const (
	CodeOpen        = 0x10
	CodeBegin       = 0x11
	CodeAttach      = 0x12
	CodeFlow        = 0x13
	CodeTransfer    = 0x14
	CodeDisposition = 0x15
	CodeDetach      = 0x16
	CodeEnd         = 0x17
	CodeClose       = 0x18

	codeError = 0x1d

	CodeReceived      = 0x23
	CodeAccepted      = 0x24
	CodeRejected      = 0x25
	CodeReleased      = 0x26
	CodeModified      = 0x27
	codeSource        = 0x28
	codeTarget        = 0x29
	codeCoordinator   = 0x30
	CodeTransactional = 0x34

	CodeSASLMechanisms = 0x40
	CodeSASLInit       = 0x41
	CodeSASLOutcome    = 0x44
)

// Link roles (part 2 §2.8.1).
const (
	RoleSender   = false
	RoleReceiver = true
)

// Settle modes (part 2 §2.8.2, §2.8.3).
const (
	SenderUnsettled uint8 = 0
	SenderSettled   uint8 = 1
	SenderMixed     uint8 = 2

	ReceiverFirst  uint8 = 0
	ReceiverSecond uint8 = 1
)
