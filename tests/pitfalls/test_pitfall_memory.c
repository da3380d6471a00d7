/* Pitfalls of docs/PITFALLS.md about memory and lifetimes: 13, 39, 40. */
#include "lab/lab.h"

#include "tcp/tcp.h"

#include <dirent.h>
#include <malloc.h>
#include <sched.h>
#include <sys/wait.h>
#include <tern/host.h>
#include <unistd.h>

/* --- 13 ---------------------------------------------------------------------------------------------- */

#define THREE 3

static void open_three(struct lab *l)
{
    TALK(l, "listen");
    for (int i = 0; i < THREE; i++)
        TALKF(l, "%d< S 0 win 65535 <mss 1460>\n%d> SA 0 ack 1\n%d< A 1 ack 1\n%d accept", i, i, i, i);
    for (int i = 0; i < THREE; i++)
        lab_events(l, i);
    lab_forget(l);
}

/* What a program does that lets everything go while it handles the first of several events: the handles in
 * the others are stale, and say so. */
static void let_go(struct lab *l, int how)
{
    tern_event ev[8];
    uint8_t byte;
    tern_info info;
    int n = tern_events(l->t, ev, 8);
    assert_int_equal(n, THREE);
    for (int i = 0; i < THREE; i++) {
        bool abort_it = how == 1 || (how == 2 && i == 1);
        assert_int_equal((abort_it ? tern_abort : tern_close)(l->t, l->flow[i].h), 0);
    }
    for (int i = 0; i < n; i++) {
        assert_int_equal(tern_recv(l->t, ev[i].handle, &byte, 1), -TERN_EBADF);
        assert_int_equal(tern_send(l->t, ev[i].handle, "x", 1, 0), -TERN_EBADF);
        assert_int_equal(tern_close(l->t, ev[i].handle), -TERN_EBADF);
        assert_int_equal(tern_abort(l->t, ev[i].handle), -TERN_EBADF);
        assert_int_equal(tern_get_info(l->t, ev[i].handle, &info), -TERN_EBADF);
    }
    for (int i = 0; i < THREE; i++)
        l->flow[i].h.v = 0;
    lab_collect(l);
    assert_int_equal(tern_events(l->t, ev, 8), 0);
}

/* 13: abort or close from inside the handling of each event, with FIN, RST and data in the same batch, and
 * more of them after it. */
static void pitfall_13_let_go_while_handling(void **state)
{
    static const char *const batches[] = {
        "0<+ PA 1:11(10) ack 1\n1<+ PA 1:11(10) ack 1\n2< PA 1:11(10) ack 1",
        "0<+ FA 1 ack 1\n1<+ FPA 1:11(10) ack 1\n2< FA 1 ack 1",
        "0<+ R 1\n1<+ PA 1:11(10) ack 1\n2< R 1",
        "0<+ PA 1:11(10) ack 1\n0<+ FA 11 ack 1\n1<+ FA 1 ack 1\n1<+ R 2\n2<+ PA 1:11(10) ack 1\n2< R 11",
        "0<+ PA 21:31(10) ack 1\n0<+ PA 1:21(20) ack 1\n1<+ PA 1:2(1) ack 1\n2<+ FA 1 ack 1\n0< R 31",
    };
    for (size_t batch = 0; batch < ARRAY_LEN(batches); batch++)
        for (int how = 0; how < 3; how++) {
            struct lab *l = lab_new(state, NULL);
            open_three(l);
            TALK(l, batches[batch]);
            let_go(l, how);
            lab_forget(l);
            TALK(l, batches[batch]); /* the same comes again, late */
            TALK(l, "0< FA 11 ack 1\n1< R 1\n2< PA 11:21(10) ack 1");
            lab_forget(l);
            lab_end(l);
        }
}

/* 13: the listener goes while it has a connection to accept, and connecting is called off when it
 * succeeds. */
static void pitfall_13_listener_and_connect(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_event ev[4];
    tern_handle h;
    TALK(l, "listen\n< S 0 win 65535 <mss 1460>\n> SA 0 ack 1\n<+ A 1 ack 1\n< FPA 1:11(10) ack 1");
    lab_forget(l);
    assert_int_equal(tern_events(l->t, ev, 4), 1);
    assert_true(ev[0].bits & TERN_ACCEPTABLE);
    assert_int_equal(tern_close(l->t, ev[0].handle), 0);
    assert_int_equal(tern_accept(l->t, ev[0].handle, &h), -TERN_EBADF);
    assert_int_equal(tern_close(l->t, ev[0].handle), -TERN_EBADF);
    l->listener.v = 0;
    lab_collect(l);
    TALK(l, "+any > R 1");
    TALK(l, "1 connect\n1> S 0\n1<+ SA 0 ack 1 win 65535 <mss 1460>\n1< FPA 1:11(10) ack 1");
    lab_forget(l);
    assert_int_equal(tern_events(l->t, ev, 4), 1);
    assert_true(ev[0].bits & TERN_CONNECTED);
    assert_int_equal(tern_abort(l->t, ev[0].handle), 0);
    assert_int_equal(tern_shutdown(l->t, ev[0].handle), -TERN_EBADF);
    l->flow[1].h.v = 0;
    lab_collect(l);
    lab_forget(l);
    lab_end(l);
}

/* --- 39 ---------------------------------------------------------------------------------------------- */

struct progress {
    uint32_t got, said; /* so far on connection 0, by the peer and by tern */
};

/* A thousand bytes each way. */
static void goes_on(struct lab *l, struct progress *p)
{
    tern_info i;
    TALKF(l, "0< A %u:%u(1000) ack %u\nforget\n0 recv 1000", 1 + p->got, 1001 + p->got, 1 + p->said);
    p->got += 1000;
    TALKF(l, "0 send 1000\n0> PA %u:%u(1000) ack %u\n0< A %u ack %u", 1 + p->said, 1001 + p->said, 1 + p->got,
          1 + p->got, 1001 + p->said);
    p->said += 1000;
    assert_true(lab_info(l, 0, &i));
    assert_int_equal(i.state, TERN_ESTABLISHED);
    lab_forget(l);
}

static void status_answers(struct lab *l)
{
    tern_info i;
    uint64_t cursor = 0;
    int n = 0;
    assert_int_equal(tern_get_info(l->t, l->flow[0].h, &i), 0);
    assert_int_equal(i.state, TERN_ESTABLISHED);
    while (tern_walk(l->t, &cursor, &i) == 1)
        n++;
    assert_true(n >= 2);
}

static struct lab *open_small(void **state, int n)
{
    struct lab_config cfg = {.memory = tern_min_size(NULL) + (256u << 10)};
    cfg.stack.send_buffer = 4u << 20;
    struct lab *l = lab_new(state, &cfg);
    TALK(l, "listen");
    for (int i = 0; i < n; i++)
        TALKF(l, "%d< S 0 win 65535 <mss 1460,sackOK>\n%d> SA 0 ack 1\n%d< A 1 ack 1\n%d accept", i, i, i, i);
    for (int i = 0; i < n; i++)
        lab_events(l, i);
    lab_run(l, 3 * SEC);
    lab_forget(l);
    return l;
}

/* 39: the queue of another connection takes all: send says "would block", what arrives is still taken,
 * progress resumes with the event. */
static void pitfall_39_sent(void **state)
{
    struct lab *l = open_small(state, 2);
    struct progress p = {0, 0};
    goes_on(l, &p);
    while (lab_send(l, 1, 100000, 0) > 0)
        lab_forget(l);
    status_answers(l);
    assert_int_equal(lab_send(l, 0, 1000, 0), -TERN_EAGAIN);
    TALKF(l, "0< A %u:%u(1000) ack %u\nforget\n0 recv 1000", 1 + p.got, 1001 + p.got, 1 + p.said);
    p.got += 1000;
    assert_int_equal(lab_events(l, 0) & TERN_WRITABLE, 0);
    for (int i = 0; i < 400 && !(lab_events(l, 0) & TERN_WRITABLE); i++) {
        TALKF(l, "1< A 1 ack %u", l->flow[1].snd_max - l->flow[1].iss);
        lab_run(l, 10 * MS);
        lab_forget(l);
    }
    goes_on(l, &p);
    goes_on(l, &p);
    lab_end(l);
}

/* 39: bytes that nobody reads, in order and not, take all; what was acknowledged is not dropped, so progress
 * comes when a program lets go. */
static void pitfall_39_received(void **state)
{
    for (int gap = 0; gap < 2; gap++) {
        struct lab *l = open_small(state, 9);
        struct progress p = {0, 0};
        uint32_t refused = 0;
        goes_on(l, &p);
        for (int i = 1; i < 9; i++)
            for (uint32_t pos = 1 + 10u * (uint32_t)gap, n = 0; n < 60; n++, pos += gap ? 1100 : 1000) {
                TALKF(l, "%d< A %u:%u(1000) ack 1", i, pos, pos + 1000);
                refused += l->last_rx.verdict == TERN_DROPPED;
                lab_forget(l);
            }
        assert_true(refused > 50);
        status_answers(l);
        if (gap) /* what waits behind gaps never takes the room of the byte that is next */
            goes_on(l, &p);
        TALK(l, "1 abort\n2 abort\n3 abort\n4 abort\nforget");
        l->flow[1].h.v = l->flow[2].h.v = l->flow[3].h.v = l->flow[4].h.v = 0;
        goes_on(l, &p);
        goes_on(l, &p);
        lab_end(l);
    }
}

/* One more client: half-open, open, or closed again. False: there is no room for it any more. */
static bool one_more(struct lab *l, int stage, uint32_t i, tern_handle *h)
{
    l->flow[1] = (struct lab_flow){.local = l->flow[0].local, .peer = l->flow[0].peer, .win = 65535};
    l->flow[1].peer.port = (uint16_t)(1000 + i);
    TALK(l, "1< S 0 win 65535 <mss 1460>");
    if (lab_pending(l) == 0)
        return false;
    if (stage > 0)
        TALK(l, "1< A 1 ack 1");
    if (stage > 0 && tern_accept(l->t, l->listener, h) != 0)
        return false;
    if (stage == 2) {
        assert_int_equal(tern_close(l->t, *h), 0);
        lab_collect(l);
        TALK(l, "1< FA 1 ack 2");
    }
    lab_forget(l);
    return true;
}

/* 39: records of every kind take all they can: half-open, connections, TIME_WAIT. Only those that a program
 * holds can make a send wait. */
static void pitfall_39_records(void **state)
{
    static tern_handle h[4000];
    for (int stage = 0; stage < 3; stage++) {
        struct lab *l = open_small(state, 1);
        struct progress p = {0, 0};
        tern_event ev[8];
        uint32_t n = 0;
        goes_on(l, &p);
        for (; n < ARRAY_LEN(h) && one_more(l, stage, n, &h[n]); n++) {
            while (tern_events(l->t, ev, 8) > 0)
                continue;
            lab_run(l, MS);
        }
        l->flow[1].h.v = 0;
        lab_forget(l);
        status_answers(l);
        if (stage == 1) {
            assert_int_equal(lab_send(l, 0, 1000, 0), -TERN_EAGAIN);
            for (uint32_t i = 0; i < n; i++)
                assert_int_equal(tern_abort(l->t, h[i]), 0);
            lab_collect(l);
            lab_run(l, 3 * SEC);
            lab_forget(l);
            assert_true(lab_events(l, 0) & TERN_WRITABLE);
        }
        print_message("# %u %s\n", n, stage == 0 ? "half-open" : stage == 1 ? "open" : "closed");
        goes_on(l, &p);
        goes_on(l, &p);
        lab_end(l);
    }
}

/* One packet many times in one call of tern_rx, before tern sends anything. */
static int flood(struct lab *l, const uint8_t *pkt, uint32_t len, int n)
{
    int taken = 0;
    for (int i = 0; i < n; i++) {
        tern_rx_packet rx = {.data = pkt, .len = len, .link = (uint8_t)l->link};
        taken += tern_rx(l->t, l->now, &rx, 1);
    }
    return taken;
}

/* 39: the rings of answers, and the table of fragments. */
static void pitfall_39_rings(void **state)
{
    struct lab *l = open_small(state, 1);
    struct progress p = {0, 0};
    uint8_t pkt[2000];
    bool v4 = tern_ip_is4(&l->ip);
    goes_on(l, &p);
    l->flow[2].peer.port = 7, l->flow[2].local.port = 9; /* nobody listens there */
    struct segment s = {.flags = F_ACK, .seq = seq(1), .ack = seq(1), .opt.wscale = WSCALE_NONE};
    uint32_t len = lab_build(l, 2, &s, pkt);
    flood(l, pkt, len, 2 * REPLIES);
    assert_true(lab_stats(l).dropped[TERN_C_REPLIES_FULL] >= REPLIES);
    status_answers(l);
    lab_collect(l);
    assert_int_equal(lab_pending(l), REPLIES);
    lab_forget(l);
    goes_on(l, &p);
    uint16_t at = ip_emit(pkt, &l->peer_ip, &l->ip, v4 ? PROTO_ICMP : PROTO_ICMP6, 64, 0, 108, 1);
    memset(pkt + at, 7, 108);
    icmp_emit(pkt + at, v4 ? 4 : 6, v4 ? ICMP_ECHO : ICMP6_ECHO, 0, 1, pkt + at + 8, 100, &l->peer_ip,
              &l->ip);
    assert_int_equal(flood(l, pkt, at + 108u, 3 * IP_ECHOES), IP_ECHOES);
    status_answers(l);
    lab_collect(l);
    lab_forget(l);
    goes_on(l, &p);
    for (uint16_t id = 1; v4 && id < 3 * FRAG_DATAGRAMS; id++) { /* first pieces, of as many sources */
        tern_ip src = tern_ip4(10, 0, 7, (uint8_t)id);
        at = ip_emit(pkt, &src, &l->ip, PROTO_TCP, 64, 0, 800, id);
        memset(pkt + at, 0, 800);
        put16(pkt + 6, 0x2000);
        put16(pkt + 10, 0);
        put16(pkt + 10, csum_fold(csum_add(0, pkt, 20)));
        assert_int_equal(flood(l, pkt, at + 800u, 1), 1);
    }
    assert_int_equal(lab_live(l).fragments, v4 ? FRAG_DATAGRAMS : 0);
    status_answers(l);
    goes_on(l, &p);
    lab_end(l);
}

/* 39: links, addresses and routes up to their limits; the connection does not mind. */
static void pitfall_39_tables(void **state)
{
    struct lab *l = open_small(state, 1);
    struct progress p = {0, 0};
    tern_link_info info = {.mtu = 1500};
    int r, n = 0;
    while ((r = tern_link_add(l->t, &info)) > 0)
        n++;
    assert_int_equal(r, -TERN_ENOMEM);
    assert_int_equal(n, IP_LINKS - 2);
    goes_on(l, &p);
    for (n = 1; n < 1000; n++) {
        tern_ip ip = tern_ip4(198, 51, (uint8_t)(100 + n / 250), (uint8_t)(1 + n % 250));
        if ((r = tern_addr_add(l->t, 2, &ip, 32)) != 0)
            break;
    }
    assert_int_equal(r, -TERN_ENOMEM);
    status_answers(l);
    goes_on(l, &p);
    assert_int_equal(tern_link_remove(l->t, 2), 0);
    for (n = 1; n < 1000; n++) {
        tern_ip ip = tern_ip4(198, 51, (uint8_t)(100 + n / 250), (uint8_t)(1 + n % 250));
        if ((r = tern_route_add(l->t, 3, &ip, 32)) != 0)
            break;
    }
    assert_int_equal(r, -TERN_ENOMEM);
    goes_on(l, &p);
    assert_int_equal(tern_link_remove(l->t, 3), 0);
    assert_true(tern_link_add(l->t, &info) > 0);
    goes_on(l, &p);
    lab_end(l);
}

/* --- 40 ---------------------------------------------------------------------------------------------- */

static int entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return n;
}

/* Descriptors, threads, and bytes of the heap in use. */
struct held {
    int descriptors, threads;
    size_t bytes;
};

static struct held held_now(void)
{
    struct mallinfo2 m = mallinfo2();
    return (struct held){entries("/proc/self/fd"), entries("/proc/self/task"), m.uordblks + m.hblkhd};
}

static bool grown(const struct held *before)
{
    struct held now = held_now();
    if (now.descriptors == before->descriptors && now.threads == before->threads &&
        now.bytes <= before->bytes)
        return false;
    printf("# descriptors %d -> %d, threads %d -> %d, bytes %zu -> %zu\n", before->descriptors,
           now.descriptors, before->threads, now.threads, before->bytes, now.bytes);
    return true;
}

static tern_host *a_host(void)
{
    tern_host *h;
    char err[200];
    tern_host_config cfg = {.memory = 1 << 20};
    return tern_host_create(&h, &cfg, err, sizeof err) == 0 ? h : NULL;
}

static int attach_at(tern_host *h, tern_link *l, uint8_t last)
{
    tern_ip ip = tern_ip4(192, 0, 2, last);
    int id = tern_host_attach(h, l);
    return id > 0 ? tern_addr_add(tern_host_stack(h), id, &ip, 24) : id;
}

/* Two stacks over memory: one sends to the other; they go when `turns` turns are over, which is at any moment
 * of a transfer's life: before the SYN, in the middle, after the end. */
static int a_life_over_memory(int turns)
{
    static const uint8_t word[20000];
    tern_host *a = a_host(), *b = a_host();
    tern_link *la, *lb;
    tern_link_info info = {.mtu = 1500};
    tern_handle listener, h, in = {0};
    tern_endpoint at = {.ip = tern_ip4(192, 0, 2, 2), .port = 80};
    uint8_t buf[3000];
    if (a == NULL || b == NULL || tern_link_pair(&la, &lb, &info, 100) != 0 || attach_at(a, la, 1) != 0 ||
        attach_at(b, lb, 2) != 0)
        return 1;
    tern *ta = tern_host_stack(a), *tb = tern_host_stack(b);
    if (tern_listen(tb, &at, 0, &listener) != 0 || tern_connect(ta, NULL, &at, &h) != 0)
        return 1;
    for (int i = 0; i < turns; i++) {
        tern_host_turn(a), tern_host_turn(b);
        tern_send(ta, h, word, sizeof word, 0);
        if (in.v == 0)
            tern_accept(tb, listener, &in);
        else
            tern_recv(tb, in, buf, sizeof buf);
        if (i == 20)
            tern_close(ta, h);
    }
    tern_host_destroy(a), tern_host_destroy(b);
    return 0;
}

/* 40: a thousand stacks, two at a time, some in the middle of a transfer: nothing is left. */
static void pitfall_40_thousand_stacks(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++)
        assert_int_equal(a_life_over_memory(i), 0); /* the heap keeps some of what is given back, once */
    struct held before = held_now();
    for (int i = 0; i < 500; i++)
        assert_int_equal(a_life_over_memory(i % 30), 0);
    assert_false(grown(&before));
}

/* A stack over a TUN device of its own, with a SYN on its way. */
static int a_life_over_tun(int i)
{
    char name[16], err[200];
    tern_link *tun;
    tern_handle h, listener;
    tern_endpoint at = {.port = 80}, to = {.ip = tern_ip4(192, 0, 2, 7), .port = 80};
    tern_host *host = a_host();
    snprintf(name, sizeof name, "tern%d", i % 10);
    if (host == NULL || tern_link_tun(&tun, name, i & 1, err, sizeof err) < 0)
        return 77;
    if (attach_at(host, tun, 1) != 0)
        return 1;
    if (tern_listen(tern_host_stack(host), &at, 0, &listener) != 0 ||
        tern_connect(tern_host_stack(host), NULL, &to, &h) != 0)
        return 1;
    for (int turn = 0; turn < i % 4; turn++)
        tern_host_turn(host);
    tern_host_destroy(host);
    return 0;
}

static int many_over_tun(void)
{
    int rc = a_life_over_tun(1);
    struct held before = held_now();
    for (int i = 0; i < 200 && rc == 0; i++)
        rc = a_life_over_tun(i);
    return rc != 0 ? rc : grown(&before);
}

/* 40: two hundred with real descriptors (the kernel takes 20 ms for each device), in a network namespace of
 * their own. */
static void pitfall_40_over_tun(void **state)
{
    int status;
    (void)state;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        bool made = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
        int rc = made && access("/dev/net/tun", F_OK) == 0 ? many_over_tun() : 77;
        fflush(NULL);
        _exit(rc);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(pitfall_13_let_go_while_handling),
        LAB_TEST(pitfall_13_listener_and_connect),
        LAB_TEST(pitfall_39_sent),
        LAB_TEST(pitfall_39_received),
        LAB_TEST(pitfall_39_records),
        LAB_TEST(pitfall_39_rings),
        LAB_TEST(pitfall_39_tables),
    };
    const struct CMUnitTest once[] = {
        cmocka_unit_test(pitfall_40_thousand_stacks),
        cmocka_unit_test(pitfall_40_over_tun),
    };
    return LAB_MAIN(tests) + cmocka_run_group_tests(once, NULL, NULL);
}
