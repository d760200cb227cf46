package batchtest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// JobState is the state of a job, in the service's spelling.
type JobState string

// The states of a job.
const (
	JobActive      JobState = "active"
	JobDisabling   JobState = "disabling"
	JobDisabled    JobState = "disabled"
	JobEnabling    JobState = "enabling"
	JobTerminating JobState = "terminating"
	JobCompleted   JobState = "completed"
	JobDeleting    JobState = "deleting"
)

// TaskState is the state of a task, in the service's spelling.
type TaskState string

// The states of a task.
const (
	TaskActive    TaskState = "active"
	TaskPreparing TaskState = "preparing"
	TaskRunning   TaskState = "running"
	TaskCompleted TaskState = "completed"
)

// TaskInfo is a task as a test sees it.
type TaskInfo struct {
	JobID, ID    string // as first written
	State        TaskState
	ETag         string
	CreationTime time.Time
	LastModified time.Time
	Terminations int // how often a terminate has acted on this incarnation
}

// Account is one simulated Batch account. It is safe for concurrent use.
type Account struct {
	host     string // of the in-memory endpoint
	auto     bool   // unknown jobs and tasks come into being, running
	versions map[string]bool
	pipes    *pipeListener

	mu           sync.Mutex // guards all below
	jobs         map[string]*job
	terminations map[string]int // by task key; survives the task
	changes      uint64         // gives each change its ETag
	requests     uint64         // gives each request its id
	rules        []*Rule        // in the order they were added
	accept       func(token string) bool
	log          callLog
	inFlight     int
	maxInFlight  int
	memory       *server           // behind Client, accepting from pipes; nil until it is called
	transports   []*http.Transport // of the clients given out
	servers      []*Server
	closed       bool

	closing  chan struct{}  // closed by Close: ends every wait in a handler
	handlers sync.WaitGroup // ServeHTTP calls under way
}

type job struct {
	id    string
	state JobState
	tasks map[string]*TaskInfo
}

// Option is a setting of New.
type Option func(*Account)

// WithHost names the account's in-memory endpoint.
// Default: contoso.westeurope.batch.azure.com.
func WithHost(host string) Option { return func(a *Account) { a.host = strings.ToLower(host) } }

// AutoCreate makes unknown jobs and tasks come into being, active and running,
// when a request names them. By default they are JobNotFound and TaskNotFound.
func AutoCreate() Option { return func(a *Account) { a.auto = true } }

// RememberCalls sets how many calls are kept, the latest ones. Default: 65536.
// Counters go on without them.
func RememberCalls(n int) Option { return func(a *Account) { a.log.limit = n } }

// WithAPIVersions sets the versions the account answers to.
// Default: 2025-06-01.
func WithAPIVersions(versions ...string) Option {
	return func(a *Account) {
		a.versions = make(map[string]bool)
		for _, v := range versions {
			a.versions[v] = true
		}
	}
}

// New returns an account without jobs. It starts no goroutine.
func New(opts ...Option) *Account {
	a := &Account{
		host:         "contoso.westeurope.batch.azure.com",
		versions:     map[string]bool{"2025-06-01": true},
		pipes:        newPipeListener(),
		jobs:         make(map[string]*job),
		terminations: make(map[string]int),
		accept:       func(string) bool { return true },
		log:          callLog{limit: 1 << 16},
		closing:      make(chan struct{}),
	}
	for _, opt := range opts {
		opt(a)
	}
	return a
}

var _ http.Handler = (*Account)(nil)

// AddJob adds a job, or sets the state of one that exists.
func (a *Account) AddJob(jobID string, state JobState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addJob(jobID).state = state
}

// AddTask adds a task, and its job if there is none. A task that exists is
// replaced by a new incarnation: new creation time, new ETag.
func (a *Account) AddTask(jobID, taskID string, state TaskState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addTask(a.addJob(jobID), taskID, state)
}

// SetTaskState moves a task to another state, as a node or a reactivation would.
// It reports whether there is such a task.
func (a *Account) SetTaskState(jobID, taskID string, state TaskState) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	task := a.task(jobID, taskID)
	if task == nil {
		return false
	}
	task.State = state
	a.touch(task)
	return true
}

// DeleteTask removes a task, if it is there.
func (a *Account) DeleteTask(jobID, taskID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if j := a.jobs[fold(jobID)]; j != nil {
		delete(j.tasks, fold(taskID))
	}
}

// DeleteJob removes a job and its tasks, if it is there.
func (a *Account) DeleteJob(jobID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.jobs, fold(jobID))
}

// Job returns the state of a job.
func (a *Account) Job(jobID string) (JobState, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if j := a.jobs[fold(jobID)]; j != nil {
		return j.state, true
	}
	return "", false
}

// Task returns a task as it is now.
func (a *Account) Task(jobID, taskID string) (TaskInfo, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if task := a.task(jobID, taskID); task != nil {
		return *task, true
	}
	return TaskInfo{}, false
}

// Terminations returns how often a Terminate Task has acted on a task of this
// name, over all its incarnations.
func (a *Account) Terminations(jobID, taskID string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.terminations[taskKey(jobID, taskID)]
}

// AcceptTokens sets which bearer tokens pass; nil means all.
func (a *Account) AcceptTokens(accept func(token string) bool) {
	if accept == nil {
		accept = func(string) bool { return true }
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accept = accept
}

// The methods below need a.mu.

func (a *Account) addJob(jobID string) *job {
	j := a.jobs[fold(jobID)]
	if j == nil {
		j = &job{id: jobID, state: JobActive, tasks: make(map[string]*TaskInfo)}
		a.jobs[fold(jobID)] = j
	}
	return j
}

func (a *Account) addTask(j *job, taskID string, state TaskState) *TaskInfo {
	task := &TaskInfo{JobID: j.id, ID: taskID, State: state, CreationTime: time.Now().UTC()}
	a.touch(task)
	j.tasks[fold(taskID)] = task
	return task
}

func (a *Account) task(jobID, taskID string) *TaskInfo {
	if j := a.jobs[fold(jobID)]; j != nil {
		return j.tasks[fold(taskID)]
	}
	return nil
}

// touch gives a changed task its new ETag, unquoted as the service's are.
func (a *Account) touch(task *TaskInfo) {
	a.changes++
	task.ETag = fmt.Sprintf("0x8DD%012X", a.changes)
	task.LastModified = time.Now().UTC()
}

// fold is the identity of an id: the service preserves case and ignores it.
func fold(id string) string { return strings.ToLower(id) }

func taskKey(jobID, taskID string) string { return fold(jobID) + "/" + fold(taskID) }
