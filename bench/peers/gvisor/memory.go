package main

import (
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/bufferv2"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const port = 80

// wire is one end of the link between two stacks.
type wire struct {
	*pipe.Endpoint
	offload bool
}

// Capabilities says who makes and verifies checksums.
func (w *wire) Capabilities() stack.LinkEndpointCapabilities {
	if w.offload {
		return stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload
	}
	return 0
}

// blackHole counts what a stack sends, and delivers nothing.
type blackHole struct {
	*pipe.Endpoint
	sent uint64
}

func (b *blackHole) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	b.sent += uint64(pkts.Len())
	return pkts.Len(), nil
}

func address(host byte) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: 1, Addr: tcpip.Address([]byte{192, 0, 2, host}), Port: port}
}

func newStack(link stack.LinkEndpoint, host byte, window int, timeWait time.Duration) *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	sack, wait := tcpip.TCPSACKEnabled(true), tcpip.TCPTimeWaitTimeoutOption(timeWait)
	moderate := tcpip.TCPModerateReceiveBufferOption(false)
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: 2 * window, Max: 8 << 20}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 2 * window, Max: 8 << 20}
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &wait, &moderate, &send, &receive} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			cannot("option", err)
		}
	}
	if err := s.CreateNIC(1, link); err != nil {
		cannot("link", err)
	}
	here := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(host).Addr, PrefixLen: 24},
	}
	if err := s.AddProtocolAddress(1, here, stack.AddressProperties{}); err != nil {
		cannot("address", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	return s
}

func pair(mtu uint32, offload bool, window int, timeWait time.Duration) (*stack.Stack, *stack.Stack) {
	one, two := pipe.New("", "", mtu)
	return newStack(&wire{one, offload}, 1, window, timeWait), newStack(&wire{two, offload}, 2, window, timeWait)
}

func listen(s *stack.Stack, host byte) *gonet.TCPListener {
	var queue waiter.Queue
	ep, err := s.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		cannot("endpoint", err)
	}
	if err := ep.Bind(address(host)); err != nil {
		cannot("bind", err)
	}
	if err := ep.Listen(65535); err != nil {
		cannot("listen", err)
	}
	return gonet.NewTCPListener(s, &queue, ep)
}

func dial(s *stack.Stack, host byte) *gonet.TCPConn {
	c, err := gonet.DialTCP(s, address(host), ipv4.ProtocolNumber)
	if err != nil {
		cannot("connect", err)
	}
	return c
}

func accept(l *gonet.TCPListener) net.Conn {
	c, err := l.Accept()
	if err != nil {
		cannot("accept", err)
	}
	return c
}

// bulk writes a window, and waits until all of it has been read.
func bulk(row, what string, mtu uint32, offload bool, window int, seconds float64) {
	a, b := pair(mtu, offload, window, time.Second)
	l := listen(b, 2)
	c, in := dial(a, 2), make([]byte, window)
	s, out := accept(l), make([]byte, window)
	read := make(chan int)
	go func() {
		for {
			n, err := io.ReadFull(s, out)
			if err != nil {
				close(read)
				return
			}
			read <- n
		}
	}()
	round := func() int {
		if _, err := c.Write(in); err != nil {
			cannot("write", err)
		}
		return <-read
	}
	for warm := 0; warm < 20; warm++ {
		round()
	}
	total, start, used := 0, cpuSeconds(), 0.0
	for used < seconds {
		for k := 0; k < 8; k++ {
			total += round()
		}
		used = cpuSeconds() - start
	}
	result(row, what, "Gbit/s", float64(total)*8/used/1e9)
	c.Close()
}

func serve(l *gonet.TCPListener) {
	for {
		s, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			buffer := make([]byte, 64)
			if _, err := io.ReadFull(s, buffer); err == nil {
				s.Write(buffer)
				s.Read(buffer)
			}
			s.Close()
		}()
	}
}

func life(a *stack.Stack, buffer []byte) {
	c := dial(a, 2)
	if _, err := c.Write(buffer); err != nil {
		cannot("write", err)
	}
	if _, err := io.ReadFull(c, buffer); err != nil {
		cannot("read", err)
	}
	c.Close()
}

// lives: as many loops as lives at once; who is in TIME_WAIT goes after 20 ms.
func lives(row string, together int, seconds float64) {
	a, b := pair(1500, false, 65536, 20*time.Millisecond)
	go serve(listen(b, 2))
	var all sync.WaitGroup
	done, start := make([]int, together), cpuSeconds()
	for k := 0; k < together; k++ {
		all.Add(1)
		go func(k int) {
			defer all.Done()
			for buffer := make([]byte, 64); cpuSeconds()-start < seconds; done[k]++ {
				life(a, buffer)
			}
		}(k)
	}
	all.Wait()
	used, total := cpuSeconds()-start, 0
	for _, n := range done {
		total += n
	}
	result(row, "", "lives/cpu-s", float64(total)/used)
}

// inUse is what the program's memory holds, goroutines and all.
func inUse() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

func sizes() {
	const n = 2000
	a, b := pair(1500, false, 65536, time.Minute)
	l := listen(b, 2)
	c, s := make([]net.Conn, n), make([]net.Conn, n)
	before := inUse()
	for k := range c {
		c[k] = dial(a, 2)
		s[k] = accept(l)
	}
	result("W3", "established", "bytes", (inUse()-before)/(2*n))
	for k := range c {
		c[k].Close()
		s[k].Read(make([]byte, 1)) // the client's FIN
		s[k].Close()
		c[k], s[k] = nil, nil
	}
	time.Sleep(200 * time.Millisecond)
	result("W3", "time-wait", "bytes", (inUse()-before)/n)
	halfOpen()
}

func syn(n uint32) stack.PacketBufferPtr {
	packet := make([]byte, header.IPv4MinimumSize+header.TCPMinimumSize+4)
	ip, from := header.IPv4(packet), tcpip.Address([]byte{198, byte(18 + n>>16&1), byte(n >> 8), byte(n)})
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(packet)), TTL: 64, Protocol: uint8(tcp.ProtocolNumber),
		SrcAddr: from, DstAddr: address(2).Addr})
	ip.SetChecksum(^ip.CalculateChecksum())
	segment := header.TCP(packet[header.IPv4MinimumSize:])
	segment.Encode(&header.TCPFields{SrcPort: uint16(1024 + n>>17), DstPort: port, SeqNum: n,
		DataOffset: header.TCPMinimumSize + 4, Flags: header.TCPFlagSyn, WindowSize: 65535})
	copy(segment[header.TCPMinimumSize:], []byte{2, 4, 5, 180})
	sum := header.PseudoHeaderChecksum(tcp.ProtocolNumber, from, address(2).Addr, uint16(len(segment)))
	segment.SetChecksum(^checksum.Checksum(segment, sum))
	return stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: bufferv2.MakeWithData(packet)})
}

// listening is a stack with a listener, whose answers go nowhere; deliver gives it a packet.
func listening() (deliver func(stack.PacketBufferPtr), hole *blackHole) {
	one, two := pipe.New("", "", 1500)
	hole = &blackHole{Endpoint: two}
	listen(newStack(hole, 2, 65536, time.Second), 2)
	one.Attach(nothing{})
	return func(p stack.PacketBufferPtr) {
		var list stack.PacketBufferList
		p.NetworkProtocolNumber = ipv4.ProtocolNumber
		list.PushBack(p)
		one.WritePackets(list)
		p.DecRef()
	}, hole
}

// nothing is a program behind a link that takes no packet.
type nothing struct{}

func (nothing) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, stack.PacketBufferPtr)    {}
func (nothing) DeliverLinkPacket(tcpip.NetworkProtocolNumber, stack.PacketBufferPtr, bool) {}

func halfOpen() {
	const n = 2000
	deliver, _ := listening()
	before := inUse()
	for k := uint32(0); k < n; k++ {
		deliver(syn(k))
		runtime.Gosched()
	}
	time.Sleep(100 * time.Millisecond)
	result("W3", "half-open", "bytes", (inUse()-before)/n)
}

// flood counts the SYNs that have been answered.
func flood(seconds float64) {
	deliver, hole := listening()
	start, used, n := cpuSeconds(), 0.0, uint32(0)
	for used < seconds {
		for k := 0; k < 256; k++ {
			deliver(syn(n))
			n++
			runtime.Gosched()
		}
		used = cpuSeconds() - start
	}
	result("W7", "", "SYN/cpu-s", float64(hole.sent)/used)
}
