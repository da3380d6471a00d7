/* hello.c - two stacks in one program, out of the single file: one says hello, the other prints it. What
 * carries the packets is a loop, and the clock is a variable: both are the embedder's business, and here
 * there is no more to it.
 *
 *     python3 scripts/amalgamate.py build/single
 *     cc -std=c17 -O2 -Ibuild/single ports/single/hello.c build/single/tern.c -o hello && ./hello
 */
#include "tern.h"

#include <stdio.h>

enum { CLIENT, SERVER, BYTES = 1 << 20 };

static _Alignas(16) unsigned char memory[2][BYTES]; /* all that the stacks ever use */

static tern *make_stack(int i, tern_ip ip)
{
    tern *t = NULL;
    tern_config config = {.seed = {(uint8_t)(i + 1)}}; /* in earnest: 32 bytes that nobody can guess */
    if (tern_create(&t, &config, memory[i], BYTES) < 0)
        return NULL;
    int link = tern_link_add(t, &(tern_link_info){.mtu = 1500});
    return tern_addr_add(t, link, &ip, 24) < 0 ? NULL : t;
}

/* Everything that one stack has to send arrives at the other. True when there was something. */
static bool carry(tern *from, tern *to, uint64_t now)
{
    tern_tx_packet out;
    uint8_t bytes[1500];
    bool any = false;
    for (; tern_tx(from, now, &out, 1) == 1; any = true) {
        tern_rx_packet in = {.data = bytes, .len = tern_tx_flatten(&out, bytes), .link = 1};
        tern_rx(to, now, &in, 1);
    }
    return any;
}

int main(void)
{
    tern_endpoint remote = {.ip = tern_ip4(192, 0, 2, 2), .port = 80}, any = {.port = 80};
    tern_handle listener, served, h;
    char text[100];
    long n = -1;
    tern *c = make_stack(CLIENT, tern_ip4(192, 0, 2, 1)), *s = make_stack(SERVER, remote.ip);
    if (c == NULL || s == NULL || tern_listen(s, &any, 0, &listener) < 0 ||
        tern_connect(c, NULL, &remote, &h) < 0)
        return fprintf(stderr, "no connection can be opened\n"), 1;
    /* a millisecond a turn, until the end of the stream is read */
    for (uint64_t now = 0; n != 0; now += 1000) {
        tern_tick(c, now);
        tern_tick(s, now);
        if (tern_accept(s, listener, &served) == 0) {
            tern_send(s, served, "hello from one file\n", 20, 0);
            tern_close(s, served);
        }
        n = tern_recv(c, h, text, sizeof text);
        if (n > 0)
            fwrite(text, 1, (size_t)n, stdout);
        while (carry(c, s, now) || carry(s, c, now))
            continue;
    }
    tern_close(c, h);
    return 0;
}
