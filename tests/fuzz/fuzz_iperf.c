/* A peer that says anything to `tern iperf`, server or client: the whole course of a test over two stacks in
 * memory. The event loop of the command is replaced here by one that carries packets, lets the peer go on,
 * and has a clock of its own.
 *
 *   0   bit 0 client, bit 1 JSON, bit 2 reverse
 *   then what the peer does, a turn each:   n < 0xf0: low 2 bits: on which connection, rest: how many bytes
 *   follow that it sends   0xf0.. it connects once more   0xf8.. it closes one   0xfc.. time passes
 */
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/iperf.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCK = 4 << 20, PEERS = 4, PORT = 5201, PATIENCE = 40 };

static struct {
    const uint8_t *at, *end;
    tern *peer, *ours;
    tern_handle listener, conn[PEERS];
    int n_conns, idle_turns;
    uint64_t now;
} z;

static _Alignas(16) uint8_t blocks[2][BLOCK];

/* --- what the command has of the host and of net.c -------------------------------------------------- */

uint64_t tern_host_now(void) { return z.now; }

int tern_host_flush(tern_host *h)
{
    (void)h;
    return 0;
}

int cmd_cannot(const char *name, const char *format, ...)
{
    (void)name, (void)format;
    return CMD_CANNOT;
}

const char *net_endpoint_text(const tern_endpoint *e, char buf[64])
{
    snprintf(buf, 64, "port %u", e->port);
    return buf;
}

/* --- the network and the peer ---------------------------------------------------------------------- */

static bool carry(tern *from, tern *to)
{
    static uint8_t bytes[8][70000];
    tern_tx_packet tx[8];
    tern_rx_packet rx[8];
    int n = tern_tx(from, z.now, tx, 8);
    for (int i = 0; i < n; i++)
        rx[i] = (tern_rx_packet){.data = bytes[i], .len = tern_tx_flatten(&tx[i], bytes[i]), .link = 1};
    if (n > 0)
        tern_rx(to, z.now, rx, n);
    return n > 0;
}

static void connect_again(void)
{
    tern_endpoint to = {.ip = tern_ip4(10, 0, 0, 1), .port = PORT};
    if (z.n_conns < PEERS && tern_connect(z.peer, NULL, &to, &z.conn[z.n_conns]) == 0)
        z.n_conns++;
}

static void peer_turn(void)
{
    while (z.listener.v != 0 && z.n_conns < PEERS && tern_accept(z.peer, z.listener, &z.conn[z.n_conns]) == 0)
        z.n_conns++;
    uint8_t what = z.at < z.end ? *z.at++ : 0xff;
    tern_handle h = z.conn[what & 3];
    if (what < 0xf0) {
        uint32_t n = min_u32(what >> 2, (uint32_t)(z.end - z.at));
        tern_send(z.peer, h, z.at, n, 0);
        z.at += n;
    } else if (what < 0xf8) {
        connect_again();
    } else if (what < 0xfc) {
        tern_shutdown(z.peer, h);
    } else {
        z.now += 1000000;
    }
    uint8_t buf[4096];
    for (int i = 0; i < z.n_conns; i++)
        while (tern_recv(z.peer, z.conn[i], buf, sizeof buf) > 0)
            continue;
}

int net_turn(net *n, int fd, short events, int timeout_ms)
{
    (void)n, (void)fd, (void)events;
    peer_turn();
    for (bool any = true; any;) {
        any = carry(z.ours, z.peer);
        any |= carry(z.peer, z.ours);
    }
    z.now += timeout_ms > 0 && timeout_ms < 100 ? (uint64_t)timeout_ms * 1000 : 100000;
    tern_tick(z.ours, z.now);
    tern_tick(z.peer, z.now);
    z.idle_turns = z.at == z.end ? z.idle_turns + 1 : 0;
    return z.idle_turns > PATIENCE ? NET_SIGNAL : 0;
}

/* --- a run ------------------------------------------------------------------------------------------ */

static tern *make(uint8_t *block, uint8_t last)
{
    tern *t;
    tern_config cfg = {.seed = {last}, .send_buffer = 65536, .recv_buffer = 65536};
    tern_link_info link = {.mtu = 1500};
    tern_ip ip = tern_ip4(10, 0, 0, last);
    ASSERT(tern_create(&t, &cfg, block, BLOCK) == 0 && tern_link_add(t, &link) == 1);
    ASSERT(tern_addr_add(t, 1, &ip, 24) == 0);
    tern_tick(t, z.now);
    return t;
}

static void run(iperf *it)
{
    tern_endpoint at = {.port = PORT};
    if (it->server) {
        iperf_server_run(it);
        return;
    }
    it->remote = (tern_endpoint){.ip = tern_ip4(10, 0, 0, 2), .port = PORT};
    ASSERT(tern_listen(z.peer, &at, 8, &z.listener) == 0);
    iperf_client_run(it);
    json_decref(it->peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static iperf it;
    static FILE *nowhere;
    FILE *out = stdout, *err = stderr;
    if (size < 2 || size > 8192)
        return 0;
    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    ASSERT(nowhere != NULL);
    memset(&z, 0, sizeof z);
    memset(&it, 0, sizeof it);
    z.at = data + 1, z.end = data + size;
    z.now = 1000000;
    it.net.stack = z.ours = make(blocks[0], 1);
    z.peer = make(blocks[1], 2);
    it.server = !(data[0] & 1), it.json = data[0] & 2, it.reverse = data[0] & 4;
    it.once = true, it.parallel = 1 + (data[0] >> 6), it.port = PORT, it.seconds = 1;
    if (it.server)
        it.parallel = 0;
    stdout = nowhere, stderr = nowhere;
    run(&it);
    stdout = out, stderr = err;
    return 0;
}
