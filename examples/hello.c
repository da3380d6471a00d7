/* hello.c - a web server, whole. Try it: curl http://192.0.2.1/ (examples/README.md: how to set the device
 * up) */
#include <stdio.h>
#include <tern/host.h>

int main(void)
{
    tern_host *host;
    tern_link *tun;
    tern_handle listener, h;
    tern_event events[16];
    tern_endpoint local = {.ip = tern_ip4(192, 0, 2, 1), .port = 80};
    char text[300];
    if (tern_host_create(&host, &(tern_host_config){.name = "hello"}, text, sizeof text) < 0 ||
        tern_link_tun(&tun, "tern0", false, text, sizeof text) < 0)
        return fprintf(stderr, "%s\n", text), 2;
    tern *t = tern_host_stack(host);
    tern_addr_add(t, tern_host_attach(host, tun), &local.ip, 24);
    tern_listen(t, &local, 0, &listener);
    while (tern_host_turn(host) >= 0) {
        int n = tern_events(t, events, 16);
        for (int i = 0; i < n; i++) {
            h = events[i].handle;
            if (h.v == listener.v) {
                while (tern_accept(t, listener, &h) == 0) /* its own events follow */
                    continue;
            } else if (tern_recv(t, h, text, sizeof text) > 0) {
                tern_send(t, h, "HTTP/1.0 200 OK\r\n\r\nhello\n", 25, 0);
                tern_shutdown(t, h);
            } else if (events[i].bits & (TERN_PEER_CLOSED | TERN_ENDED)) {
                tern_close(t, h);
            }
        }
        if (n == 0)
            tern_host_wait(host, -1);
    }
    return 1;
}
