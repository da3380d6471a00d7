/* Captures: the file's blocks as a reader of the format sees them, what the comments say, and what happens to
 * the file when it grows, when the disk is full, and when the trace was overwritten. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host/pcapng.h"
#include "link/packet.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <tern/host.h>
#include <unistd.h>

/* --- a reader ------------------------------------------------------------------------------------- */

struct packet {
    uint64_t t_us;
    uint32_t len, whole, way;
    const uint8_t *data;
    char comment[4096];
};

/* A capture file, read and checked. */
struct capture {
    uint8_t *bytes;
    size_t len;
    char name[64], interface_comment[9000];
    uint32_t interfaces, n;
    struct packet *packets;
};

static uint32_t get32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* The text of an option; "" when it is not there. Checks the whole list. */
static void option(const uint8_t *at, const uint8_t *end, uint16_t wanted, char *out, size_t room)
{
    uint16_t code = 1, len;
    out[0] = '\0';
    while (at < end) {
        assert_true(end - at >= 4);
        memcpy(&code, at, 2);
        memcpy(&len, at + 2, 2);
        if (code == 0)
            break;
        assert_true(end - at >= 4 + len);
        if (code == wanted) {
            assert_true(len < room);
            memcpy(out, at + 4, len);
            out[len] = '\0';
        }
        at += 4 + (len + 3) / 4 * 4;
    }
    assert_int_equal(code, 0);
    assert_ptr_equal(at + 4, end);
}

static void read_packet(struct capture *c, const uint8_t *block, uint32_t len)
{
    char flags[8];
    c->packets = realloc(c->packets, (c->n + 1) * sizeof *c->packets);
    struct packet *p = &c->packets[c->n++];
    assert_true(get32(block + 8) < c->interfaces);
    p->t_us = (uint64_t)get32(block + 12) << 32 | get32(block + 16);
    p->len = get32(block + 20);
    p->whole = get32(block + 24);
    p->data = block + 28;
    assert_true(p->whole >= p->len);
    const uint8_t *options = block + 28 + (p->len + 3) / 4 * 4, *end = block + len - 4;
    option(options, end, 1, p->comment, sizeof p->comment);
    option(options, end, 2, flags, sizeof flags);
    p->way = get32((uint8_t *)flags);
}

/* Every block of the file is whole, or the test fails. */
static struct capture read_capture(const char *path)
{
    struct capture c = {0};
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    c.bytes = malloc(64 << 20);
    c.len = fread(c.bytes, 1, 64 << 20, file);
    fclose(file);
    assert_true(c.len >= 28);
    assert_int_equal(get32(c.bytes), 0x0a0d0d0a);
    assert_int_equal(get32(c.bytes + 8), 0x1a2b3c4d);
    for (size_t at = 0; at < c.len;) {
        const uint8_t *block = c.bytes + at;
        assert_true(c.len - at >= 12);
        uint32_t type = get32(block), len = get32(block + 4);
        assert_true(len % 4 == 0 && len >= 12 && len <= c.len - at);
        assert_int_equal(get32(block + len - 4), len);
        if (type == 1) {
            assert_int_equal(block[8], 101); /* LINKTYPE_RAW, on a little-endian machine */
            option(block + 16, block + len - 4, 2, c.name, sizeof c.name);
            option(block + 16, block + len - 4, 1, c.interface_comment, sizeof c.interface_comment);
            c.interfaces++;
        } else if (type == 6) {
            read_packet(&c, block, len);
        } else {
            assert_int_equal(type, 0x0a0d0d0a);
        }
        at += len;
    }
    return c;
}

static void free_capture(struct capture *c)
{
    free(c->bytes);
    free(c->packets);
}

/* How many comments contain the text. */
static uint32_t count(const struct capture *c, const char *text)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n; i++)
        n += strstr(c->packets[i].comment, text) != NULL;
    return n;
}

/* --- two hosts ------------------------------------------------------------------------------------ */

static const tern_link_info offload = {.mtu = 1500, .gso_max = 60000, .tx_csum = true};

struct world {
    char dir[40], file[64];
    tern_host *a, *b; /* a captures */
    tern_handle listener, server, client;
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static tern_host *open_host(uint32_t trace_records)
{
    tern_host *h;
    char err[200];
    tern_host_config cfg = {.memory = 64 << 20, .trace_records = trace_records};
    assert_int_equal(tern_host_create(&h, &cfg, err, sizeof err), 0);
    return h;
}

static void attach(tern_host *h, tern_link *l, uint8_t last)
{
    tern_ip ip = tern_ip4(192, 0, 2, last);
    int id = tern_host_attach(h, l);
    assert_true(id > 0);
    assert_int_equal(tern_addr_add(tern_host_stack(h), id, &ip, 24), 0);
}

static void start(struct world *w, tern_capture_config cfg)
{
    char err[400] = "";
    cfg.file = w->file;
    assert_int_equal(tern_host_capture(w->a, &cfg, err, sizeof err), 0);
    assert_string_equal(err, "");
}

static void open_world(struct world *w, uint32_t trace_records)
{
    tern_link *a, *b;
    *w = (struct world){.dir = "/tmp/tern-unit-XXXXXX"};
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->file, sizeof w->file, "%s/x.pcapng", w->dir);
    w->a = open_host(trace_records);
    w->b = open_host(0);
    assert_int_equal(tern_link_pair(&a, &b, &offload, 1000), 0);
    attach(w->a, a, 1);
    attach(w->b, b, 2);
}

static void close_world(struct world *w)
{
    tern_host_destroy(w->a);
    tern_host_destroy(w->b);
    nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void turns(struct world *w, int n)
{
    for (int i = 0; i < n; i++) {
        assert_true(tern_host_turn(w->a) >= 0);
        assert_true(tern_host_turn(w->b) >= 0);
    }
}

static void connect_both(struct world *w)
{
    tern_endpoint at = {tern_ip4(192, 0, 2, 1), 80, 0};
    assert_int_equal(tern_listen(tern_host_stack(w->a), &at, 0, &w->listener), 0);
    assert_int_equal(tern_connect(tern_host_stack(w->b), NULL, &at, &w->client), 0);
    turns(w, 5);
    assert_int_equal(tern_accept(tern_host_stack(w->a), w->listener, &w->server), 0);
}

/* a sends so many bytes, b reads them. */
static void send_bytes(struct world *w, size_t bytes)
{
    static uint8_t buf[65536];
    size_t got = 0, sent = 0;
    while (got < bytes) {
        size_t want = bytes - sent < sizeof buf ? bytes - sent : sizeof buf;
        long n = want > 0 ? tern_send(tern_host_stack(w->a), w->server, buf, want, 0) : 0;
        sent += n > 0 ? (size_t)n : 0;
        turns(w, 1);
        while ((n = tern_recv(tern_host_stack(w->b), w->client, buf, sizeof buf)) > 0)
            got += (size_t)n;
    }
}

/* --- tests ---------------------------------------------------------------------------------------- */

static void a_whole_life(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 4096);
    start(&w, (tern_capture_config){0});
    connect_both(&w);
    send_bytes(&w, 100000);
    tern_close(tern_host_stack(w.a), w.server);
    turns(&w, 3);
    tern_close(tern_host_stack(w.b), w.client);
    turns(&w, 5);
    struct capture c = read_capture(w.file); /* while it is still open: what was written is whole */
    assert_string_equal(c.name, "pair1");
    assert_true(c.n > 70); /* 100000 bytes are 69 segments */
    assert_int_equal(count(&c, "LISTEN → SYN_RCVD: a SYN for a listener"), 1);
    assert_int_equal(count(&c, "SYN_RCVD → ESTABLISHED"), 1);
    assert_int_equal(count(&c, "[SEND_SYNACK, RFC 9293 3.10.7.2]"), 1);
    assert_int_equal(count(&c, "ESTABLISHED → FIN_WAIT_1: the program closed"), 1);
    assert_int_equal(count(&c, "FIN_WAIT_1 → FIN_WAIT_2"), 1);
    assert_int_equal(count(&c, "FIN_WAIT_2 → TIME_WAIT"), 1);
    assert_true(count(&c, "Piece 2 of ") > 0);
    assert_non_null(strstr(c.packets[0].comment, "Connection 2 begins: 192.0.2.1:80 with"));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (uint32_t i = 0; i < c.n; i++) {
        const struct packet *p = &c.packets[i];
        assert_true(p->comment[0] != '\0');
        assert_int_equal(p->len, p->whole);
        assert_true(p->len <= 1500 && packet_checksums_ok(p->data, p->len));
        assert_int_equal(p->way, p->data[15] == 1 ? PCAPNG_OUT : PCAPNG_IN); /* the source address */
        assert_true(i == 0 || p->t_us >= p[-1].t_us);
        assert_in_range((uint64_t)now.tv_sec - p->t_us / 1000000, 0, 60);
    }
    free_capture(&c);
    close_world(&w);
}

static void drops_say_why(void **state)
{
    struct world w;
    tern_endpoint nowhere = {tern_ip4(192, 0, 2, 1), 81, 0};
    tern_handle h;
    (void)state;
    open_world(&w, 4096);
    start(&w, (tern_capture_config){.snap = 40});
    assert_int_equal(tern_connect(tern_host_stack(w.b), NULL, &nowhere, &h), 0);
    turns(&w, 3);
    struct capture c = read_capture(w.file);
    assert_int_equal(c.n, 2);
    assert_string_equal(c.packets[0].comment,
                        "Dropped: no such connection: answered with RST [NO_CONNECTION, RFC 9293 3.10.7.1].");
    assert_string_equal(c.packets[1].comment,
                        "Sent: there is no such connection here [SEND_RST_CLOSED, RFC 9293 3.10.7.1].");
    assert_int_equal(c.packets[0].len, 40);
    assert_true(c.packets[0].whole > 40);
    free_capture(&c);
    close_world(&w);
}

/* A ring of four records is overwritten within every batch: the capture says so and invents nothing. */
static void an_overwritten_trace_is_admitted(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 4);
    start(&w, (tern_capture_config){0});
    connect_both(&w);
    send_bytes(&w, 200000);
    struct capture c = read_capture(w.file);
    uint32_t unknown = count(&c, "What was decided is not known");
    assert_true(unknown > 0 && unknown < c.n);
    for (uint32_t i = 0; i < c.n; i++) /* the reason belongs to the packet: data is never said to be a SYN */
        if (strstr(c.packets[i].comment, "SEND_SYNACK"))
            assert_int_equal(c.packets[i].data[33] & 2, 2);
    free_capture(&c);
    close_world(&w);
}

static void files_rotate(void **state)
{
    struct world w;
    char name[100];
    struct stat st;
    uint32_t packets = 0;
    (void)state;
    open_world(&w, 4096);
    start(&w, (tern_capture_config){.file_size = 64 << 10, .files = 3});
    connect_both(&w);
    send_bytes(&w, 1000000);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, i > 0 ? "%s/x.%d.pcapng" : "%s/x.pcapng", w.dir, i);
        struct capture c = read_capture(name);
        assert_true(c.len <= 64 << 10);
        assert_non_null(strstr(c.interface_comment, "connection 2 is 192.0.2.1:80 with 192.0.2.2:"));
        packets += c.n;
        free_capture(&c);
    }
    assert_true(packets > 60);
    snprintf(name, sizeof name, "%s/x.3.pcapng", w.dir);
    assert_int_equal(stat(name, &st), -1);
    close_world(&w);
}

/* As on a full disk: a write takes a part and then fails. In a child, since the limit is the process'. */
static void fill_the_disk(struct world *w)
{
    struct rlimit limit = {100001, 100001};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_null(tern_host_trouble(w->a));
    send_bytes(w, 500000);
    const char *trouble = tern_host_trouble(w->a);
    assert_non_null(trouble);
    assert_non_null(strstr(trouble, "cannot be written"));
    assert_non_null(strstr(trouble, w->file));
    assert_null(tern_host_trouble(w->a)); /* said once */
    send_bytes(w, 100000);
    assert_null(tern_host_trouble(w->a));
    struct capture c = read_capture(w->file);
    assert_true(c.n > 10);
    assert_true(c.len <= 100001);
    free_capture(&c);
}

static void a_full_disk_ends_the_capture_only(void **state)
{
    struct world w;
    int status;
    (void)state;
    open_world(&w, 4096);
    start(&w, (tern_capture_config){0});
    connect_both(&w);
    pid_t pid = fork();
    if (pid == 0) {
        fill_the_disk(&w);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close_world(&w);
}

static void what_cannot_begin_says_why(void **state)
{
    struct world w;
    char err[400];
    tern_capture_config cfg = {.file = "/nonexistent/x.pcapng"};
    (void)state;
    open_world(&w, 4096);
    assert_int_equal(tern_host_capture(w.a, &cfg, err, sizeof err), -ENOENT);
    assert_non_null(strstr(err, "/nonexistent/x.pcapng cannot be written"));
    cfg.file = "/dev/full";
    assert_int_equal(tern_host_capture(w.a, &cfg, err, sizeof err), -ENOSPC);
    assert_null(tern_host_trouble(w.a));
    cfg.file = w.file;
    assert_int_equal(tern_host_capture(w.b, &cfg, err, sizeof err), -EINVAL);
    assert_non_null(strstr(err, "trace_records"));
    assert_int_equal(tern_host_capture(w.a, NULL, err, sizeof err), 0);
    close_world(&w);
}

/* One may begin in the middle of a life, end, and begin again. */
static void captures_come_and_go(void **state)
{
    struct world w;
    char err[400];
    (void)state;
    open_world(&w, 256);
    connect_both(&w);
    send_bytes(&w, 1000000); /* the ring goes round many times, and nobody reads it */
    start(&w, (tern_capture_config){0});
    send_bytes(&w, 10000);
    struct capture c = read_capture(w.file);
    assert_true(c.n > 7);
    assert_int_equal(count(&c, "not known"), 0);
    free_capture(&c);
    assert_int_equal(tern_host_capture(w.a, NULL, err, sizeof err), 0);
    send_bytes(&w, 10000);
    start(&w, (tern_capture_config){0});
    c = read_capture(w.file);
    assert_int_equal(c.n, 0);
    free_capture(&c);
    close_world(&w);
}

/* Options longer than their 16-bit length, data of every length modulo 4, no texts at all. */
static void blocks_of_every_shape(void **state)
{
    struct pcapng p = {0};
    char name[] = "/tmp/tern-unit-XXXXXX", *text = malloc(70000);
    uint8_t data[8] = {0x45, 1, 2, 3, 4, 5, 6, 7};
    (void)state;
    memset(text, 'x', 69999);
    text[69999] = '\0';
    pcapng_section(&p, NULL, text);
    pcapng_interface(&p, NULL, "", NULL, false);
    for (uint32_t n = 0; n <= 8; n++)
        pcapng_packet(&p, &(struct pcapng_packet){.data = data, .len = n, .whole = n, .t_us = 1ull << 40 | n,
                                                  .lost = n, .comment = n % 2 ? "odd" : NULL});
    assert_false(p.failed);
    int fd = mkstemp(name);
    assert_int_equal(write(fd, p.bytes, p.len), (ssize_t)p.len);
    close(fd);
    struct capture c = read_capture(name);
    assert_int_equal(c.n, 9);
    for (uint32_t n = 0; n <= 8; n++) {
        assert_int_equal(c.packets[n].len, n);
        assert_memory_equal(c.packets[n].data, data, n);
        assert_int_equal(c.packets[n].t_us, 1ull << 40 | n);
        assert_string_equal(c.packets[n].comment, n % 2 ? "odd" : "");
    }
    free_capture(&c);
    pcapng_free(&p);
    unlink(name);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_life),
        cmocka_unit_test(drops_say_why),
        cmocka_unit_test(an_overwritten_trace_is_admitted),
        cmocka_unit_test(files_rotate),
        cmocka_unit_test(a_full_disk_ends_the_capture_only),
        cmocka_unit_test(what_cannot_begin_says_why),
        cmocka_unit_test(captures_come_and_go),
        cmocka_unit_test(blocks_of_every_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
