/* fetch.c - an HTTP client over a TUN device: fetch tern0 192.0.2.2/24 192.0.2.1 80 /index.html
 *
 * Writes the answer, headers included, to standard output. Exit status 0: the server sent it whole and
 * closed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tern/host.h>

/* The end of a connection in words. */
static int ended(tern *t, tern_handle h, long error)
{
    tern_info info;
    tern_get_info(t, h, &info);
    fprintf(stderr, "%s (%s)\n", strerror((int)-error), tern_cause_text((enum tern_cause)info.reason));
    return 1;
}

/* Write out what has arrived. > 0: there will be more; 0: that was all; < 0: it ended badly. */
static long save(tern *t, tern_handle h)
{
    char buf[65536];
    long n;
    while ((n = tern_recv(t, h, buf, sizeof buf)) > 0)
        fwrite(buf, 1, (size_t)n, stdout);
    return n == -TERN_EAGAIN ? 1 : n;
}

static int fetch(tern_host *host, const tern_endpoint *server, const char *request)
{
    tern *t = tern_host_stack(host);
    tern_handle h;
    tern_event events[8];
    long more = 1;
    int rc = tern_connect(t, NULL, server, &h);
    if (rc < 0)
        return fprintf(stderr, "cannot connect: %s\n", strerror(-rc)), 1;
    tern_send(t, h, request, strlen(request), 0); /* queued now, leaves when the connection is open */
    while (more > 0) {
        if (tern_host_turn(host) < 0)
            return fprintf(stderr, "the device is gone\n"), 1;
        if (tern_events(t, events, 8) > 0)
            more = save(t, h);
        else
            tern_host_wait(host, -1);
    }
    if (more < 0)
        return ended(t, h, more);
    tern_close(t, h);
    tern_host_flush(host); /* our FIN leaves; who stays longer answers a FIN that is repeated, too */
    return 0;
}

int main(int argc, char **argv)
{
    tern_host *host;
    tern_link *tun;
    tern_endpoint server = {0};
    tern_ip own;
    char err[300], request[1024];
    int prefix;
    server.port = argc == 6 ? (uint16_t)atoi(argv[4]) : 0;
    if (argc != 6 || tern_cidr_parse(argv[2], &own, &prefix) < 0 || tern_ip_parse(argv[3], &server.ip) < 0)
        return fprintf(stderr, "usage: %s TUN ADDRESS/PREFIX SERVER PORT PATH\n", argv[0]), 2;
    if (tern_host_create(&host, &(tern_host_config){.name = "fetch"}, err, sizeof err) < 0 ||
        tern_link_tun(&tun, argv[1], false, err, sizeof err) < 0)
        return fprintf(stderr, "%s\n", err), 2;
    int link = tern_host_attach(host, tun);
    if (tern_addr_add(tern_host_stack(host), link, &own, prefix) < 0)
        return fprintf(stderr, "%s cannot be our address\n", argv[2]), 2;
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[5],
             argv[3]);
    int rc = fetch(host, &server, request);
    tern_host_destroy(host);
    return rc;
}
