/* Handover of a live host (tern/handover.h): everything arrives, and whoever dies, at whatever moment, the
 * connections have one owner.
 *
 * The old host runs in a thread or a child, the new one here or in a child. Links are socket pairs, so no
 * device is needed: what is said of a TUN device's descriptor holds of any.
 */
#include "host/handover_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <tern/handover.h>
#include <unistd.h>

/* Old and new host are in one process here: each has a name of its own. */
static char name_now[24] = "hand", name_next[24];
static unsigned generations;

enum { PACKET = 66000, TOTAL = 3000000 };

/* --- a link over a socket ------------------------------------------------------------------------- */

struct wire {
    tern_link link;
    int fd;
    uint8_t in[PACKET], out[PACKET];
};

static int wire_rx(tern_link *l, uint64_t now, tern_rx_packet *pkts, int max)
{
    struct wire *w = (struct wire *)l;
    ssize_t n = max > 0 ? recv(w->fd, w->in, sizeof w->in, MSG_DONTWAIT) : -1;
    (void)now;
    if (n <= 0)
        return 0;
    pkts[0] = (tern_rx_packet){.data = w->in, .len = (uint32_t)n};
    return 1;
}

static int wire_tx(tern_link *l, uint64_t now, const tern_tx_packet *pkts, int n)
{
    struct wire *w = (struct wire *)l;
    (void)now;
    for (int i = 0; i < n; i++)
        if (send(w->fd, w->out, tern_tx_flatten(&pkts[i], w->out), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return i;
    return n;
}

static int wire_fd(const tern_link *l) { return ((const struct wire *)l)->fd; }

static uint64_t wire_next(const tern_link *l)
{
    (void)l;
    return UINT64_MAX;
}

static void wire_close(tern_link *l)
{
    close(((struct wire *)l)->fd);
    free(l);
}

static const struct tern_link_ops wire_ops = {
    .name = "wire", .rx = wire_rx, .tx = wire_tx, .fd = wire_fd, .next = wire_next, .close = wire_close};

static tern_link *wire_new(int fd)
{
    struct wire *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->link.ops = &wire_ops;
    w->link.info.mtu = 1500;
    w->fd = fd;
    return &w->link;
}

/* --- two hosts with a connection ------------------------------------------------------------------ */

static tern_ip ip_of(int i) { return tern_ip4(192, 0, 2, (uint8_t)(i + 1)); }

static tern_host *host_at(int fd, int i, const char *name)
{
    tern_host *h;
    char err[200];
    tern_ip ip = ip_of(i);
    tern_host_config cfg = {.name = name, .memory = 64 << 20};
    assert_int_equal(tern_host_create(&h, &cfg, err, sizeof err), 0);
    assert_int_equal(tern_host_attach(h, wire_new(fd)), 1);
    assert_int_equal(tern_addr_add(tern_host_stack(h), 1, &ip, 24), 0);
    return h;
}

struct world {
    tern_host *old, *peer;
    tern_handle listener, server, client; /* server: of the old host */
    uint64_t sent, got;
};

static uint8_t byte_at(uint64_t pos) { return (uint8_t)(pos * 7 + (pos >> 9)); }

/* The server sends what there is room for. */
static void serve(tern_host *h, tern_handle server, uint64_t *sent)
{
    uint8_t buf[4096];
    while (*sent < TOTAL) {
        size_t n = sizeof buf < TOTAL - *sent ? sizeof buf : TOTAL - *sent;
        for (size_t i = 0; i < n; i++)
            buf[i] = byte_at(*sent + i);
        long r = tern_send(tern_host_stack(h), server, buf, n, 0);
        if (r <= 0) {
            assert_int_equal(r, -TERN_EAGAIN);
            break;
        }
        *sent += (uint64_t)r;
    }
    tern_host_turn(h);
}

static void receive(struct world *w)
{
    uint8_t buf[4096];
    long n;
    tern_host_turn(w->peer);
    while ((n = tern_recv(tern_host_stack(w->peer), w->client, buf, sizeof buf)) > 0)
        for (long i = 0; i < n; i++)
            assert_int_equal(buf[i], byte_at(w->got++));
    tern_host_flush(w->peer);
}

static void set_up(struct world *w)
{
    int fd[2], room = 1 << 20;
    tern_endpoint at = {ip_of(0), 80, 0};
    *w = (struct world){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd), 0);
    setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    w->old = host_at(fd[0], 0, name_now);
    w->peer = host_at(fd[1], 1, NULL);
    tern_host_allow_handover(w->old, true);
    assert_int_equal(tern_listen(tern_host_stack(w->old), &at, 4, &w->listener), 0);
    assert_int_equal(tern_connect(tern_host_stack(w->peer), NULL, &at, &w->client), 0);
    while (tern_accept(tern_host_stack(w->old), w->listener, &w->server) != 0) {
        tern_host_turn(w->peer);
        tern_host_turn(w->old);
    }
    for (int i = 0; i < 20; i++) {
        serve(w->old, w->server, &w->sent);
        receive(w);
    }
    serve(w->old, w->server, &w->sent); /* full of bytes that wait */
    assert_true(w->got > 0 && w->got < TOTAL);
}

static void tear_down(struct world *w)
{
    tern_host_destroy(w->old);
    tern_host_destroy(w->peer);
}

/* The rest comes, from whoever has the connection now. */
static void finish(struct world *w, tern_host *owner)
{
    uint64_t until = tern_host_now() + 60000000;
    while (w->got < TOTAL) {
        assert_true(tern_host_now() < until);
        serve(owner, w->server, &w->sent);
        receive(w);
        struct pollfd p[2] = {{tern_host_fd(owner), POLLIN, 0}, {tern_host_fd(w->peer), POLLIN, 0}};
        poll(p, 2, 5);
    }
    tern_info info;
    assert_int_equal(tern_get_info(tern_host_stack(w->peer), w->client, &info), 0);
    assert_int_equal(info.state, TERN_ESTABLISHED);
}

/* --- the two sides ---------------------------------------------------------------------------------- */

/* The old one, in a thread: waits for the question and hands over. */
struct old_side {
    pthread_t thread;
    tern_host *host;
    tern_luggage luggage;
    int patience_ms, rc;
    bool stop; /* nobody will be heard */
    char err[200];
};

static void *run_old(void *ctx)
{
    struct old_side *o = ctx;
    while (!tern_host_handover_asked(o->host)) {
        if (__atomic_load_n(&o->stop, __ATOMIC_ACQUIRE))
            return NULL;
        tern_host_wait(o->host, 50);
        tern_host_turn(o->host);
    }
    o->rc = tern_host_hand_over(o->host, &o->luggage, o->patience_ms, o->err, sizeof o->err);
    return NULL;
}

static void start_old(struct old_side *o, tern_host *h, int patience_ms)
{
    o->host = h;
    o->patience_ms = patience_ms;
    assert_int_equal(pthread_create(&o->thread, NULL, run_old, o), 0);
}

static int end_old(struct old_side *o)
{
    pthread_join(o->thread, NULL);
    return o->rc;
}

/* The new one owns it, under its own name. */
static int own(tern_host *h, char err[200])
{
    int rc = tern_host_own(h, err, 200);
    if (rc == 0)
        memcpy(name_now, name_next, sizeof name_now);
    return rc;
}

/* The new one: asks, and adopts the link. */
static int ask(tern_host **out, tern_luggage *got, char err[200])
{
    snprintf(name_next, sizeof name_next, "hand%u", ++generations);
    tern_host_config cfg = {.name = name_next};
    int rc = tern_host_take_over(out, &cfg, name_now, 0, got, err, 200);
    if (rc < 0)
        return rc;
    int fd = tern_host_link_fd(*out, 1);
    assert_true(fd >= 0);
    assert_int_equal(tern_host_link_fd(*out, 1), -1);
    assert_int_equal(tern_host_adopt(*out, 1, wire_new(fd)), 0);
    return 0;
}

/* A child that takes over, and then does something else. Returns when it has everything. */
static pid_t child_takes(void (*then)(tern_host *h, void *ctx), void *ctx)
{
    pid_t pid = fork();
    if (pid == 0) {
        tern_host *h;
        tern_luggage got;
        char err[200];
        if (ask(&h, &got, err) == 0)
            then(h, ctx);
        _exit(1);
    }
    return pid;
}

static int child_status(pid_t pid)
{
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* --- tests -------------------------------------------------------------------------------------------- */

static void all_arrives(void **state)
{
    (void)state;
    struct world w;
    struct old_side o = {0};
    tern_host *h;
    tern_luggage got;
    char err[200];
    int fds[300];
    set_up(&w);
    for (int i = 0; i < 300; i++) {
        fds[i] = memfd_create("luggage", MFD_CLOEXEC);
        assert_int_equal(write(fds[i], &i, sizeof i), sizeof i);
    }
    tern_set_data(tern_host_stack(w.old), w.server, 4711);
    o.luggage = (tern_luggage){.data = "what the program knows", .len = 22, .fds = fds, .n_fds = 300};
    start_old(&o, w.old, 0);
    assert_int_equal(ask(&h, &got, err), 0);
    assert_int_equal(got.len, 22);
    assert_memory_equal(got.data, "what the program knows", 22);
    assert_int_equal(got.n_fds, 300);
    for (int i = 0; i < 300; i++) {
        int number = -1;
        assert_int_equal(pread(got.fds[i], &number, sizeof number, 0), sizeof number);
        assert_int_equal(number, i);
        close(got.fds[i]);
        close(fds[i]);
    }
    assert_int_equal(tern_host_turn(h), 0); /* not yet */
    assert_int_equal(own(h, err), 0);
    assert_string_equal(err, "");
    assert_int_equal(end_old(&o), 0);
    assert_int_equal(tern_host_turn(w.old), 0); /* no more */
    assert_false(tern_host_handover_asked(w.old));
    tern_info info;
    assert_int_equal(tern_get_info(tern_host_stack(h), w.server, &info), 0);
    assert_int_equal(info.data, 4711);
    tern_host_destroy(w.old); /* closes its descriptor of the link, and no more */
    w.old = h;
    finish(&w, h);
    tear_down(&w);
}

/* From one to the next, while bytes flow. */
static void again_and_again(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    for (int i = 0; i < 5; i++) {
        struct old_side o = {0};
        tern_host *h;
        tern_luggage got;
        char err[200];
        start_old(&o, w.old, 0);
        assert_int_equal(ask(&h, &got, err), 0);
        receive(&w);
        assert_int_equal(own(h, err), 0);
        assert_int_equal(end_old(&o), 0);
        tern_host_destroy(w.old);
        w.old = h;
        tern_host_allow_handover(h, true);
        for (int k = 0; k < 30; k++) {
            serve(h, w.server, &w.sent);
            receive(&w);
        }
    }
    finish(&w, w.old);
    tear_down(&w);
}

static void die(tern_host *h, void *ctx)
{
    (void)h, (void)ctx;
    raise(SIGKILL);
}

/* The new one has everything, and dies before it owns it. */
static void new_one_dies(void **state)
{
    (void)state;
    struct world w;
    struct old_side o = {0};
    set_up(&w);
    pid_t child = child_takes(die, NULL);
    start_old(&o, w.old, 0);
    assert_int_equal(end_old(&o), -EPIPE);
    assert_true(WIFSIGNALED(child_status(child)));
    finish(&w, w.old);
    tear_down(&w);
}

/* It dies before it has received anything, or before all of it. */
static void new_one_dies_early(void **state)
{
    (void)state;
    for (size_t n = 0; n < 3; n++) {
        struct world w;
        struct old_side o = {.luggage = {.fds = (int[300]){0}, .n_fds = 300}};
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        static const char question[] = HANDOVER_QUESTION "\n";
        char buf[sizeof(struct handover_head)];
        set_up(&w);
        snprintf(sa.sun_path, sizeof sa.sun_path, "%s/tern/%d-%s.sock", getenv("XDG_RUNTIME_DIR"),
                 (int)getpid(), name_now);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
        assert_int_equal(send(fd, question, sizeof question - 1, 0), sizeof question - 1);
        start_old(&o, w.old, 0);
        if (n > 0)
            assert_int_equal(recv(fd, buf, sizeof buf, MSG_WAITALL), sizeof buf);
        if (n > 1)
            assert_int_equal(recv(fd, buf, 4, MSG_WAITALL), 4);
        close(fd);
        assert_true(end_old(&o) < 0);
        finish(&w, w.old);
        tear_down(&w);
    }
}

static void own_late(tern_host *h, void *ctx)
{
    const int *gone = ctx;
    char err[200], c;
    if (read(*gone, &c, 1) != 1) /* until the old one has given up */
        _exit(2);
    _exit(tern_host_own(h, err, sizeof err) == -ECONNABORTED ? 0 : 3);
}

/* The new one takes too long; when it comes back, it learns that it is too late. */
static void new_one_is_late(void **state)
{
    (void)state;
    struct world w;
    struct old_side o = {0};
    int gone[2];
    set_up(&w);
    assert_int_equal(pipe(gone), 0);
    pid_t child = child_takes(own_late, gone);
    start_old(&o, w.old, 300);
    assert_int_equal(end_old(&o), -ETIMEDOUT);
    assert_int_equal(write(gone[1], "x", 1), 1);
    assert_int_equal(child_status(child), 0);
    finish(&w, w.old);
    close(gone[0]);
    close(gone[1]);
    tear_down(&w);
}

/* The old one dies while it stands still: the new one has everything. */
static void old_one_dies(void **state)
{
    (void)state;
    struct world w;
    tern_host *h;
    tern_luggage got;
    char err[200];
    set_up(&w);
    pid_t child = fork();
    if (child == 0) {
        struct old_side o = {.host = w.old};
        run_old(&o);
        _exit(1);
    }
    assert_int_equal(ask(&h, &got, err), 0);
    kill(child, SIGKILL);
    assert_true(WIFSIGNALED(child_status(child)));
    assert_int_equal(own(h, err), 0);
    finish(&w, h);
    tern_host_destroy(h);
    tear_down(&w);
}

/* Whenever patience ends, one of them has it. */
static void never_both_and_never_none(void **state)
{
    (void)state;
    struct world w;
    int times[2] = {0, 0};
    set_up(&w);
    for (int i = 0; i < 60; i++) {
        struct old_side o = {0};
        tern_host *h;
        tern_luggage got;
        char err[200];
        /* in good time, too late, and about when patience ends */
        start_old(&o, w.old, i % 3 == 0 ? 10000 : 4);
        int new_rc = ask(&h, &got, err);
        if (new_rc == 0) {
            usleep(i % 3 == 0 ? 0 : i % 3 == 1 ? 50000 : (useconds_t)(i * 97 % 6000));
            new_rc = own(h, err);
        }
        int old_rc = end_old(&o);
        assert_true((old_rc == 0) != (new_rc != 0));
        times[new_rc == 0]++;
        if (new_rc == 0) {
            tern_host_destroy(w.old);
            w.old = h;
            tern_host_allow_handover(h, true);
        } else if (new_rc == -ECONNABORTED) {
            tern_host_destroy(h);
        }
        serve(w.old, w.server, &w.sent);
        receive(&w);
    }
    assert_true(times[0] > 0 && times[1] > 0);
    finish(&w, w.old);
    tear_down(&w);
}

static void who_may_ask(void **state)
{
    (void)state;
    struct world w;
    struct old_side o = {0};
    tern_host *h;
    tern_luggage got;
    char err[200];
    tern_host_config cfg = {.name = "other"};
    assert_int_equal(tern_host_take_over(&h, &cfg, name_now, 0, &got, err, sizeof err), -ENOENT);
    set_up(&w);
    assert_int_equal(tern_host_take_over(&h, &cfg, name_now, getpid() + 1, &got, err, sizeof err), -ENOENT);
    assert_int_equal(tern_host_hand_over(w.old, NULL, 0, err, sizeof err), -ENOENT);
    tern_host_allow_handover(w.old, false);
    start_old(&o, w.old, 0); /* its turns answer */
    assert_int_equal(tern_host_take_over(&h, &cfg, name_now, 0, &got, err, sizeof err), -ECONNREFUSED);
    assert_non_null(strstr(err, "does not hand over"));
    __atomic_store_n(&o.stop, true, __ATOMIC_RELEASE);
    pthread_join(o.thread, NULL);
    tear_down(&w);
}

static void *decline(void *ctx)
{
    struct old_side *o = ctx;
    while (!tern_host_handover_asked(o->host)) {
        tern_host_wait(o->host, 1000);
        tern_host_turn(o->host);
    }
    tern_host_decline(o->host, "not now, I am busy");
    return NULL;
}

static void a_no_is_heard(void **state)
{
    (void)state;
    struct world w;
    tern_host *h;
    tern_luggage got;
    char err[200];
    tern_host_config cfg = {.name = "other"};
    set_up(&w);
    struct old_side o = {.host = w.old};
    assert_int_equal(pthread_create(&o.thread, NULL, decline, &o), 0);
    assert_int_equal(tern_host_take_over(&h, &cfg, name_now, 0, &got, err, sizeof err), -ECONNREFUSED);
    assert_non_null(strstr(err, "not now, I am busy"));
    pthread_join(o.thread, NULL);
    finish(&w, w.old);
    tear_down(&w);
}

/* Links in memory cannot go. */
static void a_link_without_descriptor(void **state)
{
    (void)state;
    struct world w;
    struct old_side o = {0};
    tern_link *a, *b;
    tern_host *h;
    tern_luggage got;
    char err[200];
    tern_host_config cfg = {.name = "other"};
    set_up(&w);
    assert_int_equal(tern_link_pair(&a, &b, &(tern_link_info){.mtu = 1500}, 8), 0);
    assert_int_equal(tern_host_attach(w.old, a), 2);
    start_old(&o, w.old, 0);
    assert_int_equal(tern_host_take_over(&h, &cfg, name_now, 0, &got, err, sizeof err), -ECONNREFUSED);
    assert_int_equal(end_old(&o), -EOPNOTSUPP);
    finish(&w, w.old);
    tern_link_close(b);
    tear_down(&w);
}

/* Every link must be adopted, each once. */
static void links_are_counted(void **state)
{
    (void)state;
    struct world w;
    struct old_side o = {0};
    tern_host *h;
    tern_luggage got;
    char err[200];
    tern_host_config cfg = {.name = "other"};
    set_up(&w);
    start_old(&o, w.old, 0);
    assert_int_equal(tern_host_take_over(&h, &cfg, name_now, 0, &got, err, sizeof err), 0);
    assert_int_equal(tern_host_link_fd(h, 2), -1);
    assert_int_equal(own(h, err), -EINVAL);
    assert_int_equal(tern_host_adopt(h, 2, wire_new(dup(0))), -EINVAL);
    assert_int_equal(tern_host_adopt(h, 1, wire_new(tern_host_link_fd(h, 1))), 0);
    assert_int_equal(tern_host_adopt(h, 1, wire_new(dup(0))), -EINVAL);
    tern_host_destroy(h); /* without owning it: the old one goes on */
    assert_int_equal(end_old(&o), -EPIPE);
    finish(&w, w.old);
    tear_down(&w);
}

/* Somebody else answers, or the answer is cut off. */
static void strange_answers(void **state)
{
    (void)state;
    static const char *const answers[] = {"", "x", "{\"error\":\"no\"}", "{\"error\":7}",
                                          "0123456789012345678901234567890123456789012345678901234567890"};
    char dir[80];
    snprintf(dir, sizeof dir, "%s/tern", getenv("XDG_RUNTIME_DIR"));
    mkdir(dir, 0700);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        snprintf(sa.sun_path, sizeof sa.sun_path, "%s/%d-odd.sock", dir, (int)getpid());
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
        assert_int_equal(listen(fd, 8), 0);
        pid_t child = fork();
        if (child == 0) {
            for (;;) {
                char buf[100];
                int c = accept(fd, NULL, NULL);
                if (recv(c, buf, sizeof buf, 0) > 0 && write(c, answers[i], strlen(answers[i])) < 0)
                    _exit(1);
                close(c);
            }
        }
        tern_host *h;
        tern_luggage got;
        char err[200] = "";
        tern_host_config cfg = {.name = "odd"};
        int rc = tern_host_take_over(&h, &cfg, "odd", 0, &got, err, sizeof err);
        assert_true(rc == -ECONNREFUSED || rc == -EPIPE);
        assert_true(err[0] != '\0');
        kill(child, SIGKILL);
        child_status(child);
        close(fd);
        unlink(sa.sun_path);
    }
}

/* --- the place of the sockets ------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_arrives),
        cmocka_unit_test(again_and_again),
        cmocka_unit_test(new_one_dies),
        cmocka_unit_test(new_one_dies_early),
        cmocka_unit_test(new_one_is_late),
        cmocka_unit_test(old_one_dies),
        cmocka_unit_test(never_both_and_never_none),
        cmocka_unit_test(who_may_ask),
        cmocka_unit_test(a_no_is_heard),
        cmocka_unit_test(a_link_without_descriptor),
        cmocka_unit_test(links_are_counted),
        cmocka_unit_test(strange_answers),
    };
    char dir[] = "/tmp/tern-unit-XXXXXX";
    if (!mkdtemp(dir))
        return 1;
    setenv("XDG_RUNTIME_DIR", dir, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return failed;
}
