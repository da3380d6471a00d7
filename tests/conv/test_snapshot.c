/* Snapshots (tern.h): in the middle of everything a stack is written down, and goes on elsewhere, in this
 * process and in another one; with the same inputs original and copy do the same to the last byte. What is
 * not such an image is refused, each kind with its own error.
 *
 * The world: A is the stack that is copied, B its peer. A path between them loses and reorders by a seed.
 * What is done to A is on a tape (lab/tape.h).
 */
#include "lab/lab.h"
#include "lab/tape.h"

#include "base/image.h"
#include "tcp/tcp.h"

#include <tern/lent.h>
#include <tern/snapshot.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONNS = 6, BLOCK = 4 << 20, RING = 4096, WIRE = 512, BYTES = 150000, FOREIGN = 8 << 20 };

/* The connections: the first four carry bytes both ways. */
enum { IN_TIME_WAIT = 4, HALF_OPEN = 5 };

struct flight {
    uint64_t due;
    uint8_t *bytes;
    uint32_t len;
    bool to_a;
};

struct conn {
    tern_handle a, b;
    uint16_t port;
    uint64_t a_wrote, a_read, b_wrote, b_read;
    bool a_shut, b_shut, a_eof, b_eof;
};

struct scene {
    tern *a, *b;
    void *block[2];
    tern_trace_record *ring;
    tern_handle listener;
    struct conn conn[CONNS];
    struct flight wire[WIRE];
    int n_wire;
    uint64_t now, dice;
    /* A's program lends what it sends, and what A receives stays where the link has put it: */
    bool lending;
    uint8_t *lent, *link; /* memory outside of A, FOREIGN bytes each */
    int lent_region, link_region;
    uint32_t lent_at, link_at;
    bool recording;
    struct bytes tape, record; /* of A, while recording; */
    struct bytes scratch;      /* otherwise, and of B */
};

static uint32_t draw(struct scene *s, uint32_t n)
{
    uint64_t z = s->dice += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(((z ^ (z >> 31)) >> 32) * n >> 32);
}

static tern_ip ip_of(bool a) { return tern_ip4(10, 0, 0, a ? 1 : 2); }

/* Perform on A or B. Returns the result; `*data` is what follows it. */
static int64_t on(struct scene *s, bool a, struct op o, const void *bytes, const uint8_t **data)
{
    struct bytes *out = a && s->recording ? &s->record : &s->scratch;
    int64_t result;
    if (out == &s->scratch)
        s->scratch.n = 0;
    if (a && s->recording) {
        bytes_put(&s->tape, &o, sizeof o);
        bytes_put(&s->tape, bytes, o.len);
    }
    size_t at = tape_do(a ? s->a : s->b, &o, bytes, out);
    tcp_check_all(a ? s->a : s->b);
    memcpy(&result, out->v + at, sizeof result);
    if (data != NULL)
        *data = out->v + at + sizeof result;
    return result;
}

/* --- the path ----------------------------------------------------------------------------------- */

static uint16_t port_of(const uint8_t *p, bool from_a)
{
    const uint8_t *tcp = p + 20 + (from_a ? 2 : 0); /* the port on B's side */
    return (uint16_t)(tcp[0] << 8 | tcp[1]);
}

static void set_out(struct scene *s, const uint8_t *p, uint32_t len, bool to_a)
{
    bool halfopen = s->conn[HALF_OPEN].port != 0 && port_of(p, !to_a) == s->conn[HALF_OPEN].port;
    if (s->n_wire == WIRE || draw(s, 100) < 5 || (!to_a && halfopen))
        return;
    struct flight *f = &s->wire[s->n_wire++];
    *f = (struct flight){.due = s->now + 3000 + draw(s, 12000), .len = len, .to_a = to_a};
    f->bytes = malloc(len);
    memcpy(f->bytes, p, len);
}

static void send_all(struct scene *s, bool a)
{
    const uint8_t *data;
    int64_t len;
    while ((len = on(s, a, (struct op){.what = OP_TX, .now = s->now}, NULL, &data)) > 0)
        set_out(s, data, (uint32_t)len, !a);
}

/* A packet reaches A in the link's memory, where it may stay. */
static void receive_lendable(struct scene *s, const struct flight *f)
{
    assert_true(s->link_at + f->len <= FOREIGN);
    memcpy(s->link + s->link_at, f->bytes, f->len);
    tern_rx_packet p = {
        .data = s->link + s->link_at,
        .len = f->len,
        .link = 1,
        .flags = TERN_RX_LENDABLE,
        .region = (uint8_t)s->link_region,
        .pinned = f->len,
        .buffer = s->link_at,
    };
    tern_rx(s->a, s->now, &p, 1);
    s->link_at += (f->len + 15) & ~15u;
}

static void arrive(struct scene *s)
{
    for (int i = 0; i < s->n_wire;) {
        struct flight f = s->wire[i];
        if (f.due > s->now) {
            i++;
            continue;
        }
        s->wire[i] = s->wire[--s->n_wire];
        if (f.to_a && s->lending && !s->recording)
            receive_lendable(s, &f);
        else
            on(s, f.to_a, (struct op){.what = OP_RX, .now = s->now, .len = f.len}, f.bytes, NULL);
        free(f.bytes);
        if (draw(s, 3) > 0)
            send_all(s, f.to_a);
    }
}

/* --- the programs ------------------------------------------------------------------------------- */

static uint8_t byte_at(uint64_t pos) { return (uint8_t)(pos * 31 + (pos >> 8) * 7 + (pos >> 16)); }

static void write_some(struct scene *s, bool a, tern_handle h, uint64_t *wrote)
{
    uint8_t buf[5000];
    uint64_t n = 1 + draw(s, sizeof buf);
    n = n < BYTES - *wrote ? n : BYTES - *wrote;
    for (uint64_t i = 0; i < n; i++)
        buf[i] = byte_at(*wrote + i);
    int64_t got;
    if (a && s->lending && !s->recording) {
        memcpy(s->lent + s->lent_at, buf, n);
        got = tern_lend(s->a, h, s->lent_region, s->lent_at, n, s->lent_at, 0);
        s->lent_at += (uint32_t)n;
    } else {
        got = on(s, a, (struct op){.what = OP_SEND, .handle = h.v, .len = (uint32_t)n}, buf, NULL);
    }
    assert_true(got > 0 || got == -TERN_EAGAIN);
    *wrote += got > 0 ? (uint64_t)got : 0;
}

static void read_some(struct scene *s, bool a, tern_handle h, uint64_t *read, bool *eof)
{
    const uint8_t *data;
    int64_t n =
        on(s, a, (struct op){.what = OP_RECV, .handle = h.v, .arg = 1 + draw(s, 9000)}, NULL, &data);
    assert_true(n >= 0 || n == -TERN_EAGAIN);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(data[i], byte_at(*read + (uint64_t)i));
    *read += n > 0 ? (uint64_t)n : 0;
    *eof |= n == 0;
}

static void shut(struct scene *s, bool a, tern_handle h, bool *done)
{
    if (!*done)
        assert_int_equal(on(s, a, (struct op){.what = OP_SHUTDOWN, .handle = h.v}, NULL, NULL), 0);
    *done = true;
}

static void program(struct scene *s, struct conn *c, bool a)
{
    tern_handle h = a ? c->a : c->b;
    uint64_t *wrote = a ? &c->a_wrote : &c->b_wrote, *read = a ? &c->a_read : &c->b_read;
    bool *eof = a ? &c->a_eof : &c->b_eof, *did = a ? &c->a_shut : &c->b_shut;
    if (h.v == 0)
        return;
    if (*wrote < BYTES && draw(s, 2))
        write_some(s, a, h, wrote);
    if (*wrote == BYTES)
        shut(s, a, h, did);
    if (!*eof && draw(s, 3) == 0)
        read_some(s, a, h, read, eof);
}

/* A's accepted connections are told apart by B's port. */
static void accept_all(struct scene *s)
{
    const uint8_t *data;
    tern_info info;
    while (on(s, true, (struct op){.what = OP_ACCEPT, .handle = s->listener.v}, NULL, &data) == 0) {
        tern_handle h;
        memcpy(&h, data, sizeof h);
        assert_int_equal(tern_get_info(s->a, h, &info), 0);
        for (int i = 0; i < CONNS; i++)
            if (s->conn[i].port == info.remote.port)
                s->conn[i].a = h;
    }
}

static void round_of(struct scene *s)
{
    s->now += 500 + draw(s, 4000);
    on(s, true, (struct op){.what = OP_TICK, .now = s->now}, NULL, NULL);
    on(s, false, (struct op){.what = OP_TICK, .now = s->now}, NULL, NULL);
    arrive(s);
    accept_all(s);
    for (int i = 0; i < IN_TIME_WAIT; i++)
        for (int a = 0; a < 2; a++)
            program(s, &s->conn[i], a);
    if (draw(s, 20) == 0 && !s->lending) /* seldom: events are to wait */
        on(s, true, (struct op){.what = OP_EVENTS, .arg = draw(s, 16)}, NULL, NULL);
    on(s, false, (struct op){.what = OP_EVENTS, .arg = 16}, NULL, NULL);
    send_all(s, false);
    if (draw(s, 4) > 0)
        send_all(s, true);
}

/* --- beginning and end -------------------------------------------------------------------------- */

static tern *make(struct scene *s, bool a)
{
    tern *t;
    tern_link_info link = {.mtu = 1500};
    tern_ip ip = ip_of(a);
    tern_config cfg = {.seed = {a ? 1 : 2}, .msl_ms = 20000, .send_buffer = 40000, .recv_buffer = 60000};
    if (a) {
        cfg.trace = s->ring = aligned_alloc(16, RING * sizeof *s->ring);
        cfg.trace_records = RING;
    }
    s->block[a] = aligned_alloc(64, BLOCK);
    assert_int_equal(tern_create(&t, &cfg, s->block[a], BLOCK), 0);
    assert_int_equal(tern_link_add(t, &link), 1);
    assert_int_equal(tern_addr_add(t, 1, &ip, 24), 0);
    tern_tick(t, s->now);
    return t;
}

static void open_conn(struct scene *s, int i)
{
    tern_endpoint to = {.ip = ip_of(true), .port = 80};
    tern_info info;
    assert_int_equal(tern_connect(s->b, NULL, &to, &s->conn[i].b), 0);
    assert_int_equal(tern_get_info(s->b, s->conn[i].b, &info), 0);
    s->conn[i].port = info.local.port;
    send_all(s, false);
}

/* One connection that A ends, and releases: it stays in TIME_WAIT. */
static void leave_time_wait(struct scene *s)
{
    struct conn *c = &s->conn[IN_TIME_WAIT];
    tern_live live;
    open_conn(s, IN_TIME_WAIT);
    for (int i = 0; i < 5000 && c->a.v == 0; i++)
        round_of(s);
    assert_int_equal(on(s, true, (struct op){.what = OP_CLOSE, .handle = c->a.v}, NULL, NULL), 0);
    for (int i = 0; i < 5000 && !c->b_eof; i++) {
        round_of(s);
        read_some(s, false, c->b, &c->b_read, &c->b_eof);
    }
    assert_int_equal(tern_close(s->b, c->b), 0);
    do {
        round_of(s);
        tern_get_live(s->a, &live);
    } while (live.timewait == 0);
}

/* Packets of another kind wait in A, too: the answer to an echo, half of a datagram. */
static void leave_icmp(struct scene *s)
{
    uint8_t p[200] = {0};
    tern_ip us = ip_of(true), they = ip_of(false);
    uint16_t n = ip_emit(p, &they, &us, PROTO_ICMP, 64, 0, 8 + 100, 7);
    for (int i = 0; i < 100; i++)
        p[n + 8 + i] = (uint8_t)i;
    icmp_emit(p + n, 4, ICMP_ECHO, 0, 5, p + n + 8, 100, &they, &us);
    on(s, true, (struct op){.what = OP_RX, .now = s->now, .len = n + 108u}, p, NULL);
    memset(p, 0, sizeof p);
    n = ip_emit_fragment(p, &they, &us, PROTO_TCP, 64, 0, 64, 9, 0, true);
    on(s, true, (struct op){.what = OP_RX, .now = s->now, .len = n + 64u}, p, NULL);
}

/* Whether A is in the middle of everything that a connection can be in the middle of. */
static bool in_the_middle(struct scene *s)
{
    tern_live live;
    uint64_t unread = 0, unacked = 0;
    tern_get_live(s->a, &live);
    for (int i = 0; i < IN_TIME_WAIT; i++) {
        tern_info info;
        if (tern_get_info(s->a, s->conn[i].a, &info) != 0)
            return false;
        unread += info.recv_queue;
        unacked += info.send_unacked;
    }
    return live.ranges > 0 && live.halfopen > 0 && live.timewait > 0 && live.sendrecs > 2 && unread > 0 &&
           unacked > 0 && s->a->w->events.head != 0;
}

static void begin_with(struct scene *s, uint64_t seed, bool lending)
{
    *s = (struct scene){.now = 1000000, .dice = seed, .lending = lending};
    s->a = make(s, true);
    s->b = make(s, false);
    if (lending) {
        s->lent = malloc(FOREIGN);
        s->link = aligned_alloc(16, FOREIGN);
        s->lent_region = tern_region_add(s->a, s->lent, FOREIGN);
        s->link_region = tern_region_add(s->a, s->link, FOREIGN);
    }
    tern_endpoint at = {.port = 80};
    assert_int_equal(tern_listen(s->a, &at, 16, &s->listener), 0);
    leave_time_wait(s);
    open_conn(s, HALF_OPEN);
    for (int i = 0; i < IN_TIME_WAIT; i++)
        open_conn(s, i);
    for (int i = 0; !in_the_middle(s); i++) {
        assert_true(i < 5000);
        round_of(s);
    }
    leave_icmp(s);
}

static void begin(struct scene *s, uint64_t seed) { begin_with(s, seed, false); }

/* All bytes go over, both ways, and everything ends. */
static void finish(struct scene *s)
{
    bool done = false;
    for (int i = 0; !done; i++) {
        assert_true(i < 100000);
        round_of(s);
        done = true;
        for (int k = 0; k < IN_TIME_WAIT; k++)
            done &= s->conn[k].a_eof && s->conn[k].b_eof;
    }
    for (int k = 0; k < IN_TIME_WAIT; k++) {
        struct conn *c = &s->conn[k];
        assert_int_equal(c->a_read, BYTES);
        assert_int_equal(c->b_read, BYTES);
        on(s, true, (struct op){.what = OP_CLOSE, .handle = c->a.v}, NULL, NULL);
    }
    if (!s->lending) /* a copy has returned its lent buffers at once, and has copied more */
        on(s, true, (struct op){.what = OP_INFO}, NULL, NULL);
    on(s, true, (struct op){.what = OP_CLOSE, .handle = s->listener.v}, NULL, NULL);
    s->now += 3600 * SEC;
    for (int i = 0; i < 400; i++, s->now += SEC) {
        on(s, true, (struct op){.what = OP_TICK, .now = s->now}, NULL, NULL);
        while (on(s, true, (struct op){.what = OP_TX, .now = s->now}, NULL, NULL) > 0)
            continue;
    }
    tern_live live;
    tern_get_live(s->a, &live);
    assert_int_equal(live.tcbs + live.halfopen + live.timewait + live.listeners + live.chunks + live.timers +
                         live.fragments + live.ranges + live.sendrecs,
                     0);
}

static void end(struct scene *s)
{
    for (int i = 0; i < s->n_wire; i++)
        free(s->wire[i].bytes);
    free(s->block[0]);
    free(s->block[1]);
    free(s->lent);
    free(s->link);
    free(s->ring);
    bytes_free(&s->tape);
    bytes_free(&s->record);
    bytes_free(&s->scratch);
}

static struct bytes image_of(const tern *t)
{
    struct bytes image = {.n = tern_snapshot_size(t)};
    image.v = malloc(image.n);
    image.cap = image.n;
    assert_int_equal(tern_snapshot(t, image.v, image.n), 0);
    return image;
}

/* --- the copy goes on --------------------------------------------------------------------------- */

/* In place of the original, whose memory is overwritten: A's peer sees nothing. */
static void a_copy_takes_the_originals_place(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct scene s;
        begin(&s, seed);
        struct bytes image = image_of(s.a);
        uint8_t *block = aligned_alloc(64, 2 * BLOCK);
        memset(block, 0xa5, 2 * BLOCK);
        memset(s.block[1], 0xdb, BLOCK);
        assert_int_equal(tern_restore(&s.a, image.v, image.n, block, 2 * BLOCK, s.ring, RING), 0);
        free(s.block[1]);
        s.block[1] = block;
        bytes_free(&image);
        finish(&s);
        end(&s);
    }
}

/* Original and copy, one after the other, with the same inputs. */
static void a_copy_does_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed <= 14; seed++) {
        struct scene s;
        struct bytes record = {0};
        begin(&s, seed);
        uint8_t *block = aligned_alloc(64, BLOCK);
        tern_trace_record *ring = aligned_alloc(16, RING * sizeof *ring);
        tern *copy;
        assert_int_equal(tern_clone(&copy, s.a, block, BLOCK, ring, RING), 0);
        s.recording = true;
        finish(&s);
        memset(s.block[1], 0xdb, BLOCK);
        tape_play(copy, &s.tape, &record);
        assert_int_equal(record.n, s.record.n);
        assert_memory_equal(record.v, s.record.v, record.n);
        bytes_free(&record);
        free(block);
        free(ring);
        end(&s);
    }
}

/* What was done to a stack is taken back by putting its parts where they were; then the same inputs do the
 * same. */
static void parts_put_back(void **state)
{
    (void)state;
    static tern_slice parts[4096];
    for (uint64_t seed = 31; seed <= 34; seed++) {
        struct scene s;
        struct bytes record = {0}, kept = {0};
        begin(&s, seed);
        while (tern_trace_take(s.a, s.ring, RING, NULL) > 0)
            continue;
        int n = tern_parts(s.a, parts, 4096);
        assert_in_range(n, 2, 4096);
        assert_int_equal(tern_parts(s.a, parts, 1), n);
        tern_parts(s.a, parts, 4096);
        for (int i = 0; i < n; i++)
            bytes_put(&kept, parts[i].data, parts[i].len);
        s.recording = true;
        finish(&s);
        size_t at = 0;
        for (int i = 0; i < n; at += parts[i++].len)
            memcpy((uint8_t *)(uintptr_t)parts[i].data, kept.v + at, parts[i].len);
        tape_play(s.a, &s.tape, &record);
        assert_int_equal(record.n, s.record.n);
        assert_memory_equal(record.v, s.record.v, record.n);
        bytes_free(&record);
        bytes_free(&kept);
        end(&s);
    }
}

/* The other process: `test --replay IMAGE TAPE RECORD ADDRESS`. */
static int replay(char **argv)
{
    struct bytes image = bytes_read(argv[2]), tape = bytes_read(argv[3]), record = {0};
    static tern_trace_record ring[RING];
    size_t size;
    tern *t;
    if (tern_restore_size(image.v, image.n, &size) != 0)
        return 3;
    char *block = mmap(NULL, size + BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if ((uintptr_t)block == strtoull(argv[5], NULL, 16))
        block += 4096;
    if (tern_restore(&t, image.v, image.n, block, size, ring, RING) != 0)
        return 4;
    memset(image.v, 0xdb, image.n);
    tape_play(t, &tape, &record);
    bytes_write(&record, argv[4]);
    bytes_free(&image);
    bytes_free(&tape);
    bytes_free(&record);
    return 0;
}

static void run_replay(const char *const files[3], const void *address)
{
    char text[32], self[4096];
    int status = -1;
    /* its name: what /proc/self/exe leads to is valgrind, where that runs us */
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = '\0';
    snprintf(text, sizeof text, "%zx", (size_t)address);
    pid_t child = fork();
    if (child == 0) {
        execl(self, "replay", "--replay", files[0], files[1], files[2], text, (char *)NULL);
        _exit(9);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Another process reads the image from a file and goes on at another address. */
static void in_another_process(struct scene *s)
{
    char dir[] = "/tmp/tern-snapshot-XXXXXX", path[3][64];
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 3; i++)
        snprintf(path[i], sizeof path[i], "%s/%d", dir, i);
    struct bytes image = image_of(s->a);
    bytes_write(&image, path[0]);
    s->recording = true;
    finish(s);
    bytes_write(&s->tape, path[1]);
    run_replay((const char *const[]){path[0], path[1], path[2]}, s->block[1]);
    struct bytes record = bytes_read(path[2]);
    assert_int_equal(record.n, s->record.n);
    assert_memory_equal(record.v, s->record.v, record.n);
    for (int i = 0; i < 3; i++)
        unlink(path[i]);
    rmdir(dir);
    bytes_free(&image);
    bytes_free(&record);
}

static void another_process_does_the_same(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, 21);
    in_another_process(&s);
    end(&s);
}

/* With a lent send buffer and unread bytes in the link's memory. */
static void foreign_bytes_go_along(void **state)
{
    (void)state;
    struct scene s;
    begin_with(&s, 22, true);
    assert_true(s.a->w->lent.lent_count > 0 && s.a->w->lent.link_count > 0);
    in_another_process(&s);
    end(&s);
}

/* A copy refers to nothing but itself: the memory that was lent is overwritten, and all of it has come back
 * there, each piece once. In the original nothing has changed. */
static void foreign_bytes_become_the_copys_own(void **state)
{
    (void)state;
    for (int clone = 0; clone < 2; clone++) {
        struct scene s;
        tern *copy;
        begin_with(&s, 23, true);
        uint32_t lent = s.a->w->lent.lent_count, n = s.a->w->lent.back_count;
        struct bytes image = image_of(s.a);
        uint8_t *block = aligned_alloc(64, BLOCK);
        if (clone)
            assert_int_equal(tern_clone(&copy, s.a, block, BLOCK, NULL, 0), 0);
        else
            assert_int_equal(tern_restore(&copy, image.v, image.n, block, BLOCK, NULL, 0), 0);
        assert_int_equal(s.a->w->lent.lent_count, lent);
        assert_true(lent > 0);
        uint64_t original[2], now[2];
        for (tern_lent l; tern_returned(copy, &l, 1) == 1; n--)
            assert_int_equal(l.region, s.lent_region);
        assert_int_equal(n + lent, 0); /* as many as were out, and those that waited before */
        assert_int_equal(copy->w->lent.lent_count + copy->w->lent.link_count, 0);
        assert_int_equal(tern_rx_returned(copy, s.link_region, now, 1), -TERN_ENOENT);
        tern_digest(copy, original);
        memset(s.lent, 0xdb, FOREIGN);
        memset(s.link, 0xdb, FOREIGN);
        tern_digest(copy, now); /* it covers every byte in a queue */
        assert_memory_equal(original, now, sizeof now);
        bytes_free(&image);
        free(s.block[1]);
        s.block[1] = block;
        s.a = copy;
        s.lending = false;
        finish(&s);
        end(&s);
    }
}

/* In every state, the small records included. */
static void every_state_can_move(void **state)
{
    (void)state;
    for (int place = 0; place < LAB_PLACES; place++)
        for (int active = 0; active < 2; active++) {
            struct lab *l = lab_new(NULL, &(struct lab_config){.memory = 1 << 20});
            lab_reach(l, (enum lab_place)place, active);
            struct bytes image = image_of(l->t);
            uint8_t *block = aligned_alloc(64, 1 << 20);
            memset(l->block, 0xdb, 1 << 20);
            assert_int_equal(tern_restore(&l->t, image.v, image.n, block, 1 << 20, NULL, 0), 0);
            free(l->block);
            l->block = block;
            bytes_free(&image);
            assert_int_equal(lab_state(l, 0), lab_place_state((enum lab_place)place));
            lab_end(l);
        }
}

/* --- what is refused ---------------------------------------------------------------------------- */

static int restored(const struct bytes *image, size_t len)
{
    static _Alignas(64) uint8_t block[BLOCK];
    tern *t;
    return tern_restore(&t, image->v, len, block, sizeof block, NULL, 0);
}

static struct bytes small_image(struct lab *l)
{
    lab_reach(l, LAB_ESTABLISHED, true);
    return image_of(l->t);
}

static void each_defect_has_its_error(void **state)
{
    struct lab *l = lab_new(state, &(struct lab_config){.memory = 1 << 20});
    struct bytes image = small_image(l);
    static const struct {
        size_t at; /* of the byte that is wrong */
        int error;
    } defects[] = {
        {0, -TERN_ENOEXEC},
        {7, -TERN_ENOEXEC},
        {8, -TERN_EOPNOTSUPP},       /* byte order */
        {12, -TERN_EPROTONOSUPPORT}, /* version */
        {16, -TERN_EOPNOTSUPP},      /* layout */
        {32, -TERN_EBADMSG},         /* sum */
        {48, -TERN_EBADMSG},         /* all behind it */
    };
    assert_int_equal(restored(&image, image.n), 0);
    for (size_t i = 0; i < sizeof defects / sizeof defects[0]; i++) {
        image.v[defects[i].at] ^= 0x10;
        assert_int_equal(restored(&image, image.n), defects[i].error);
        image.v[defects[i].at] ^= 0x10;
    }
    for (size_t len = 0; len < image.n; len += 1 + len / 16)
        assert_int_equal(restored(&image, len), -TERN_ENODATA);
    bytes_put(&image, "more", 4); /* what follows is not ours */
    assert_int_equal(restored(&image, image.n), 0);
    assert_int_equal(restored(&(struct bytes){.v = (uint8_t *)"no image, but text"}, 18), -TERN_ENOEXEC);
    bytes_free(&image);
    lab_end(l);
}

static void every_flipped_bit_is_found(void **state)
{
    struct lab *l = lab_new(state, &(struct lab_config){.memory = 1 << 20});
    struct bytes image = small_image(l);
    for (size_t at = 0; at < image.n; at += at < 4096 ? 3 : 257) {
        uint8_t bit = (uint8_t)(1u << at % 8);
        image.v[at] ^= bit;
        assert_int_not_equal(restored(&image, image.n), 0);
        image.v[at] ^= bit;
    }
    assert_int_equal(restored(&image, image.n), 0);
    bytes_free(&image);
    lab_end(l);
}

static void the_place_must_be_right(void **state)
{
    struct lab *l = lab_new(state, &(struct lab_config){.memory = 1 << 20});
    struct bytes image = small_image(l);
    static _Alignas(64) uint8_t block[(1 << 20) + 8];
    tern_trace_record ring[3];
    size_t need;
    tern *t;
    assert_int_equal(tern_snapshot(l->t, image.v, image.n - 1), -TERN_EMSGSIZE);
    assert_int_equal(tern_restore_size(image.v, image.n, &need), 0);
    assert_true(need <= 1 << 20);
    assert_int_equal(tern_restore(&t, image.v, image.n, block, need - 1, NULL, 0), -TERN_ENOMEM);
    assert_int_equal(tern_restore(&t, image.v, image.n, block + 8, need, NULL, 0), -TERN_EINVAL);
    assert_int_equal(tern_restore(&t, image.v, image.n, NULL, need, NULL, 0), -TERN_EINVAL);
    assert_int_equal(tern_restore(&t, image.v, image.n, block, need, ring, 3), -TERN_EINVAL);
    assert_int_equal(tern_restore(&t, image.v, image.n, block, need, NULL, 0), 0);
    assert_int_equal(tern_clone(&t, l->t, block, need - 1, NULL, 0), -TERN_ENOMEM);
    assert_int_equal(tern_clone(&t, l->t, block + 4, need, NULL, 0), -TERN_EINVAL);
    assert_int_equal(tern_clone(&t, l->t, block, need, NULL, 0), 0);
    assert_int_equal(tern_snapshot_size(t), tern_snapshot_size(l->t));
    bytes_free(&image);
    lab_end(l);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_takes_the_originals_place),
        cmocka_unit_test(a_copy_does_the_same),
        cmocka_unit_test(parts_put_back),
        cmocka_unit_test(another_process_does_the_same),
        cmocka_unit_test(foreign_bytes_go_along),
        cmocka_unit_test(foreign_bytes_become_the_copys_own),
        cmocka_unit_test(every_state_can_move),
        cmocka_unit_test(each_defect_has_its_error),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(the_place_must_be_right),
    };
    if (argc == 6 && strcmp(argv[1], "--replay") == 0)
        return replay(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
