/* Two pairs of addresses and ports with the same hash: found by trying, with keys so weak that ports do not
 * count in it and neighbouring addresses often agree. Whatever record the one has, the segments of the other
 * are its own (RFC 9293 3.10.7). */
#include "lab/lab.h"
#include "stack/stack.h"
#include "tcp/tcp.h"

#define TRIED (1u << 17)

/* What differs between the two. */
enum differs { PEER_IP, OWN_IP, PEER_PORT, OWN_PORT, DIFFERS };

enum record { HALFOPEN, AWAKE, AT_REST, TIME_WAIT, RECORDS };

struct found {
    uint32_t hash, n;
};

static int by_hash(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1) : (x->n > y->n) - (x->n < y->n);
}

static void vary_ip(tern_ip *ip, uint32_t n)
{
    ip->b[15] = (uint8_t)(n % 250 + 2);
    ip->b[14] = (uint8_t)(n / 250 % 256);
    ip->b[13] = (uint8_t)(n / 250 / 256);
}

/* The n-th pair of the family. Ports alone are too few: the other port chooses among several families. */
static void vary(struct lab_flow *f, enum differs what, uint32_t n)
{
    switch (what) {
    case PEER_IP: vary_ip(&f->peer.ip, n); break;
    case OWN_IP: vary_ip(&f->local.ip, n); break;
    case PEER_PORT:
        f->peer.port = (uint16_t)n;
        f->local.port = (uint16_t)(80 + (n >> 16));
        break;
    default:
        f->local.port = (uint16_t)n;
        f->peer.port = (uint16_t)(5000 + (n >> 16));
    }
}

static bool same_family(enum differs what, uint32_t a, uint32_t b)
{
    bool usable = what != OWN_PORT && what != PEER_PORT ? true : (uint16_t)a != 0 && (uint16_t)b != 0;
    return usable && (what == PEER_IP || what == OWN_IP || a >> 16 == b >> 16);
}

static uint32_t hash_of(struct lab *l, const struct lab_flow *f)
{
    struct who w = {.local = f->local.ip, .remote = f->peer.ip, .link = (uint8_t)l->link};
    w.local_port = f->local.port, w.remote_port = f->peer.port;
    return demux_hash(l->t, &w);
}

/* Two pairs, for the flows 0 and 1; `round` counts the families of ports that were tried in vain. */
static bool find_two(struct lab *l, enum differs what, uint32_t round)
{
    struct found *all = calloc(TRIED, sizeof *all);
    assert_non_null(all);
    bool found = false;
    for (uint32_t i = 0; i < TRIED; i++) {
        struct lab_flow f = l->flow[0];
        all[i].n = i + round * TRIED;
        vary(&f, what, all[i].n);
        all[i].hash = hash_of(l, &f);
    }
    qsort(all, TRIED, sizeof *all, by_hash);
    for (uint32_t i = 1; i < TRIED && !found; i++)
        if (all[i].hash == all[i - 1].hash && same_family(what, all[i].n, all[i - 1].n)) {
            vary(&l->flow[0], what, all[i - 1].n);
            vary(&l->flow[1], what, all[i].n);
            found = true;
        }
    free(all);
    return found;
}

static void listen_for(struct lab *l, int flow)
{
    tern_endpoint any = {.port = l->flow[flow].local.port};
    tern_handle h;
    int e = tern_listen(l->t, &any, 0, &h);
    assert_true(e == 0 || e == -TERN_EADDRINUSE);
    l->listener = e == 0 ? h : l->listener;
    if (!ip_eq(&l->flow[flow].local.ip, &l->ip))
        assert_int_equal(tern_addr_add(l->t, l->link, &l->flow[flow].local.ip, 24), 0);
}

static struct lab *lab_with_two(void **state, enum differs what)
{
    struct lab *l = lab_new(state, NULL);
    l->tuned = true; /* a twin would have other addresses */
    l->flow[1] = l->flow[0];
    struct mixkey *key = &l->t->w->key_table; /* nothing is in the table yet */
    key->w[1] = key->w[4] = 0;
    key->w[5] = 1;
    uint32_t round = 0;
    while (!find_two(l, what, round))
        assert_true(++round < 20);
    assert_int_equal(hash_of(l, &l->flow[0]), hash_of(l, &l->flow[1]));
    return l;
}

static void reach(struct lab *l, enum record r)
{
    TALK(l, "0< S 0 win 65535 <mss 1460>\n"
            "0> SA 0 ack 1");
    if (r == HALFOPEN)
        return;
    TALK(l, "0< A 1 ack 1\n"
            "0accept\n"
            "0= ESTABLISHED");
    if (r == AT_REST) {
        lab_events(l, 0);
        lab_run(l, 10 * SEC);
        assert_int_equal(lab_live(l).asleep, 1);
    } else if (r == TIME_WAIT) {
        TALK(l, "0close\n"
                "0> FA 1 ack 1\n"
                "0< FA 1 ack 2\n"
                "0> A 2 ack 2\n"
                "0= TIME_WAIT");
    }
}

/* The first one is what it was. */
static void still_there(struct lab *l, enum record r)
{
    static const char *const states[] = {"SYN_RCVD", "ESTABLISHED", "ESTABLISHED", "TIME_WAIT"};
    TALKF(l, "0= %s", states[r]);
    if (r == HALFOPEN)
        TALK(l, "0< A 1 ack 1\n"
                "0accept");
    if (r != TIME_WAIT)
        TALK(l, "0< PA 1:11(10) ack 1\n"
                "0+any > A 1 ack 11\n"
                "0recv 10 -> 10\n"
                "0close\n"
                "0> FA 1 ack 11\n");
}

static void each_has_its_own(void **state)
{
    for (enum differs what = 0; what < DIFFERS; what++)
        for (enum record r = 0; r < RECORDS; r++) {
            struct lab *l = lab_with_two(state, what);
            listen_for(l, 0);
            tern_handle first = l->listener;
            listen_for(l, 1);
            tern_handle second = l->listener;
            l->listener = first;
            reach(l, r);
            l->listener = second;
            TALK(l, "1< S 0 win 65535 <mss 1460>\n"
                    "1> SA 0 ack 1\n"
                    "1< A 1 ack 1\n"
                    "1accept\n"
                    "1send 20\n"
                    "1> PA 1:21(20) ack 1\n"
                    "1< A 1 ack 21\n"
                    "1= ESTABLISHED");
            l->listener = first;
            still_there(l, r);
            TALK(l, "1= ESTABLISHED\n"
                    "1< R 1\n"
                    "1= CLOSED");
            if (second.v != first.v)
                assert_int_equal(tern_close(l->t, second), 0);
            lab_end(l);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {LAB_TEST(each_has_its_own)};
    return LAB_MAIN(tests);
}
