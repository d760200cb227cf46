package batchtest

import (
	"net/http"
	"slices"
	"strings"
)

// endedJobs are the states of a job that refuse a terminate of its tasks.
var endedJobs = map[JobState]struct{ code, text string }{
	JobDisabling:   {"JobDisabled", "The job is disabled."},
	JobDisabled:    {"JobDisabled", "The job is disabled."},
	JobTerminating: {"JobBeingTerminated", "The job is being terminated."},
	JobCompleted:   {"JobCompleted", "The job is completed."},
	JobDeleting:    {"JobBeingDeleted", "The job is marked for deletion."},
}

// find resolves the request's ids. The account's mutex is held.
func (x *exchange) find() (*job, *TaskInfo, *response) {
	a := x.account
	j := a.jobs[fold(x.call.JobID)]
	if j == nil && a.auto {
		j = a.addJob(x.call.JobID)
	}
	if j == nil {
		resp := x.refusal(http.StatusNotFound, "JobNotFound", "The job named by the request does not exist.")
		return nil, nil, &resp
	}
	task := j.tasks[fold(x.call.TaskID)]
	if task == nil && a.auto {
		task = a.addTask(j, x.call.TaskID, TaskRunning)
	}
	if task == nil {
		resp := x.refusal(http.StatusNotFound, "TaskNotFound", "The task named by the request does not exist.")
		return j, nil, &resp
	}
	return j, task, nil
}

func (x *exchange) terminateTask() response {
	j, task, missing := x.find()
	if j != nil {
		if ended, ok := endedJobs[j.state]; ok {
			return x.refusal(http.StatusConflict, ended.code, ended.text)
		}
	}
	if missing != nil {
		return *missing
	}
	if resp := x.condition(task); resp != nil {
		return *resp
	}
	if task.State == TaskCompleted {
		return x.refusal(http.StatusConflict, "TaskCompleted", "The task is already completed.")
	}
	task.State = TaskCompleted
	task.Terminations++
	x.account.terminations[taskKey(task.JobID, task.ID)]++
	x.account.touch(task)
	x.call.Acted = true
	return response{status: http.StatusNoContent, header: http.Header{
		"Dataserviceid": {x.base() + "/jobs/" + task.JobID + "/tasks/" + task.ID + "/terminate"},
		"Etag":          {task.ETag},
		"Last-Modified": {task.LastModified.Format(http.TimeFormat)},
	}}
}

func (x *exchange) getTask() response {
	_, task, missing := x.find()
	if missing != nil {
		return *missing
	}
	if resp := x.condition(task); resp != nil {
		return *resp
	}
	properties := []struct{ name, value string }{
		{"id", task.ID},
		{"url", x.base() + "/jobs/" + task.JobID + "/tasks/" + task.ID},
		{"eTag", task.ETag},
		{"creationTime", task.CreationTime.Format("2006-01-02T15:04:05.0000000Z")},
		{"lastModified", task.LastModified.Format("2006-01-02T15:04:05.0000000Z")},
		{"state", string(task.State)},
	}
	selected := strings.Split(x.call.Query.Get("$select"), ",")
	body := []byte(`{"odata.metadata":` + quote(x.base()+"/$metadata#tasks/@Element"))
	for _, p := range properties {
		if selected[0] == "" || slices.Contains(selected, p.name) {
			body = append(body, ",\r\n  "+quote(p.name)+":"+quote(p.value)...)
		}
	}
	body = append(body, "\r\n}"...)
	return response{status: http.StatusOK, body: body, header: http.Header{
		"Content-Type":  {"application/json;odata=minimalmetadata"},
		"Etag":          {task.ETag},
		"Last-Modified": {task.LastModified.Format(http.TimeFormat)},
	}}
}

// strayChange carries out the harm that a request does which has lost its way.
func (x *exchange) strayChange() response {
	a := x.account
	j := a.jobs[fold(x.call.JobID)]
	if j == nil {
		return x.refusal(http.StatusNotFound, "JobNotFound", "The job named by the request does not exist.")
	}
	x.call.Acted = true
	switch x.call.Operation {
	case TerminateJob:
		j.state = JobTerminating
	case DeleteJob:
		delete(a.jobs, fold(x.call.JobID))
	case DeleteTask:
		delete(j.tasks, fold(x.call.TaskID))
		return response{status: http.StatusOK}
	}
	return response{status: http.StatusAccepted}
}
