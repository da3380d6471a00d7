/* lend.c - gives one file to everybody who asks, without copying it: lend tern0 192.0.2.2/24 80 FILE
 *
 *   file ── mmap ──▶ region ══ tern_lend ══▶ what the connection has to send ══▶ device
 *
 * The stack refers to the bytes where they lie, as long as they may have to be sent again; tern_returned says
 * when it does no more. Here they never change, so nobody needs to know. The number attached to a connection
 * is the place in head and file up to which it has been lent.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tern/host.h>

struct body {
    int region;
    uint64_t len;
};

/* Lend what comes next, as far as the connection takes it; returns the place reached. */
static uint64_t lend(tern *t, tern_handle h, const struct body *head, const struct body *file, uint64_t at)
{
    long n = 1;
    while (n > 0 && at < head->len + file->len) {
        const struct body *b = at < head->len ? head : file;
        uint64_t from = at < head->len ? at : at - head->len;
        n = tern_lend(t, h, b->region, from, b->len - from, 0, b == head ? TERN_MORE : 0);
        at += n > 0 ? (uint64_t)n : 0;
    }
    tern_set_data(t, h, at);
    return at;
}

/* One that waits for its bytes, or has them all. */
static void go_on(tern *t, const tern_event *e, const struct body *head, const struct body *file)
{
    tern_slice s[8];
    uint64_t at = e->data;
    int n;
    while ((n = tern_peek(t, e->handle, s, 8)) > 0) { /* the request: whatever it says, there is one file */
        size_t len = 0;
        for (int i = 0; i < n; i++)
            len += s[i].len;
        tern_consume(t, e->handle, len);
        at = lend(t, e->handle, head, file, at);
    }
    if (at > 0)
        at = lend(t, e->handle, head, file, at);
    if (at == head->len + file->len)
        tern_shutdown(t, e->handle);
    if (n == 0 || n != -TERN_EAGAIN) { /* the client has closed, or broken off */
        tern_stats stats;
        tern_get_stats(t, &stats);
        printf("%llu bytes sent; in all %llu, of which the stack has copied %llu\n", (unsigned long long)at,
               (unsigned long long)stats.tx_bytes, (unsigned long long)stats.copied_bytes);
        fflush(stdout);
        tern_close(t, e->handle);
    }
}

static int serve(tern_host *host, tern_handle listener, const struct body *head, const struct body *file)
{
    tern *t = tern_host_stack(host);
    tern_event events[64];
    tern_lent back[64];
    tern_handle h;
    while (tern_host_receive(host) >= 0) {
        int n = tern_events(t, events, 64);
        for (int i = 0; i < n; i++) {
            while (events[i].handle.v == listener.v && tern_accept(t, listener, &h) == 0)
                go_on(t, &(tern_event){.handle = h}, head, file);
            if (events[i].handle.v != listener.v && events[i].handle.v != 0)
                go_on(t, &events[i], head, file);
        }
        while (tern_returned(t, back, 64) > 0)
            continue;
        tern_host_flush(host); /* the acknowledgment of the request leaves with the beginning of the file */
        if (n == 0)
            tern_host_wait(host, -1);
    }
    return fprintf(stderr, "the device is gone\n"), 1;
}

int main(int argc, char **argv)
{
    static char text[200];
    struct stat st;
    char err[300];
    tern_endpoint local = {0};
    tern_host *host;
    tern_link *tun;
    tern_handle listener;
    int prefix;
    local.port = argc == 5 ? (uint16_t)atoi(argv[3]) : 0;
    if (argc != 5 || tern_cidr_parse(argv[2], &local.ip, &prefix) < 0)
        return fprintf(stderr, "usage: %s TUN ADDRESS/PREFIX PORT FILE\n", argv[0]), 2;
    int fd = open(argv[4], O_RDONLY);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
        return fprintf(stderr, "%s cannot be read, or is empty\n", argv[4]), 2;
    void *pages = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (tern_host_create(&host, &(tern_host_config){.name = "lend"}, err, sizeof err) < 0 ||
        tern_link_tun(&tun, argv[1], false, err, sizeof err) < 0)
        return fprintf(stderr, "%s\n", err), 2;
    tern *t = tern_host_stack(host);
    int link = tern_host_attach(host, tun);
    if (tern_addr_add(t, link, &local.ip, prefix) < 0 || tern_listen(t, &local, 0, &listener) < 0)
        return fprintf(stderr, "cannot listen there\n"), 2;
    int len = snprintf(text, sizeof text, "HTTP/1.0 200 OK\r\nContent-Length: %lld\r\n\r\n",
                       (long long)st.st_size);
    struct body head = {tern_region_add(t, text, sizeof text), (uint64_t)len};
    struct body file = {pages != MAP_FAILED ? tern_region_add(t, pages, (uint64_t)st.st_size) : -1,
                        (uint64_t)st.st_size};
    if (file.region < 0)
        return fprintf(stderr, "%s cannot be mapped\n", argv[4]), 2;
    return serve(host, listener, &head, &file);
}
