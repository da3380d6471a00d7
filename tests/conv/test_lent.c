/* Memory that is lent, received bytes that stay where they are, and chunks that pass from connection to
 * connection: across three stacks, A writes, a relay R passes on, B reads; both ways at once.
 * What each call promises is in tern/lent.h. */
#include "lab/lend.h"

#include "tcp/tcp.h"

enum { A, R, B };

/* --- a relay in which programs use all the ways ---------------------------------------------------- */

enum way { MOVE, TAKE, COPY, PEEK, WAYS };

/* One direction: writer ─▶ relay ─▶ reader. */
struct flow {
    uint32_t stream;
    int from, to;                 /* hosts of writer and reader */
    tern_handle writer, in, out, reader;
    uint64_t total, wrote, read;
    bool shut, passed, done;
    tern_chunk chunk;             /* taken by the relay, `sent` of `size` bytes queued */
    uint64_t sent, size;
    uint8_t buf[3000];            /* copied by the relay */
};

struct relay {
    struct lend_net n;
    struct flow flow[2];
};

static void write_some(struct relay *r, struct flow *f)
{
    struct lend_net *n = &r->n;
    uint32_t len = 1 + lend_dice(n, lend_dice(n, 3) ? LEND_TX : 700);
    if (f->shut || lend_dice(n, 3) == 0)
        return;
    if (f->wrote == f->total) {
        assert_int_equal(tern_shutdown(n->host[f->from].t, f->writer), 0);
        f->shut = true;
        return;
    }
    len = min_u32(len, (uint32_t)min_u64(f->total - f->wrote, LEND_TX));
    bool lends = lend_dice(n, 3) > 0;
    long got = lends ? lend_lend(n, f->from, f->writer, f->stream, f->wrote, len, lend_dice(n, 2))
                     : lend_send(n, f->from, f->writer, f->stream, f->wrote, len);
    assert_true(got > 0 || got == -TERN_EAGAIN);
    f->wrote += got > 0 ? (uint64_t)got : 0;
}

/* What reading said when it gave no bytes: at the end of the stream it is passed on. */
static void nothing_read(struct relay *r, struct flow *f, long said)
{
    if (said != 0) {
        assert_int_equal(said, -TERN_EAGAIN);
        return;
    }
    assert_int_equal(tern_shutdown(r->n.host[R].t, f->out), 0);
    f->passed = true;
}

static void pass_take(struct relay *r, struct flow *f)
{
    tern *t = r->n.host[R].t;
    long got = tern_take(t, f->in, 1 + lend_dice(&r->n, 20000), &f->chunk);
    if (got <= 0) {
        f->chunk.v = 0;
        if (got != -TERN_ENOMEM)
            nothing_read(r, f, got);
        return;
    }
    f->size = (uint64_t)got;
    f->sent = 0;
}

static void pass_copy(struct relay *r, struct flow *f)
{
    long got = tern_recv(r->n.host[R].t, f->in, f->buf, sizeof f->buf);
    if (got <= 0) {
        nothing_read(r, f, got);
        return;
    }
    f->size = (uint64_t)got;
    f->sent = 0;
}

/* What the relay still holds goes on. */
static void pass_held(struct relay *r, struct flow *f)
{
    tern *t = r->n.host[R].t;
    uint64_t left = f->size - f->sent;
    long got = f->chunk.v != 0 ? tern_send_chunk(t, f->out, f->chunk, f->sent, left, 0)
                               : tern_send(t, f->out, f->buf + f->sent, left, 0);
    assert_true(got > 0 || got == -TERN_EAGAIN);
    f->sent += got > 0 ? (uint64_t)got : 0;
    if (f->sent < f->size)
        return;
    if (f->chunk.v != 0)
        assert_int_equal(tern_drop(t, f->chunk), 0);
    f->chunk.v = f->size = f->sent = 0;
}

static void pass_peek(struct relay *r, struct flow *f)
{
    tern *t = r->n.host[R].t;
    tern_slice slices[2];
    int n = tern_peek(t, f->in, slices, 2);
    if (n <= 0) {
        nothing_read(r, f, n);
        return;
    }
    uint8_t *copy = malloc(slices[0].len); /* slices end with the next call */
    memcpy(copy, slices[0].data, slices[0].len);
    long got = tern_send(t, f->out, copy, slices[0].len, 0);
    free(copy);
    assert_true(got > 0 || got == -TERN_EAGAIN);
    if (got > 0)
        assert_int_equal(tern_consume(t, f->in, (size_t)got), 0);
}

static void pass_move(struct relay *r, struct flow *f)
{
    size_t n = lend_dice(&r->n, 2) ? SIZE_MAX : 1 + lend_dice(&r->n, 5000);
    long got = tern_move(r->n.host[R].t, f->in, f->out, n, 0);
    if (got <= 0)
        nothing_read(r, f, got);
}

static void pass_on(struct relay *r, struct flow *f)
{
    if (f->passed || lend_dice(&r->n, 4) == 0)
        return;
    if (f->size > 0) {
        pass_held(r, f);
        return;
    }
    switch ((enum way)lend_dice(&r->n, WAYS)) {
    case TAKE: pass_take(r, f); break;
    case COPY: pass_copy(r, f); break;
    case PEEK: pass_peek(r, f); break;
    default: pass_move(r, f); break;
    }
}

static long read_slices(tern *t, struct flow *f, const tern_slice *slices, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++) {
        lend_same(slices[i].data, slices[i].len, f->stream, f->read + sum);
        sum += slices[i].len;
    }
    if (n > 0)
        assert_int_equal(tern_consume(t, f->reader, sum), 0);
    return n > 0 ? (long)sum : n;
}

static long read_taken(tern *t, struct flow *f)
{
    tern_chunk chunk;
    tern_slice slices[3];
    long got = tern_take(t, f->reader, 9000, &chunk);
    size_t seen = 0;
    if (got <= 0)
        return got;
    for (int n; (n = tern_chunk_peek(t, chunk, seen, slices, 3)) > 0;)
        for (int i = 0; i < n; seen += slices[i].len, i++)
            lend_same(slices[i].data, slices[i].len, f->stream, f->read + seen);
    assert_int_equal(seen, got);
    assert_int_equal(tern_drop(t, chunk), 0);
    return got;
}

static void read_some(struct relay *r, struct flow *f)
{
    uint8_t buf[4000];
    tern_slice slices[4];
    tern *t = r->n.host[f->to].t;
    uint32_t way = lend_dice(&r->n, 4);
    long got = 0;
    if (f->done || way == 3)
        return;
    if (way == 0) {
        got = tern_recv(t, f->reader, buf, sizeof buf);
        lend_same(buf, got > 0 ? (size_t)got : 0, f->stream, f->read);
    } else if (way == 1) {
        got = read_slices(t, f, slices, tern_peek(t, f->reader, slices, 4));
    } else {
        got = read_taken(t, f);
    }
    assert_true(got >= 0 || got == -TERN_EAGAIN || got == -TERN_ENOMEM);
    f->read += got > 0 ? (uint64_t)got : 0;
    f->done = got == 0;
}

static void begin_relay(struct relay *r, uint64_t seed, const tern_config *cfg, uint64_t total)
{
    tern_handle a, ra, rb, b;
    lend_begin(&r->n, seed, cfg);
    lend_connect(&r->n, A, R, &a, &ra);
    lend_connect(&r->n, R, B, &rb, &b);
    r->flow[0] = (struct flow){.stream = 1, .from = A, .to = B, .total = total, .writer = a, .in = ra};
    r->flow[0].out = rb, r->flow[0].reader = b;
    r->flow[1] = (struct flow){.stream = 2, .from = B, .to = A, .total = total, .writer = b, .in = rb};
    r->flow[1].out = ra, r->flow[1].reader = a;
}

static void turn(struct relay *r)
{
    for (int i = 0; i < 2; i++) {
        write_some(r, &r->flow[i]);
        pass_on(r, &r->flow[i]);
        read_some(r, &r->flow[i]);
    }
    lend_step(&r->n);
}

static void close_relay(struct relay *r)
{
    for (int i = 0; i < 2; i++) {
        struct flow *f = &r->flow[i];
        if (f->chunk.v != 0)
            assert_int_equal(tern_drop(r->n.host[R].t, f->chunk), 0);
        assert_int_equal(tern_close(r->n.host[f->from].t, f->writer), 0);
        assert_int_equal(tern_close(r->n.host[R].t, f->in), 0);
    }
    lend_end(&r->n);
}

static void relay_runs(uint64_t seed, const tern_config *cfg, uint32_t harm, uint64_t total)
{
    struct relay *r = calloc(1, sizeof *r);
    begin_relay(r, seed, cfg, total);
    r->n.lose = r->n.late = r->n.twice = harm;
    r->n.plain = seed % 3 == 0 ? 128 : 0;
    for (int steps = 0; !r->flow[0].done || !r->flow[1].done; steps++) {
        turn(r);
        assert_true(steps < 400000);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(r->flow[i].read, total);
    assert_true(r->n.host[A].returned > 5);
    assert_true(r->n.host[A].told > 0);
    close_relay(r);
    free(r);
}

static void test_all_ways_mixed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++)
        relay_runs(seed, NULL, 0, 600000);
}

static void test_all_ways_mixed_under_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed <= 20; seed++)
        relay_runs(seed, NULL, 8, 300000);
}

/* Small buffers, small pages: every queue is often full, every chunk often cut. */
static void test_all_ways_mixed_in_little_room(void **state)
{
    const tern_config cfg = {.page_size = 2048, .send_buffer = 6000, .recv_buffer = 9000};
    (void)state;
    for (uint64_t seed = 21; seed <= 26; seed++)
        relay_runs(seed, &cfg, 6, 120000);
}

/* Programs that do not read, so that a link runs out of memory and asks for it back. */
static void test_compaction_gives_the_link_its_memory(void **state)
{
    struct lend_net *n = calloc(1, sizeof *n);
    tern_handle a, r;
    uint64_t pos = 0, read = 0;
    uint8_t buf[5000];
    (void)state;
    lend_begin(n, 5, &(tern_config){.send_buffer = 1 << 20});
    lend_connect(n, A, R, &a, &r);
    while (pos < 700000) { /* more than all the receive slots can hold */
        long got = lend_send(n, A, a, 9, pos, 20000);
        pos += got > 0 ? (uint64_t)got : 0;
        lend_step(n);
    }
    lend_steps(n, 50);
    assert_true(n->host[R].rx_short > 0);
    tern_live v;
    tern_get_live(n->host[R].t, &v);
    assert_true(v.kept > 0 && v.kept < LEND_RX_SLOTS);
    assert_true(v.chunks > 60);
    tern_stats s;
    tern_get_stats(n->host[R].t, &s);
    assert_true(s.copied_bytes > 200000 && s.copied_bytes < 700000);
    for (long got; (got = tern_recv(n->host[R].t, r, buf, sizeof buf)) > 0; read += (uint64_t)got)
        lend_same(buf, (size_t)got, 9, read);
    lend_steps(n, 20);
    tern_abort(n->host[A].t, a);
    tern_abort(n->host[R].t, r);
    lend_end(n);
    free(n);
}

/* --- nothing is copied ------------------------------------------------------------------------------ */

/* A lends, R moves, B looks at the bytes in place: no stack copies one byte of payload. */
static void test_the_lent_path_copies_nothing(void **state)
{
    enum { SEGMENT = 1448, TOTAL = SEGMENT * 600, LOT = SEGMENT * 5 };
    struct relay *r = calloc(1, sizeof *r);
    (void)state;
    begin_relay(r, 3, &(tern_config){.send_buffer = SEGMENT * 60}, TOTAL);
    struct flow *f = &r->flow[0];
    tern_stats before[LEND_HOSTS], after;
    for (int i = 0; i < LEND_HOSTS; i++)
        tern_get_stats(r->n.host[i].t, &before[i]);
    for (int steps = 0; f->read < TOTAL; steps++) {
        tern_slice slices[8];
        if (f->wrote < TOTAL) {
            long got = lend_lend(&r->n, A, f->writer, 1, f->wrote, LOT, 0);
            f->wrote += got > 0 ? (uint64_t)got : 0;
        }
        tern_move(r->n.host[R].t, f->in, f->out, SIZE_MAX, 0);
        int n = tern_peek(r->n.host[B].t, f->reader, slices, 8);
        long got = read_slices(r->n.host[B].t, f, slices, n);
        f->read += got > 0 ? (uint64_t)got : 0;
        lend_step(&r->n);
        assert_true(steps < 20000);
    }
    for (int i = 0; i < LEND_HOSTS; i++) {
        tern_get_stats(r->n.host[i].t, &after);
        assert_int_equal(after.copied_bytes, before[i].copied_bytes);
    }
    assert_int_equal(r->n.host[A].returned, TOTAL / LOT);
    close_relay(r);
    free(r);
}

/* One received chunk goes out on two connections, and stays with the program for longer than any. */
static void test_a_chunk_goes_out_twice(void **state)
{
    struct lend_net *n = calloc(1, sizeof *n);
    tern_handle a, r, out1, in1, out2, in2;
    tern_chunk chunk;
    uint8_t buf[9000];
    tern_slice slices[9];
    (void)state;
    lend_begin(n, 4, NULL);
    lend_connect(n, A, R, &a, &r);
    lend_connect(n, R, B, &out1, &in1);
    lend_connect(n, R, A, &out2, &in2);
    assert_int_equal(lend_send(n, A, a, 1, 0, 1448 * 5), 1448 * 5);
    lend_steps(n, 5);
    tern *t = n->host[R].t;
    assert_int_equal(tern_take(t, r, SIZE_MAX, &chunk), 1448 * 5);
    tern_stats s;
    tern_get_stats(t, &s);
    uint64_t copied = s.copied_bytes;
    tern_abort(t, r);
    assert_int_equal(tern_send_chunk(t, out1, chunk, 0, 1448 * 5, 0), 1448 * 5);
    assert_int_equal(tern_send_chunk(t, out2, chunk, 1448, 5000, 0), 5000);
    tern_get_stats(t, &s);
    assert_int_equal(s.copied_bytes, copied);
    tern_live v;
    tern_get_live(t, &v);
    assert_int_equal(v.taken, 1);
    assert_int_equal(v.kept, 5);
    lend_steps(n, 20);
    assert_int_equal(tern_recv(n->host[B].t, in1, buf, sizeof buf), 1448 * 5);
    lend_same(buf, 1448 * 5, 1, 0);
    assert_int_equal(tern_recv(n->host[A].t, in2, buf, sizeof buf), 5000);
    lend_same(buf, 5000, 1, 1448);
    assert_int_equal(tern_chunk_peek(t, chunk, 0, slices, 9), 5);
    lend_same(slices[0].data, slices[0].len, 1, 0);
    assert_int_equal(tern_chunk_peek(t, chunk, 1448 * 5, slices, 9), 0);
    assert_int_equal(tern_drop(t, chunk), 0);
    assert_int_equal(tern_drop(t, chunk), -TERN_EBADF);
    assert_int_equal(tern_chunk_peek(t, chunk, 0, slices, 9), -TERN_EBADF);
    assert_int_equal(tern_send_chunk(t, out1, chunk, 0, 1, 0), -TERN_EBADF);
    tern_close(n->host[A].t, a), tern_close(n->host[A].t, in2), tern_close(n->host[B].t, in1);
    tern_close(t, out1), tern_close(t, out2);
    lend_end(n);
    free(n);
}

/* An echo: what a connection has received is what it sends. */
static void test_a_connection_moves_to_itself(void **state)
{
    struct lend_net *n = calloc(1, sizeof *n);
    tern_handle a, r;
    uint8_t buf[20000];
    (void)state;
    lend_begin(n, 6, NULL);
    lend_connect(n, A, R, &a, &r);
    assert_int_equal(lend_send(n, A, a, 1, 0, 10000), 10000);
    lend_steps(n, 10);
    assert_int_equal(tern_move(n->host[R].t, r, r, SIZE_MAX, 0), 10000);
    assert_int_equal(tern_move(n->host[R].t, r, r, SIZE_MAX, 0), -TERN_EAGAIN);
    lend_steps(n, 10);
    assert_int_equal(tern_recv(n->host[A].t, a, buf, sizeof buf), 10000);
    lend_same(buf, 10000, 1, 0);
    tern_close(n->host[A].t, a);
    lend_steps(n, 3);
    assert_int_equal(tern_move(n->host[R].t, r, r, 1, 0), 0);
    tern_close(n->host[R].t, r);
    lend_end(n);
    free(n);
}

/* Moving is reading: the window opens by it, and nobody waits for a probe. */
static void test_moving_opens_the_window(void **state)
{
    struct lend_net *n = calloc(1, sizeof *n);
    tern_handle a, ra, rb, b;
    uint64_t wrote = 0, read = 0;
    uint8_t buf[4096];
    (void)state;
    lend_begin(n, 12, &(tern_config){.recv_buffer = 4096});
    lend_connect(n, A, R, &a, &ra);
    lend_connect(n, R, B, &rb, &b);
    for (int steps = 0; read < 100000; steps++) {
        long got = wrote < 100000 ? lend_send(n, A, a, 1, wrote, 5000) : 0;
        wrote += got > 0 ? (uint64_t)got : 0;
        tern_move(n->host[R].t, ra, rb, SIZE_MAX, 0);
        for (; (got = tern_recv(n->host[B].t, b, buf, sizeof buf)) > 0; read += (uint64_t)got)
            lend_same(buf, (size_t)got, 1, read);
        lend_steps(n, 4); /* that the window is shut has been said before the next move */
        assert_true(steps < 100); /* a probe would come after 50 */
    }
    tern_abort(n->host[A].t, a), tern_abort(n->host[B].t, b);
    tern_abort(n->host[R].t, ra), tern_abort(n->host[R].t, rb);
    lend_end(n);
    free(n);
}

/* --- lent buffers come back, once, whatever happens -------------------------------------------------- */

/* Three buffers queued at a peer that takes nothing; the connection ends by `end`. */
static void comes_back(void (*end)(struct lend_net *n, tern_handle a, tern_handle b), uint32_t loss)
{
    struct lend_net *n = calloc(1, sizeof *n);
    tern_handle a, b;
    lend_begin(n, 7, NULL);
    lend_connect(n, A, B, &a, &b);
    n->lose = loss;
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(lend_lend(n, A, a, 1, i * 8000, 8000, 0), 8000);
    tern_live v;
    tern_get_live(n->host[A].t, &v);
    assert_int_equal(v.lent, 3);
    assert_int_equal(v.chunks, 0); /* nothing of it lies in the arena */
    lend_step(n);
    assert_int_equal(n->host[A].returned, 0);
    end(n, a, b);
    lend_fetch(n, A);
    n->lose = 0;
    lend_steps(n, 30);
    tern_close(n->host[B].t, b);
    lend_steps(n, 3000);
    assert_int_equal(n->host[A].returned, 3);
    assert_int_equal(n->host[A].last.conn.v, a.v);
    assert_int_equal(n->host[A].last.len, 8000);
    assert_true(n->host[A].told > 0);
    tern_close(n->host[A].t, a);
    lend_end(n);
    free(n);
}

static void by_abort(struct lend_net *n, tern_handle a, tern_handle b)
{
    (void)b;
    assert_int_equal(tern_abort(n->host[A].t, a), 0);
    lend_fetch(n, A);
    assert_int_equal(n->host[A].returned, 3); /* at once */
    assert_int_equal(n->host[A].last.tag, 2); /* in order */
}

static void by_reset(struct lend_net *n, tern_handle a, tern_handle b)
{
    (void)a;
    n->lose = 0;
    lend_steps(n, 3);
    tern_abort(n->host[B].t, b);
    lend_steps(n, 3);
    assert_int_equal(n->host[A].returned, 3);
}

/* The handle is released, and the bytes still go their way: their tags come back of a handle that is
 * stale. */
static void by_orphan(struct lend_net *n, tern_handle a, tern_handle b)
{
    uint8_t buf[24000];
    uint32_t read = 0;
    assert_int_equal(tern_close(n->host[A].t, a), 0);
    lend_fetch(n, A);
    assert_int_equal(n->host[A].returned, 0);
    n->lose = 0;
    for (long got; read < 24000; read += got > 0 ? (uint32_t)got : 0) {
        lend_step(n);
        got = tern_recv(n->host[B].t, b, buf + read, sizeof buf - read);
    }
    lend_same(buf, 24000, 1, 0);
}

static void by_region(struct lend_net *n, tern_handle a, tern_handle b)
{
    uint8_t buf[24000];
    uint32_t read = 0;
    struct lend_host *h = &n->host[A];
    assert_int_equal(tern_region_remove(h->t, h->tx_region), 0);
    assert_int_equal(tern_region_remove(h->t, h->tx_region), -TERN_ENOENT);
    lend_fetch(n, A); /* and overwrites the slots */
    assert_int_equal(h->returned, 3);
    assert_int_equal(tern_lend(h->t, a, h->tx_region, 0, 1, 0, 0), -TERN_EINVAL);
    n->lose = 0;
    for (long got; read < 24000; read += got > 0 ? (uint32_t)got : 0) {
        lend_step(n);
        got = tern_recv(n->host[B].t, b, buf + read, sizeof buf - read);
    }
    lend_same(buf, 24000, 1, 0);
    assert_int_equal(tern_region_add(h->t, h->tx, LEND_TX * LEND_TX_SLOTS), h->tx_region);
}

static void test_lent_buffers_come_back_by_abort(void **state) { (void)state, comes_back(by_abort, 0); }
static void test_lent_buffers_come_back_by_reset(void **state) { (void)state, comes_back(by_reset, 255); }
static void test_lent_buffers_of_an_orphan_come_back(void **state)
{
    (void)state;
    comes_back(by_orphan, 0);
    comes_back(by_orphan, 255);
}
static void test_a_region_is_removed_under_lent_buffers(void **state)
{
    (void)state;
    comes_back(by_region, 0);
    comes_back(by_region, 255);
}

/* Part of a buffer is taken: only that part counts, and comes back as one. */
static void test_a_buffer_is_taken_in_part(void **state)
{
    struct lend_net *n = calloc(1, sizeof *n);
    tern_handle a, b;
    uint8_t buf[10000];
    (void)state;
    lend_begin(n, 8, &(tern_config){.send_buffer = 5000});
    lend_connect(n, A, B, &a, &b);
    assert_int_equal(lend_lend(n, A, a, 1, 0, 8000, 0), 5000);
    assert_int_equal(lend_lend(n, A, a, 1, 5000, 100, 0), -TERN_EAGAIN);
    lend_steps(n, 10);
    assert_int_equal(n->host[A].returned, 1);
    assert_int_equal(n->host[A].last.len, 5000);
    assert_int_equal(tern_recv(n->host[B].t, b, buf, sizeof buf), 5000);
    lend_same(buf, 5000, 1, 0);
    tern_close(n->host[A].t, a);
    lend_steps(n, 5);
    tern_close(n->host[B].t, b);
    lend_end(n);
    free(n);
}

/* Buffers of one byte each: their number is bounded, and what was taken arrives. */
static void test_many_small_buffers_are_refused(void **state)
{
    struct lend_net *n = calloc(1, sizeof *n);
    tern_handle a, b;
    uint32_t taken = 0;
    uint8_t buf[200];
    (void)state;
    lend_begin(n, 9, &(tern_config){.send_buffer = 2560});
    lend_connect(n, A, B, &a, &b);
    while (lend_lend(n, A, a, 1, taken, 1, 0) == 1)
        taken++;
    assert_int_equal(taken, 64 + 10);
    lend_steps(n, 300);
    assert_int_equal(n->host[A].returned, taken);
    assert_int_equal(tern_recv(n->host[B].t, b, buf, sizeof buf), taken);
    lend_same(buf, taken, 1, 0);
    assert_int_equal(lend_lend(n, A, a, 1, taken, 1, 0), 1);
    tern_abort(n->host[A].t, a), tern_abort(n->host[B].t, b);
    lend_end(n);
    free(n);
}

/* --- errors ------------------------------------------------------------------------------------------ */

static void test_errors(void **state)
{
    struct lend_net *n = calloc(1, sizeof *n);
    tern_handle a, b, none = {0}, l;
    tern_chunk chunk = {0};
    tern_slice slice;
    uint64_t name;
    (void)state;
    lend_begin(n, 10, NULL);
    lend_connect(n, A, B, &a, &b);
    tern *t = n->host[A].t;
    int region = n->host[A].tx_region;
    uint64_t end = LEND_TX * LEND_TX_SLOTS;
    assert_int_equal(tern_region_add(t, NULL, 10), -TERN_EINVAL);
    assert_int_equal(tern_region_add(t, &name, 0), -TERN_EINVAL);
    for (int i = 3; i <= 15; i++)
        assert_int_equal(tern_region_add(t, &name, 8), i);
    assert_int_equal(tern_region_add(t, &name, 8), -TERN_ENOMEM);
    assert_int_equal(tern_region_remove(t, 7), 0);
    assert_int_equal(tern_region_add(t, &name, 8), 7);
    assert_int_equal(tern_region_remove(t, 16), -TERN_ENOENT);
    assert_int_equal(tern_region_remove(t, 0), -TERN_ENOENT);
    assert_int_equal(tern_region_compact(t, -1, 1), -TERN_ENOENT);
    assert_int_equal(tern_rx_returned(t, 99, &name, 1), -TERN_ENOENT);
    assert_int_equal(tern_lend(t, none, region, 0, 1, 0, 0), -TERN_EBADF);
    assert_int_equal(tern_lend(t, a, region, 0, 0, 0, 0), -TERN_EINVAL);
    assert_int_equal(tern_lend(t, a, region, end, 1, 0, 0), -TERN_EINVAL);
    assert_int_equal(tern_lend(t, a, region, end - 1, 2, 0, 0), -TERN_EINVAL);
    assert_int_equal(tern_lend(t, a, region, UINT64_MAX, 2, 0, 0), -TERN_EINVAL);
    assert_int_equal(tern_lend(t, a, region, 1, SIZE_MAX, 0, 0), -TERN_EINVAL);
    assert_int_equal(tern_lend(t, a, 0, 0, 1, 0, 0), -TERN_EINVAL);
    tern_endpoint at = {.port = 99};
    assert_int_equal(tern_listen(t, &at, 0, &l), 0);
    assert_int_equal(tern_lend(t, l, region, 0, 1, 0, 0), -TERN_ENOTCONN);
    assert_int_equal(tern_move(t, l, a, 1, 0), -TERN_ENOTCONN);
    assert_int_equal(tern_move(t, a, l, 1, 0), -TERN_ENOTCONN);
    assert_int_equal(tern_move(t, none, a, 1, 0), -TERN_EBADF);
    assert_int_equal(tern_move(t, a, none, 1, 0), -TERN_EBADF);
    assert_int_equal(tern_move(t, a, a, 0, 0), -TERN_EINVAL);
    assert_int_equal(tern_take(t, a, 0, &chunk), -TERN_EINVAL);
    assert_int_equal(tern_take(t, a, 1, &chunk), -TERN_EAGAIN);
    assert_int_equal(tern_chunk_peek(t, chunk, 0, &slice, 1), -TERN_EBADF);
    assert_int_equal(tern_shutdown(t, a), 0);
    assert_int_equal(tern_lend(t, a, region, 0, 1, 0, 0), -TERN_EPIPE);
    assert_int_equal(tern_move(t, a, a, 1, 0), -TERN_EPIPE);
    tern_close(t, a), tern_close(t, l);
    lend_steps(n, 5);
    tern_close(n->host[B].t, b);
    lend_end(n);
    free(n);
}

/* --- every allocation fails in turn ------------------------------------------------------------------- */

/* The k-th allocation of one host fails while a relay runs: nothing is lost but time. False when there are
 * fewer than k. */
static bool with_a_failure(int host, uint32_t k)
{
    struct relay *r = calloc(1, sizeof *r);
    begin_relay(r, 31, NULL, 40000);
    r->n.lose = r->n.late = 6;
    struct arena *a = r->n.host[host].t->a;
    a->fail_after = k;
    for (int steps = 0; !r->flow[0].done || !r->flow[1].done; steps++) {
        turn(r);
        assert_true(steps < 400000);
    }
    bool failed = a->fail_after == 0;
    a->fail_after = 0;
    for (int i = 0; i < 2; i++)
        assert_int_equal(r->flow[i].read, 40000);
    close_relay(r);
    free(r);
    return failed;
}

static void test_every_allocation_fails_in_turn(void **state)
{
    (void)state;
    for (int host = 0; host < LEND_HOSTS; host++) {
        uint32_t k = 1;
        while (with_a_failure(host, k))
            k += 1 + k / 16;
        assert_true(k > 60);
    }
}

/* The same while connections are aborted in the middle of it all. */
static void test_ends_in_the_middle(void **state)
{
    (void)state;
    for (uint64_t seed = 41; seed <= 80; seed++) {
        struct relay *r = calloc(1, sizeof *r);
        begin_relay(r, seed, NULL, 200000);
        r->n.lose = r->n.late = r->n.twice = 8;
        uint32_t steps = lend_dice(&r->n, 150);
        for (uint32_t i = 0; i < steps; i++)
            turn(r);
        struct flow *f = &r->flow[seed & 1];
        tern *t = r->n.host[R].t;
        assert_int_equal((seed & 2 ? tern_abort : tern_close)(t, f->in), 0);
        assert_int_equal((seed & 4 ? tern_abort : tern_close)(t, f->out), 0);
        lend_steps(&r->n, lend_dice(&r->n, 40));
        for (int i = 0; i < 2; i++) {
            if (r->flow[i].chunk.v != 0)
                assert_int_equal(tern_drop(t, r->flow[i].chunk), 0);
            tern_close(r->n.host[r->flow[i].from].t, r->flow[i].writer);
        }
        lend_end(&r->n);
        free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_ways_mixed),
        cmocka_unit_test(test_all_ways_mixed_under_loss),
        cmocka_unit_test(test_all_ways_mixed_in_little_room),
        cmocka_unit_test(test_compaction_gives_the_link_its_memory),
        cmocka_unit_test(test_the_lent_path_copies_nothing),
        cmocka_unit_test(test_a_chunk_goes_out_twice),
        cmocka_unit_test(test_a_connection_moves_to_itself),
        cmocka_unit_test(test_moving_opens_the_window),
        cmocka_unit_test(test_lent_buffers_come_back_by_abort),
        cmocka_unit_test(test_lent_buffers_come_back_by_reset),
        cmocka_unit_test(test_lent_buffers_of_an_orphan_come_back),
        cmocka_unit_test(test_a_region_is_removed_under_lent_buffers),
        cmocka_unit_test(test_a_buffer_is_taken_in_part),
        cmocka_unit_test(test_many_small_buffers_are_refused),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_every_allocation_fails_in_turn),
        cmocka_unit_test(test_ends_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
