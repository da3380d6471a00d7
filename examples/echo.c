/* echo.c - an echo server (RFC 862) over a TUN device: echo tern0 192.0.2.2/24 7 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tern/host.h>

/* Send back what has arrived, as far as the peer takes it. What it does not take yet stays unread: so its
 * window closes. */
static void echo(tern *t, tern_handle h)
{
    tern_slice s;
    int n;
    while ((n = tern_peek(t, h, &s, 1)) > 0) {
        char buf[4096];
        size_t len = s.len < sizeof buf ? s.len : sizeof buf;
        memcpy(buf, s.data, len); /* a slice is good until the next call on the stack only */
        long sent = tern_send(t, h, buf, len, 0);
        if (sent == -TERN_EAGAIN)
            return; /* TERN_WRITABLE brings us back */
        if (sent < 0)
            break;
        tern_consume(t, h, (size_t)sent);
    }
    if (n != -TERN_EAGAIN)
        tern_close(t, h); /* the peer has closed and has everything back, or the connection ended */
}

int main(int argc, char **argv)
{
    tern_host *host;
    tern_link *tun;
    tern_handle listener, conn;
    tern_endpoint local = {0};
    tern_event events[64];
    char err[300];
    int prefix;
    local.port = argc == 4 ? (uint16_t)atoi(argv[3]) : 0;
    if (argc != 4 || tern_cidr_parse(argv[2], &local.ip, &prefix) < 0)
        return fprintf(stderr, "usage: %s TUN ADDRESS/PREFIX PORT\n", argv[0]), 2;
    if (tern_host_create(&host, &(tern_host_config){.name = "echo"}, err, sizeof err) < 0 ||
        tern_link_tun(&tun, argv[1], false, err, sizeof err) < 0)
        return fprintf(stderr, "%s\n", err), 2;
    tern *t = tern_host_stack(host);
    int link = tern_host_attach(host, tun);
    if (tern_addr_add(t, link, &local.ip, prefix) < 0 || tern_listen(t, &local, 0, &listener) < 0)
        return fprintf(stderr, "cannot listen there\n"), 2;
    while (tern_host_turn(host) >= 0) {
        int n = tern_events(t, events, 64);
        for (int i = 0; i < n; i++) {
            if (events[i].handle.v != listener.v)
                echo(t, events[i].handle);
            while (events[i].handle.v == listener.v && tern_accept(t, listener, &conn) == 0)
                echo(t, conn); /* bytes may have come with the handshake: their event was before ours */
        }
        if (n == 0)
            tern_host_wait(host, -1);
    }
    tern_host_destroy(host);
    return fprintf(stderr, "the device is gone\n"), 1;
}
