package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Series describes one metric of the page.
type Series struct {
	// Name is the whole name, prefix included. Type is counter, gauge or histogram.
	Name, Type string
	Labels     []string
	// Help is what it means. Do is what a person does about it.
	Help, Do string
}

// All describes every series of the worker's own, in the order of the page.
func All() []Series {
	_, all := build(prometheus.NewRegistry(), "", nil)
	return all
}

// page registers series and keeps what they mean. It panics on a name that is taken, as the registerer's own Must methods do.
type page struct {
	register prometheus.Registerer
	all      []Series
}

func (p *page) add(kind, name, help, do string, labels []string) {
	p.all = append(p.all, Series{Name: namespace + "_" + name, Type: kind, Labels: labels, Help: help, Do: do})
}

func (p *page) counter(name, help, do string, labels ...string) *prometheus.CounterVec {
	p.add("counter", name, help, do, labels)
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	p.register.MustRegister(v)
	return v
}

func (p *page) gauge(name, help, do string, labels ...string) *prometheus.GaugeVec {
	p.add("gauge", name, help, do, labels)
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	p.register.MustRegister(v)
	return v
}

// histogram has native buckets, a tenth wide, beside the classic ones: who scrapes with protobuf gets both. The number of the
// native ones is bounded by starting over, at most once an hour, which a rate takes for a restart.
func (p *page) histogram(name, help, do string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	p.add("histogram", name, help, do, labels)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	}, labels)
	p.register.MustRegister(v)
	return v
}
