/* test_oracle.c - the oracle can fail: one true recording, and one lie at a time put into it. */
#include "sim/oracle.h"
#include "sim/packet.h"
#include "sim/path.h"
#include "sim/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Handshake, 5,000 bytes from A to B, A closes, B closes: all of it, TIME_WAIT included. */
static int record(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct world_setup setup = {.seed = 42};
    assert_int_equal(world_init(w, &setup), 0);
    struct end *listener = prog_listen(w, B, 80, 0), *a = prog_connect(w, A, B, 80, 0);
    world_settle(w);
    struct end *b = prog_accept(listener);
    assert_non_null(b);
    prog_send_stream(a, 5000);
    world_settle(w);
    prog_read(b);
    prog_close(a);
    world_settle(w);
    prog_read(b);
    prog_close(b);
    world_run(w, 100000000);
    *state = w;
    return 0;
}

static int forget(void **state)
{
    world_free(*state);
    free(*state);
    return 0;
}

/* The n-th segment of a host that matches, to be changed. */
static struct wire *pick(struct world *w, int from, uint8_t set, uint8_t clear, uint32_t n, struct segment *s)
{
    const struct wire *found = path_find(w, from, set, clear, n, s);
    assert_non_null(found);
    return &w->wire.v[found - w->wire.v];
}

/* Write a segment over a recorded packet, checksums right. */
static void rewrite(struct wire *p, const struct segment *s)
{
    uint8_t bytes[PACKET_MAX];
    uint32_t len = segment_build(s, bytes);
    p->bytes = realloc(p->bytes, len);
    memcpy(p->bytes, bytes, len);
    p->len = len;
}

static void assert_objects(const struct world *w, const char *words)
{
    struct verdict v;
    bool found = false;
    oracle_judge(w, &v);
    assert_false(v.ok);
    for (uint32_t i = 0; i < v.n_complaints && i < COMPLAINTS; i++)
        found |= strstr(v.complaint[i], words) != NULL;
    if (!found)
        print_error("expected \"%s\", first complaint: %s\n", words, v.complaint[0]);
    assert_true(found);
    verdict_free(&v);
}

static void truth_passes(void **state)
{
    struct verdict v;
    oracle_judge(*state, &v);
    if (!v.ok)
        print_error("%s\n", v.complaint[0]);
    assert_true(v.ok);
    assert_true(v.segments > 10 && v.states >= 12);
    verdict_free(&v);
}

static void wrong_ack(void **state)
{
    struct segment s;
    struct wire *p = pick(*state, B, ACK, SYN | FIN, 1, &s);
    s.ack += 1;
    rewrite(p, &s);
    assert_objects(*state, "acknowledges up to");
}

static void wrong_ack_of_syn(void **state)
{
    struct segment s;
    struct wire *p = pick(*state, B, SYN | ACK, 0, 0, &s);
    s.ack -= 1; /* as if the SYN took no number */
    rewrite(p, &s);
    assert_objects(*state, "acknowledges up to");
}

static void fin_without_number(void **state)
{
    struct segment fin, s;
    pick(*state, A, FIN, 0, 0, &fin);
    uint32_t n = 0;
    struct wire *p;
    do
        p = pick(*state, B, ACK, SYN | FIN, n++, &s);
    while (s.ack != fin.seq + fin.len + 1);
    s.ack -= 1;
    rewrite(p, &s);
    assert_objects(*state, "acknowledges up to");
}

static void number_before_fin(void **state)
{
    struct world *w = *state;
    struct segment s, fin;
    pick(w, A, FIN, 0, 0, &fin);
    uint32_t n = 0;
    struct wire *p = NULL;
    for (const struct wire *q; (q = path_find(w, A, ACK, SYN | FIN, n, &s)) != NULL; n++)
        p = pick(w, A, ACK, SYN | FIN, n, &s);
    segment_parse(&s, p->bytes, p->len);
    s.seq = fin.seq + fin.len; /* the last ACK as if the FIN took no number */
    rewrite(p, &s);
    assert_objects(w, "bears the number that comes next");
}

/* A packet of A's that never was, at the end of the log's first part that has `after` in it. */
static void slip_in(struct world *w, const struct wire *after, const struct segment *s)
{
    uint32_t original = (uint32_t)(after - w->wire.v), index = w->wire.n, at = 0;
    uint64_t sent_us = after->sent_us;
    uint8_t bytes[PACKET_MAX];
    uint32_t len = segment_build(s, bytes);
    struct wire *p = LIST_ADD(w->wire);
    *p =
        (struct wire){.sent_us = sent_us, .from = A, .to = B, .fate = LOST, .len = len, .bytes = malloc(len)};
    memcpy(p->bytes, bytes, len);
    LIST_ADD(w->log);
    while (w->log.v[at].kind != LOG_SENT || w->log.v[at].index != original)
        at++;
    memmove(&w->log.v[at + 2], &w->log.v[at + 1], (w->log.n - at - 2) * sizeof *w->log.v);
    w->log.v[at + 1] = (struct log_entry){.t_us = sent_us, .index = index, .kind = LOG_SENT, .host = A};
}

static void data_after_fin(void **state)
{
    struct segment s;
    struct wire *p = pick(*state, A, FIN, 0, 0, &s);
    s.seq += s.len + 1;
    s.flags = ACK | PSH;
    s.data = (const uint8_t *)"more";
    s.len = 4;
    slip_in(*state, p, &s);
    assert_objects(*state, "data after the end of the stream");
}

static void rst_from_nowhere(void **state)
{
    struct segment s;
    struct wire *p = pick(*state, A, ACK, SYN | FIN, 0, &s);
    s.flags = RST;
    s.len = 0;
    slip_in(*state, p, &s);
    assert_objects(*state, "no segment and no call asked for it");
}

static void other_syn_again(void **state)
{
    struct segment s;
    struct wire *p = pick(*state, A, SYN, 0, 0, &s);
    s.seq += 77;
    slip_in(*state, p, &s);
    assert_objects(*state, "another initial number");
}

static void beyond_the_window(void **state)
{
    struct segment s;
    struct wire *p = pick(*state, B, SYN | ACK, 0, 0, &s);
    s.window = 100;
    s.wscale = 0;
    rewrite(p, &s);
    for (uint32_t n = 0; path_find(*state, B, ACK, SYN | FIN, n, &s) != NULL; n++) {
        p = pick(*state, B, ACK, SYN | FIN, n, &s);
        s.window = 100;
        rewrite(p, &s);
    }
    assert_objects(*state, "beyond the peer's window");
}

static void changed_byte_on_the_wire(void **state)
{
    struct world *w = *state;
    struct segment s;
    uint32_t n = 0;
    struct wire *p;
    do
        p = pick(w, A, ACK, SYN, n++, &s);
    while (s.len < 100);
    uint8_t bytes[PACKET_MAX];
    memcpy(bytes, s.data, s.len);
    bytes[50] ^= 1;
    s.data = bytes;
    rewrite(p, &s);
    assert_objects(w, "other bytes than the program's");
}

static void checksum_is_looked_at(void **state)
{
    struct segment s;
    struct wire *p = pick(*state, A, ACK, SYN, 0, &s);
    p->bytes[p->len - 1] ^= 1;
    assert_objects(*state, "checksum is wrong");
}

static struct call *a_read(struct world *w)
{
    for (uint32_t i = 0; i < w->calls.n; i++)
        if (w->calls.v[i].what == CALL_RECV && w->calls.v[i].result > 0)
            return &w->calls.v[i];
    fail();
    return NULL;
}

static void lost_byte(void **state)
{
    struct call *c = a_read(*state);
    memmove(c->bytes + 10, c->bytes + 11, c->len - 11);
    c->len--;
    c->result--;
    assert_objects(*state, "other bytes than arrived");
}

static void missing_tail(void **state)
{
    struct call *c = a_read(*state);
    c->len--;
    c->result--;
    assert_objects(*state, "the end of stream with bytes missing");
}

static void end_of_stream_too_early(void **state)
{
    struct call *c = a_read(*state);
    c->result = 0;
    c->len = 0;
    assert_objects(*state, "before any FIN");
}

static void lying_state(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < w->states.n; i++)
        if (w->states.v[i].to == TERN_FIN_WAIT_2)
            w->states.v[i].to = TERN_CLOSING;
    assert_objects(w, "the wire does not");
}

static void short_time_wait(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < w->states.n; i++)
        if (w->states.v[i].from == TERN_TIME_WAIT)
            w->states.v[i].t_us -= 10000000;
    assert_objects(w, "TIME_WAIT -> CLOSED");
}

#define LIE(name) cmocka_unit_test_setup_teardown(name, record, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIE(truth_passes),      LIE(wrong_ack),        LIE(wrong_ack_of_syn), LIE(fin_without_number),
        LIE(number_before_fin), LIE(data_after_fin),   LIE(rst_from_nowhere), LIE(other_syn_again),
        LIE(beyond_the_window), LIE(changed_byte_on_the_wire), LIE(checksum_is_looked_at), LIE(lost_byte),
        LIE(missing_tail),      LIE(end_of_stream_too_early), LIE(lying_state), LIE(short_time_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
