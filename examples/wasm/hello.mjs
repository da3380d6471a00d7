// hello.mjs - two TCP/IP stacks in one node process: a server says hello, a client prints it. The wire
// between them is an array, the clock is a variable.
//
//     ./dev wasm && node examples/wasm/hello.mjs
import { readFileSync } from 'node:fs'
import { Stack, events, ip4, load } from './tern.mjs'

const WAY_US = 10000 // each packet is under way for 10 ms
const file = process.argv[2] ?? new URL('../../build/wasm/tern.wasm', import.meta.url)
const module = load(readFileSync(file))
const names = ['client', 'server']
const addresses = [ip4('192.0.2.1'), ip4('192.0.2.2')]
const stacks = addresses.map((address, i) => {
    const stack = new Stack(module, { seed: new Uint8Array(32).fill(i + 1) })
    stack.address(address, 24)
    return stack
})
const [client, server] = stacks
const wire = [] // {due, to, packet}, in order of arrival: every way is equally long

const FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK']
function show(now, from, packet) {
    const ip = packet[0] % 16 * 4, tcp = packet[ip + 12] / 16 << 2 // lengths of the headers
    const flags = FLAGS.filter((_, bit) => packet[ip + 13] >> bit & 1).join(',')
    const arrow = from === 0 ? '──▶' : '◀──'
    const time = (now / 1000).toFixed(1).padStart(6)
    console.log(`${time} ms  client ${arrow} server  ${flags} (${packet.length - ip - tcp} bytes)`)
}

function serve(listener) {
    for (const { handle, bits } of server.events()) {
        if (bits & events.ACCEPTABLE) {
            const h = server.accept(listener)
            server.send(h, new TextEncoder().encode('hello from WebAssembly\n'))
            server.close(h)
        } else if (bits & events.ENDED) server.close(handle)
    }
}

function read(h) {
    for (let data; (data = client.receiveBytes(h)) !== null;) {
        if (data.length === 0) return client.close(h) === 0
        console.log(`           the client reads: ${new TextDecoder().decode(data).trim()}`)
    }
    return false
}

const listener = server.listen(80), connection = client.connect(addresses[1], 80)
for (let now = 0, done = false; now !== Infinity;) {
    stacks.forEach((stack) => stack.tick(now))
    for (; wire.length > 0 && wire[0].due <= now; wire.shift()) stacks[wire[0].to].receive(wire[0].packet)
    serve(listener)
    done ||= client.events().some(({ bits }) => bits & events.READABLE) && read(connection)
    stacks.forEach((stack, from) => {
        for (let packet; (packet = stack.transmit()) !== null;) {
            show(now, from, packet)
            wire.push({ due: now + WAY_US, to: 1 - from, packet })
        }
    })
    now = Math.min(wire[0]?.due ?? Infinity, ...stacks.map((stack) => stack.deadline()))
    if (done && wire.length === 0) {
        console.log(`           over; the timer of TIME_WAIT looks again at ${Math.round(now / 1e6)} s`)
        break
    }
}
