// tern.mjs - tern as a JavaScript class: one Stack is one TCP/IP stack, all of it in WebAssembly memory.
//
// Packets are Uint8Arrays in and out, time is a number of microseconds that the caller gives, and nothing is
// called back: like the C library (include/tern/). The module imports nothing; it has no clock, no network
// and no dice. Build it with `./dev wasm`; ports/wasm/stack.c is its other half.

const READABLE = 1, WRITABLE = 2, CONNECTED = 4, ACCEPTABLE = 8, PEER_CLOSED = 16, ENDED = 32
export const events = { READABLE, WRITABLE, CONNECTED, ACCEPTABLE, PEER_CLOSED, ENDED }

const EAGAIN = -11, EVENT_BYTES = 24

// Compile the module once: `bytes` is the content of tern.wasm.
export function load(bytes) {
    return new WebAssembly.Module(bytes)
}

// "192.0.2.1" as the 16 bytes of ::ffff:192.0.2.1, which is how tern keeps IPv4.
export function ip4(text) {
    return Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...text.split('.').map(Number)])
}

export class Stack {
    // `seed`: 32 bytes that nobody can guess (crypto.getRandomValues), or fixed ones for a replay.
    constructor(module, { seed, bytes = 1 << 20 }) {
        this.c = new WebAssembly.Instance(module, {}).exports
        this.room = this.c.room()
        this.#put(seed)
        this.t = this.c.create(bytes)
        if (this.t === 0) throw new Error(`a stack does not fit into ${bytes} bytes`)
        this.now = 0
    }

    destroy() {
        this.c.destroy(this.t)
    }

    // The stack's address (ip4) on a link of its own.
    address(ip, prefixLength, mtu = 1500) {
        this.#put(ip)
        return this.#check(this.c.address(this.t, mtu, prefixLength))
    }

    // Packets: one that arrived; the next to be sent, or null.
    receive(packet) {
        this.#put(packet)
        return this.c.receive(this.t, BigInt(this.now), packet.length)
    }

    transmit() {
        const length = this.c.transmit(this.t, BigInt(this.now))
        return length > 0 ? this.#get(length) : null
    }

    // Time: run the timers due at `now`; when the next is due (0: transmit now, Infinity: never).
    tick(now) {
        this.now = now
        this.c.tern_tick(this.t, BigInt(now))
    }

    deadline() {
        const due = BigInt.asUintN(64, this.c.tern_next_deadline(this.t))
        return due === 0xffffffffffffffffn ? Infinity : Number(due)
    }

    // Sockets. A handle is a bigint.
    listen(port) {
        this.#check(this.c.listen(this.t, port, this.room))
        return this.#memory().getBigUint64(this.room, true)
    }

    connect(ip, port) {
        this.#put(ip)
        this.#check(this.c.connect(this.t, port, this.room))
        return this.#memory().getBigUint64(this.room, true)
    }

    // The next connection of a listener; null when none waits.
    accept(listener) {
        if (this.#check(this.c.tern_accept(this.t, listener, this.room)) === EAGAIN) return null
        return this.#memory().getBigUint64(this.room, true)
    }

    // How many of the bytes were taken (0: wait for WRITABLE).
    send(handle, data) {
        this.#put(data)
        const n = this.#check(this.c.tern_send(this.t, handle, this.room, data.length, 0))
        return n === EAGAIN ? 0 : n
    }

    // Bytes that have arrived; null: none now; an empty array: the peer has closed.
    receiveBytes(handle) {
        const n = this.#check(this.c.tern_recv(this.t, handle, this.room, 65536))
        return n === EAGAIN ? null : this.#get(n)
    }

    close(handle) {
        return this.#check(this.c.tern_close(this.t, handle))
    }

    // [{handle, bits}]: what happened since the last call.
    events() {
        const n = this.c.tern_events(this.t, this.room, 64), found = []
        for (let i = 0; i < n; i++) {
            const at = this.room + i * EVENT_BYTES
            const memory = this.#memory()
            found.push({ handle: memory.getBigUint64(at, true), bits: memory.getUint32(at + 16, true) })
        }
        return found
    }

    // "ESTABLISHED"; null for a handle that is gone.
    state(handle) {
        const state = this.c.state(this.t, handle)
        return state < 0 ? null : this.#text(this.c.tern_state_name(state))
    }

    #memory() {
        return new DataView(this.c.memory.buffer)
    }

    #put(data) {
        new Uint8Array(this.c.memory.buffer, this.room, data.length).set(data)
    }

    #get(length) {
        return new Uint8Array(this.c.memory.buffer, this.room, length).slice()
    }

    #text(at) {
        const rest = new Uint8Array(this.c.memory.buffer, at)
        return new TextDecoder().decode(rest.subarray(0, rest.indexOf(0)))
    }

    #check(result) {
        if (result < 0 && result !== EAGAIN) throw new Error(`tern says ${result} (tern.h, TERN_E...)`)
        return result
    }
}
