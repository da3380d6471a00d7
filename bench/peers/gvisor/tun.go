package main

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/tun"
)

const within = "PEER_GVISOR_NAMESPACE" // set in the process that lives in the namespace

// overTun starts this program again in a network namespace of its own.
func overTun(row string, seconds float64) {
	if os.Getenv(within) == "" {
		c := exec.Command("/proc/self/exe", os.Args[1:]...)
		c.Args = []string{os.Args[0], row, "--seconds", strconv.FormatFloat(seconds, 'f', 3, 64)}
		c.Env = append(os.Environ(), within+"=1")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if err := c.Run(); err != nil {
			cannot("a namespace for "+row, err)
		}
		return
	}
	fd, err := tun.Open("tun0")
	if err != nil {
		cannot("TUN", err)
	}
	for _, words := range [][]string{{"addr", "add", "192.0.2.1/24", "dev", "tun0"}, {"link", "set", "tun0", "up"}} {
		if out, err := exec.Command("ip", words...).CombinedOutput(); err != nil {
			cannot("ip", string(out))
		}
	}
	syscall.SetNonblock(fd, true)
	link, err := fdbased.New(&fdbased.Options{FDs: []int{fd}, MTU: 1500})
	if err != nil {
		cannot("link", err)
	}
	l := listen(newStack(link, 2, 4<<20, time.Second), 2)
	if strings.HasPrefix(row, "W5") {
		web(row, l, seconds)
		return
	}
	kernel, err := net.Dial("tcp", "192.0.2.2:80")
	if err != nil {
		cannot("connect", err)
	}
	cubic(kernel)
	from, to := net.Conn(kernel), accept(l)
	if row == "W4r" {
		from, to = to, from
	}
	stream(row, from, to, seconds)
}

// web answers wrk with 128 bytes, for a whole second at least, since wrk knows no other.
func web(row string, l *gonet.TCPListener, seconds float64) {
	closes, argv := "", []string{"-t1", "-c64", fmt.Sprintf("-d%ds", int(math.Max(1, math.Round(seconds))))}
	if row == "W5c" {
		closes = "Connection: close\r\n"
		argv = append(argv, "-H", "Connection: close")
	}
	text := "HTTP/1.1 200 OK\r\nContent-Length: 128\r\n" + closes + "\r\n" + strings.Repeat("x", 128)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answer(c, []byte(text), closes != "")
		}
	}()
	wrk := exec.Command("wrk", append(argv, "http://192.0.2.2/")...)
	start := cpuSeconds()
	said, err := wrk.CombinedOutput()
	found := regexp.MustCompile(`(\d+) requests in`).FindSubmatch(said)
	if err != nil || found == nil {
		cannot("wrk", string(said))
	}
	used := cpuSeconds() - start + wrk.ProcessState.UserTime().Seconds() + wrk.ProcessState.SystemTime().Seconds()
	requests, _ := strconv.Atoi(string(found[1]))
	result(row, "", "requests/cpu-s", float64(requests)/used)
}

func answer(c net.Conn, text []byte, closes bool) {
	defer c.Close()
	for request, held := make([]byte, 4096), 0; held < len(request); {
		n, err := c.Read(request[held:])
		if err != nil {
			return
		}
		if held += n; bytes.HasSuffix(request[:held], []byte("\r\n\r\n")) {
			if _, err := c.Write(text); err != nil || closes {
				return
			}
			held = 0
		}
	}
}

func cubic(c net.Conn) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) {
			const tcpCongestion = 13
			err = syscall.SetsockoptString(int(fd), syscall.IPPROTO_TCP, tcpCongestion, "cubic")
		})
	}
	if err != nil {
		cannot("CUBIC", err)
	}
}

func stream(row string, from, to net.Conn, seconds float64) {
	go func() {
		for in := make([]byte, 1<<16); ; {
			if _, err := from.Write(in); err != nil {
				return
			}
		}
	}()
	total, out, start := 0, make([]byte, 1<<18), 0.0
	for used := 0.0; used < seconds; {
		n, err := to.Read(out)
		if err != nil {
			cannot("read", err)
		}
		if total += n; start == 0 && total > 1<<22 { // the first 4 MiB warm up
			start, total = cpuSeconds(), 0
		}
		if start != 0 {
			used = cpuSeconds() - start
		}
	}
	result(row, "", "Gbit/s", float64(total)*8/(cpuSeconds()-start)/1e9)
}
