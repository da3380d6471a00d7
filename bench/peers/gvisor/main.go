// Command peer-gvisor measures gVisor's TCP as Debian packages it, for `./dev bench` (bench/README.md).
//
//	peer-gvisor [W1|W1z|W2|W2c|W3|W7|W4|W4r|W5|W5c]... [--seconds S]
//
// In memory two stacks are joined by a link that hands a packet over within the call that sends it; no byte
// is copied on the way. Everything runs on one core (GOMAXPROCS 1) and the processor time of the process is
// counted, the garbage collector's included. W4, W4r, W5 and W5c play with the kernel over a TUN device, in
// a network namespace of their own; the kernel's side is a goroutine of the same process, or wrk.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

const stackName = "gvisor"

func cannot(what string, err interface{}) {
	fmt.Fprintf(os.Stderr, "peer-gvisor: %s: %v\n", what, err)
	os.Exit(1)
}

// cpuSeconds is the processor time of this process.
func cpuSeconds() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		cannot("getrusage", err)
	}
	return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
}

func result(workload, what, unit string, value float64) {
	fmt.Printf("{\"workload\":%q,\"case\":%q,\"stack\":%q,\"unit\":%q,\"value\":%.6g}\n", workload, what,
		stackName, unit, value)
}

func main() {
	runtime.GOMAXPROCS(1)
	seconds, asked := 1.0, map[string]bool{}
	for n, word := range os.Args[1:] {
		if word == "--seconds" && n+2 < len(os.Args) {
			seconds, _ = strconv.ParseFloat(os.Args[n+2], 64)
		} else if strings.HasPrefix(word, "W") {
			asked[word] = true
		}
	}
	rows := []struct {
		name    string
		measure func(float64)
	}{
		{"W1", func(s float64) {
			bulk("W1", "64", 1500, false, 64*1460, s)
			bulk("W1", "700", 1500, false, 700*1460, s)
		}},
		{"W1z", func(s float64) { bulk("W1z", "", 65535, true, 1<<20, s) }},
		{"W2", func(s float64) { lives("W2", 1, s) }},
		{"W2c", func(s float64) { lives("W2c", 1000, s) }},
		{"W3", func(float64) { sizes() }},
		{"W7", flood},
		{"W4", func(s float64) { overTun("W4", s) }},
		{"W4r", func(s float64) { overTun("W4r", s) }},
		{"W5", func(s float64) { overTun("W5", s) }},
		{"W5c", func(s float64) { overTun("W5c", s) }},
	}
	for _, row := range rows {
		if len(asked) == 0 || asked[row.name] {
			row.measure(seconds)
		}
	}
}
