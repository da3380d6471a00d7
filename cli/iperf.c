/* iperf.c - `tern iperf`: how fast tern and an iperf3 move data. Options and the report. */
#include "iperf.h"

#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static const char usage[] =
    "usage: tern iperf -s [OPTION...]\n"
    "       tern iperf -c HOST [OPTION...]\n\n"
    "Measures throughput of tern's TCP against the real iperf3 (or another tern iperf) on the other side.\n\n"
    "  -s, --server         wait for tests, one after the other; -1, --one-off: for one only\n"
    "  -c, --client HOST    begin a test\n"
    "  -p, --port PORT      the server's port (default 5201)\n"
    "  -R, --reverse        the server sends\n"
    "  -t, --time SECONDS   how long (default 10)\n"
    "  -n, --bytes N        how much instead, such as 500M or 2G\n"
    "  -P, --parallel N     connections at the same time (default 1, at most 32)\n"
    "  -M, --set-mss N      largest segment, bytes\n"
    "  -w, --window N       send and receive buffer, such as 4M\n"
    "      --json           one JSON object at the end of each test, nothing else\n"
    "%s"
    "  -h, --help           this text\n\n"
    "Example:  iperf3 -s -D; tern iperf -c 192.0.2.2 --tun tern0 --addr 192.0.2.1/24\n";

enum { OPT_JSON = 256 };

static const struct option long_options[] = {{"server", no_argument, NULL, 's'},
                                             {"client", required_argument, NULL, 'c'},
                                             {"port", required_argument, NULL, 'p'},
                                             {"reverse", no_argument, NULL, 'R'},
                                             {"time", required_argument, NULL, 't'},
                                             {"bytes", required_argument, NULL, 'n'},
                                             {"parallel", required_argument, NULL, 'P'},
                                             {"set-mss", required_argument, NULL, 'M'},
                                             {"window", required_argument, NULL, 'w'},
                                             {"json", no_argument, NULL, OPT_JSON},
                                             {"one-off", no_argument, NULL, '1'},
                                             {"help", no_argument, NULL, 'h'},
                                             NET_LONG_OPTIONS,
                                             {NULL, 0, NULL, 0}};

/* --- the report ------------------------------------------------------------------------------- */

/* "1.23 GB" */
static const char *amount(double bytes, char buf[24])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    int u = 0;
    for (; bytes >= 1000 && u < 4; u++)
        bytes /= 1000;
    snprintf(buf, 24, u == 0 ? "%.0f %s" : "%.2f %s", bytes, units[u]);
    return buf;
}

static double gbits(double bytes, double seconds) { return seconds > 0 ? bytes * 8 / seconds / 1e9 : 0; }

void iperf_report_begin(const iperf *it)
{
    tern_info info;
    char a[64], b[64];
    if (it->json || tern_get_info(it->net.stack, it->streams[0].h, &info) != 0)
        return;
    printf("tern %s, %s %s; %s, %d %s\n", net_endpoint_text(&info.local, a),
           it->sending ? "sends to" : "receives from", net_endpoint_text(&info.remote, b),
           it->server ? "server" : "client", it->n_streams,
           it->n_streams == 1 ? "connection" : "connections");
    fflush(stdout);
}

void iperf_report_interval(iperf *it, uint64_t now)
{
    char moved[24];
    if (now < it->next_report_us)
        return;
    uint64_t total = iperf_total(it);
    double from = (double)(it->reported_us - it->began_us) / 1e6, to = (double)(now - it->began_us) / 1e6;
    double bytes = (double)(total - it->reported_bytes);
    if (!it->json)
        printf("%6.1f - %-6.1f s  %10s  %8.3f Gbit/s\n", from, to, amount(bytes, moved),
               gbits(bytes, to - from));
    fflush(stdout);
    it->reported_us = now;
    it->reported_bytes = total;
    while (it->next_report_us <= now)
        it->next_report_us += 1000000;
}

/* What the other side says to have sent or received, bytes. */
static double peer_bytes(const iperf *it)
{
    double sum = 0;
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(it->peer, "streams"), i, s) {
        sum += json_number_value(json_object_get(s, "bytes"));
    }
    return sum;
}

/* What the other side says may be no number of bytes at all. */
static json_int_t whole(double v) { return v > 0 && v < 9e18 ? (json_int_t)v : 0; }

static void report_json(const iperf *it, double seconds, double ours, double theirs)
{
    json_t *o =
        json_pack("{s:s, s:s, s:i, s:f, s:I, s:I, s:I, s:f}", "role", it->server ? "server" : "client",
                  "tern", it->sending ? "sends" : "receives", "streams", it->n_streams, "seconds", seconds,
                  "sent_bytes", whole(it->sending ? ours : theirs), "received_bytes",
                  whole(it->sending ? theirs : ours), "retransmits", (json_int_t)it->retransmits,
                  "gbit_per_s", gbits(it->sending ? theirs : ours, seconds));
    json_dumpf(o, stdout, JSON_COMPACT);
    printf("\n");
    json_decref(o);
}

void iperf_report_end(iperf *it)
{
    double seconds = (double)(it->ended_us - it->began_us) / 1e6;
    double ours = (double)iperf_total(it), theirs = peer_bytes(it);
    double sent = it->sending ? ours : theirs, received = it->sending ? theirs : ours;
    char a[24], b[24];
    if (it->json) {
        report_json(it, seconds, ours, theirs);
    } else {
        printf("sent      %10s in %.2f s  %8.3f Gbit/s", amount(sent, a), seconds, gbits(sent, seconds));
        if (it->sending)
            printf("  (%llu segments retransmitted)", (unsigned long long)it->retransmits);
        printf("\nreceived  %10s in %.2f s  %8.3f Gbit/s\n", amount(received, b), seconds,
               gbits(received, seconds));
    }
    fflush(stdout);
}

/* --- options ---------------------------------------------------------------------------------- */

/* "500M" to bytes; 0 = none. */
static uint64_t size_of(const char *text)
{
    char *end;
    double v = strtod(text, &end);
    const char *units = "kmgt", *u = *end != '\0' ? strchr(units, *end | 0x20) : NULL;
    if (end == text || !(v > 0) || (*end != '\0' && (u == NULL || end[1] != '\0')))
        return 0;
    for (const char *p = units; u != NULL && p <= u; p++)
        v *= 1024;
    return v < 9e18 ? (uint64_t)v : 0;
}

static int bad(const char *what, const char *value, const char *wanted)
{
    return cmd_cannot("iperf", "%s '%s': give %s", what, value, wanted);
}

static int set_number(iperf *it, int option, const char *value)
{
    char *end;
    switch (option) {
    case 'p':
        it->port = net_port(value);
        return it->port != 0 ? 0 : bad("port", value, "a number from 1 to 65535");
    case 't':
        it->seconds = strtod(value, &end);
        return *end == '\0' && it->seconds >= 1 && it->seconds <= 86400
                   ? 0
                   : bad("time", value, "1 to 86400 seconds");
    case 'n':
        it->bytes = size_of(value);
        return it->bytes != 0 ? 0 : bad("bytes", value, "a size such as 500M");
    case 'P':
        it->parallel = (int)strtol(value, &end, 10);
        return *end == '\0' && it->parallel >= 1 && it->parallel <= IPERF_STREAMS
                   ? 0
                   : bad("parallel", value, "1 to 32");
    case 'M':
        it->mss = (uint32_t)strtoul(value, &end, 10);
        return *end == '\0' && it->mss >= 88 && it->mss <= 65495 ? 0 : bad("MSS", value, "88 to 65495 bytes");
    default:
        it->options.buffer = size_of(value) <= 1u << 30 ? (uint32_t)size_of(value) : 0;
        return it->options.buffer >= 1024 ? 0 : bad("window", value, "a size such as 4M");
    }
}

static int set_option(iperf *it, const char **host, int option, const char *value)
{
    switch (option) {
    case 's': it->server = true; return 0;
    case '1': it->once = true; return 0;
    case 'c': *host = value; return 0;
    case 'R': it->reverse = true; return 0;
    case OPT_JSON: it->json = true; return 0;
    case '?': return cmd_cannot("iperf", "see tern iperf --help");
    default:
        return option >= NET_OPT ? net_option(&it->options, option, value) : set_number(it, option, value);
    }
}

static int check(iperf *it, const char *host, int rest)
{
    char port[8];
    if (rest > 0 || it->server == (host != NULL))
        return cmd_cannot("iperf", "either -s (server) or -c HOST (client); see tern iperf --help");
    if (it->server)
        return 0;
    if (it->bytes != 0)
        it->seconds = 0;
    snprintf(port, sizeof port, "%u", it->port);
    int n = net_resolve(&it->options, host, port, &it->remote, 1);
    return n < 0 ? -n : 0;
}

static int run(iperf *it)
{
    int r = net_open(&it->net, &it->options);
    if (r != 0)
        return r;
    for (size_t i = 0; i < sizeof it->block; i++)
        it->block[i] = (uint8_t)('0' + i % 10);
    r = it->server ? iperf_server_run(it) : iperf_client_run(it);
    bool stopped = r == IPERF_STOPPED && it->server; /* how a server ends */
    if (r != 0 && !stopped)
        fprintf(stderr, "tern iperf: %s\n", iperf_error(it, r));
    net_drain(&it->net, 1000);
    net_close(&it->net);
    json_decref(it->peer);
    return r == 0 || stopped ? CMD_OK : r == IPERF_LOST ? CMD_CANNOT : CMD_NO;
}

int cmd_iperf(int argc, char **argv)
{
    iperf *it = calloc(1, sizeof *it);
    const char *host = NULL;
    int option, r = 0;
    if (it == NULL)
        return cmd_cannot("iperf", "not enough memory");
    it->options.command = "iperf";
    it->options.page = 1 << 16; /* few connections, and much for each: a page is a piece of a packet */
    it->port = 5201;
    it->parallel = 1;
    it->seconds = 10;
    while (r == 0 && (option = getopt_long(argc, argv, "s1c:p:Rt:n:P:M:w:h", long_options, NULL)) != -1) {
        if (option == 'h') {
            printf(usage, net_help);
            free(it);
            return CMD_OK;
        }
        r = set_option(it, &host, option, optarg);
    }
    if (r == 0)
        r = check(it, host, argc - optind);
    if (r == 0)
        r = run(it);
    free(it);
    return r;
}
