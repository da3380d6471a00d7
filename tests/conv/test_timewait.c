/* TIME_WAIT: how long, what it answers, what ends it early (RFC 9293 3.6.1, 3.10.7.4; RFC 1337; RFC 6191).
 * Each with the handle kept and released, which are two kinds of records. */
#include "lab/lab.h"

static struct lab *waiting(void **state, bool keep, const char *opts)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, opts);
    TALKF(l,
          "send 500\n"
          "> PA 1:501(500) ack 1\n"
          "%s\n"
          "> FA 501 ack 1\n"
          "< A 1 ack 502\n"
          "< FA 1 ack 502\n"
          "> A 502 ack 2\n"
          "= TIME_WAIT",
          keep ? "shutdown" : "close");
    assert_int_equal(lab_live(l).timewait, keep ? 0 : 1);
    assert_int_equal(lab_live(l).tcbs, keep ? 1 : 0);
    return l;
}

/* MUST-13: 2 MSL, 60 s here. */
static void lasts_2_msl(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460");
        TALK(l, "+59s = TIME_WAIT\n"
                "+2s = CLOSED\n"
                "> none");
        lab_end(l);
    }
}

static void msl_is_configured(void **state)
{
    struct lab_config cfg = {.stack = {.msl_ms = 120000}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1460");
    TALK(l, "close\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "+239s = TIME_WAIT\n"
            "+2s = CLOSED");
    lab_end(l);
}

/* The first trap: a repeated FIN begins below RCV.NXT and is recognised all the same; 2 MSL start anew. */
static void repeated_fin(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460");
        TALK(l, "+50s < FA 1 ack 502\n"
                "> A 502 ack 2\n"
                "+50s < FA 1 ack 502\n"
                "> A 502 ack 2\n"
                "+59s = TIME_WAIT\n"
                "+2s = CLOSED");
        lab_end(l);
    }
}

/* Only it: other old segments are acknowledged (3.10.7.4 first) and start nothing; data with the FIN's end is
 * not it. */
static void other_segments(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460");
        TALK(l, "+50s < PA 1:101(100) ack 502\n"
                "< A 2 ack 502\n"
                "< A 100000 ack 502\n");
        lab_forget(l);
        TALK(l, "= TIME_WAIT\n"
                "+11s = CLOSED");
        lab_end(l);
    }
}

/* RFC 1337: a RST does not end it. (RFC1337-3-a) */
static void rst_is_ignored(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460");
        TALK(l, "< R 2\n"
                "< RA 2 ack 502\n"
                "< R 3\n"
                "> none\n"
                "= TIME_WAIT\n"
                "+61s = CLOSED");
        assert_true(lab_stats(l).time_wait_rst_ignored >= 1);
        lab_end(l);
    }
}

/* MAY-2: a SYN above the old numbers begins a new connection, in one round trip; its ISN is above our old
 * ones. */
static void new_syn_with_higher_isn(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460");
        uint32_t old_nxt = l->flow[0].iss + 502;
        tern_endpoint any = {.port = l->flow[0].local.port};
        assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
        TALK(l, "+1s reborn 1000\n"
                "< S 0 win 65535 <mss 1460>\n"
                "> SA 0 ack 1");
        assert_true((int32_t)(l->flow[0].iss - old_nxt) > 0);
        TALK(l, "< A 1 ack 1\n"
                "accept\n"
                "= ESTABLISHED\n"
                "< PA 1:11(10) ack 1\n"
                "recv 10");
        assert_int_equal(lab_stats(l).time_wait_reused, 1);
        lab_end(l);
    }
}

/* Not newer: an ACK, and TIME_WAIT stays; the peer's RST (it knows of no connection) changes nothing. */
static void old_syn(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460");
        tern_endpoint any = {.port = l->flow[0].local.port};
        assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
        TALK(l, "+1s < S -1000 win 65535 <mss 1460>\n"
                "> A 502 ack 2\n"
                "= TIME_WAIT\n"
                "< R 2\n"
                "> none\n"
                "= TIME_WAIT");
        lab_end(l);
    }
}

/* 3.6.1 (MAY-2 b): when the SYN turns out to be an old duplicate the connection goes back to TIME_WAIT. */
static void back_to_time_wait(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460");
        tern_endpoint any = {.port = l->flow[0].local.port};
        assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
        TALK(l, "+1s reborn 1000\n"
                "< S 0 win 65535 <mss 1460>\n"
                "> SA 0 ack 1\n"
                "< R 1\n"
                "> none\n"
                "= TIME_WAIT\n"
                "+57s = TIME_WAIT");
        lab_run(l, 5 * SEC);
        assert_int_equal(lab_live(l).timewait, 0);
        lab_end(l);
    }
}

/* Nobody listens: nothing gives way, an ACK. */
static void new_syn_without_listener(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460");
        TALK(l, "< S 1000 win 65535 <mss 1460>\n"
                "> A 502 ack 2\n"
                "= TIME_WAIT");
        lab_end(l);
    }
}

/* SHLD-4, RFC 6191 2: a lower ISN and a newer timestamp is a new connection. (RFC6191-2-a) */
static void lower_isn_newer_timestamp(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460,ts");
        tern_endpoint any = {.port = l->flow[0].local.port};
        assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
        uint32_t old_ts = l->flow[0].ts_last;
        TALK(l, "+2s reborn -100000\n"
                "< S 0 win 65535 <mss 1460,ts>\n"
                "> SA 0 ack 1");
        assert_true((int32_t)(l->flow[0].ts_last - old_ts) > 0); /* and so is ours to the peer */
        TALK(l, "< A 1 ack 1\n"
                "accept\n"
                "= ESTABLISHED");
        lab_end(l);
    }
}

/* RFC 6191 2: an older timestamp is not, even with a higher ISN; without loops: an ACK for each SYN, nothing
 * for the RST. (RFC6191-2-d) */
static void older_timestamp(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460,ts");
        tern_endpoint any = {.port = l->flow[0].local.port};
        assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
        TALK(l, "+2s < S 1000 win 65535 <mss 1460,ts 1>\n"
                "> A 502 ack 2\n"
                "= TIME_WAIT\n"
                "< R 2\n"
                "> none\n"
                "= TIME_WAIT");
        lab_end(l);
    }
}

/* Our own connect to the same addresses and ports while it lasts: its own error. */
static void own_connect_is_refused(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460");
        tern_handle h;
        assert_int_equal(tern_connect(l->t, &l->flow[0].local, &l->flow[0].peer, &h), -TERN_EADDRINUSE);
        TALK(l, "> none\n"
                "= TIME_WAIT\n"
                "+61s = CLOSED");
        if (keep)
            assert_int_equal(tern_close(l->t, l->flow[0].h), 0);
        l->flow[0].h.v = 0;
        assert_int_equal(tern_connect(l->t, &l->flow[0].local, &l->flow[0].peer, &h), 0);
        assert_int_equal(tern_abort(l->t, h), 0);
        lab_end(l);
    }
}

/* What a record of TIME_WAIT holds is small, and a thousand of them all end. */
static void many(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen");
    for (unsigned i = 0; i < 1000; i++) {
        l->flow[0].peer.port = (uint16_t)(20000 + i);
        TALK(l, "reborn 0\n"
                "< S 0 win 65535 <mss 1460>\n"
                "> SA 0 ack 1\n"
                "< A 1 ack 1\n"
                "accept\n"
                "close\n"
                "> FA 1 ack 1\n"
                "< FA 1 ack 2\n"
                "> A 2 ack 2");
    }
    assert_int_equal(lab_live(l).timewait, 1000);
    assert_int_equal(lab_live(l).tcbs, 0);
    lab_run(l, 61 * SEC);
    assert_int_equal(lab_live(l).timewait, 0);
    lab_end(l);
}

/* SHLD-4, RFC 6191 2, the whole table: did the old connection have timestamps, does the SYN, is it newer, is
 * its number higher. (RFC6191-2-abcdefgh) */
static void rfc_6191_table(void **state)
{
    static const struct {
        bool old_ts, new_ts;
        int newer;   /* of the SYN's timestamp: -1, 0, 1 */
        bool higher; /* its sequence number */
        bool accept;
    } rows[] = {
        {true, true, 1, true, true},   {true, true, 1, false, true},   {true, true, 0, true, true},
        {true, true, 0, false, false}, {true, true, -1, true, false},  {true, true, -1, false, false},
        {true, false, 0, true, true},  {true, false, 0, false, false}, {false, true, 0, true, true},
        {false, true, 0, false, true}, {false, false, 0, true, true},  {false, false, 0, false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int keep = 0; keep < 2; keep++) {
            struct lab *l = waiting(state, keep, rows[i].old_ts ? "mss 1460,ts" : "mss 1460");
            uint32_t last_ts = (uint32_t)(l->now / 1000); /* of the peer's FIN */
            tern_endpoint any = {.port = l->flow[0].local.port};
            assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
            lab_run(l, 2 * SEC);
            TALKF(l, "reborn %d", rows[i].higher ? 5000 : -5000);
            char opts[64] = "mss 1460", line[128];
            if (rows[i].new_ts)
                snprintf(opts, sizeof(opts), "mss 1460,ts %u",
                         rows[i].old_ts ? last_ts + (uint32_t)rows[i].newer : 3000000000u);
            snprintf(line, sizeof(line), "< S 0 win 65535 <%s>", opts);
            TALK(l, line);
            const struct lab_out *o = lab_next(l);
            bool accepted = o && (o->seg.flags & F_SYN);
            if (accepted != rows[i].accept)
                lab_fail(l, "row %zu of RFC 6191: the SYN is %s", i, accepted ? "accepted" : "refused");
            lab_end(l);
        }
}

/* The handle is released in the middle: the rest of the time goes on, it does not begin anew. */
static void released_in_the_middle(void **state)
{
    struct lab *l = waiting(state, true, "mss 1460");
    TALK(l, "+40s close\n"
            "= TIME_WAIT\n"
            "+19s = TIME_WAIT\n"
            "+2s = CLOSED");
    lab_end(l);
}

/* Bytes still unread when TIME_WAIT begins can be read during it and after it. */
static void unread_bytes(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "shutdown\n"
            "> FA 1 ack 1\n"
            "< FPA 1:101(100) ack 2\n"
            "> A 2 ack 102\n"
            "= TIME_WAIT\n"
            "recv 40\n"
            "+70s = CLOSED\n"
            "recv 100 -> 60\n"
            "recv 100 -> 0");
    lab_end(l);
}

/* MAY-2: also when the old connection has sent faster than the clock of ISNs runs. */
static void isn_above_a_fast_one(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = lab_new(state, NULL);
        lab_connect(l, "mss 1460");
        for (int i = 0; i < 40; i++) {
            TALK(l, "send 10000\n"
                    "forget");
            TALKF(l, "< A 1 ack %d", 1 + 10000 * (i + 1));
        }
        TALKF(l, "%s\n"
                 "> FA 400001 ack 1\n"
                 "< FA 1 ack 400002\n"
                 "> A 400002 ack 2\n"
                 "= TIME_WAIT",
              keep ? "shutdown" : "close");
        uint32_t old_nxt = l->flow[0].iss + 400002;
        tern_endpoint any = {.port = l->flow[0].local.port};
        assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
        l->tuned = true;
        TALK(l, "+100ms reborn 1000\n"
                "< S 0 win 65535 <mss 1460>\n"
                "> SA 0 ack 1");
        assert_true((int32_t)(l->flow[0].iss - old_nxt) > 0);
        TALK(l, "< A 1 ack 1\n"
                "accept\n"
                "= ESTABLISHED");
        lab_end(l);
    }
}

/* 3.6.1 (MAY-2 b): back in TIME_WAIT it answers the peer's repeated FIN as before. */
static void answers_when_back(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = waiting(state, keep, "mss 1460");
        struct lab_flow old = l->flow[0];
        tern_endpoint any = {.port = l->flow[0].local.port};
        assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
        TALK(l, "+1s reborn 1000\n"
                "< S 0 win 65535 <mss 1460>\n"
                "> SA 0 ack 1\n"
                "< R 1\n"
                "> none");
        l->flow[0] = old;
        TALK(l, "< FA 1 ack 502\n"
                "> A 502 ack 2\n"
                "= TIME_WAIT");
        lab_end(l);
    }
}

/* The time is over, but no timer was run yet: the packet that comes first finds nobody. */
static void over_when_the_packet_comes(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[256];
    lab_reach(l, LAB_TIME_WAIT_FREE, true);
    lab_forget(l);
    assert_int_equal(lab_live(l).timewait, 1);
    uint32_t len = lab_packet(l, "A 2 ack 2", pkt);
    l->now = l->mark = l->now + 600 * SEC;
    lab_rx(l, pkt, len);
    TALK(l, "> R 2");
    assert_int_equal(lab_live(l).timewait, 0);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(lasts_2_msl), LAB_TEST(over_when_the_packet_comes),
        LAB_TEST(msl_is_configured),
        LAB_TEST(repeated_fin),
        LAB_TEST(other_segments),
        LAB_TEST(rst_is_ignored),
        LAB_TEST(new_syn_with_higher_isn),
        LAB_TEST(old_syn),
        LAB_TEST(back_to_time_wait),
        LAB_TEST(new_syn_without_listener),
        LAB_TEST(lower_isn_newer_timestamp),
        LAB_TEST(older_timestamp),
        LAB_TEST(own_connect_is_refused),
        LAB_TEST(many),
        LAB_TEST(rfc_6191_table),
        LAB_TEST(released_in_the_middle),
        LAB_TEST(unread_bytes),
        LAB_TEST(isn_above_a_fast_one),
        LAB_TEST(answers_when_back),
    };
    return LAB_MAIN(tests);
}
