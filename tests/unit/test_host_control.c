/* The control socket: found by a listing, asked by a line, never in the way of the stack. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host/control.h"
#include "host/info_json.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <tern/host.h>
#include <unistd.h>

enum { PEERS = 64 };

struct place {
    char dir[64]; /* stands in for $XDG_RUNTIME_DIR */
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    strcpy(p->dir, "/tmp/tern-unit-XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    setenv("XDG_RUNTIME_DIR", p->dir, 1);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    nftw(p->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(p);
    return 0;
}

static tern_host *open_host(const char *name)
{
    tern_host *h;
    char err[200];
    tern_host_config cfg = {.name = name, .memory = 256 << 20};
    assert_int_equal(tern_host_create(&h, &cfg, err, sizeof err), 0);
    assert_string_equal(err, "");
    return h;
}

/* A host with a link and listeners on ports 1000.. */
static tern_host *open_listening(const char *name, int listeners, tern_link **other)
{
    tern_host *h = open_host(name);
    tern_link_info info = {.mtu = 1500};
    tern_link *own;
    tern_ip ip = tern_ip4(192, 0, 2, 1);
    assert_int_equal(tern_link_pair(&own, other, &info, 64), 0);
    int id = tern_host_attach(h, own);
    assert_true(id > 0);
    assert_int_equal(tern_addr_add(tern_host_stack(h), id, &ip, 24), 0);
    for (int i = 0; i < listeners; i++) {
        tern_endpoint at = {ip, (uint16_t)(1000 + i), 0};
        tern_handle l;
        assert_int_equal(tern_listen(tern_host_stack(h), &at, 7, &l), 0);
    }
    return h;
}

/* The peer of this process with that name; NULL: not listed. */
static const struct tern_control_peer *find(const char *name)
{
    static struct tern_control_peer peers[PEERS];
    int n = tern_control_list(peers, PEERS);
    for (int i = 0; i < n; i++)
        if (peers[i].pid == getpid() && strcmp(peers[i].name, name) == 0)
            return &peers[i];
    return NULL;
}

/* Asking blocks, so it needs a thread of its own. */
struct question {
    struct tern_control_peer peer;
    const char *cmd;
    json_t *answer;
    int rc;
    bool done;
};

static void *ask(void *ctx)
{
    struct question *q = ctx;
    q->rc = tern_control_ask(&q->peer, q->cmd, &q->answer);
    __atomic_store_n(&q->done, true, __ATOMIC_RELEASE);
    return NULL;
}

static json_t *ask_host(tern_host *h, const char *name, const char *cmd)
{
    struct question q = {.cmd = cmd};
    pthread_t thread;
    const struct tern_control_peer *peer = find(name);
    assert_non_null(peer);
    q.peer = *peer;
    assert_int_equal(pthread_create(&thread, NULL, ask, &q), 0);
    while (!__atomic_load_n(&q.done, __ATOMIC_ACQUIRE)) {
        tern_host_wait(h, 10);
        assert_true(tern_host_turn(h) >= 0);
    }
    pthread_join(thread, NULL);
    assert_int_equal(q.rc, 0);
    return q.answer;
}

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    assert_non_null(text);
    return text;
}

static json_int_t number_of(const json_t *o, const char *name)
{
    assert_true(json_is_integer(json_object_get(o, name)));
    return json_integer_value(json_object_get(o, name));
}

static int connect_silently(const struct tern_control_peer *peer)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(sa.sun_path, peer->path, strlen(peer->path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static void lists_every_host(void **state)
{
    (void)state;
    tern_host *a = open_host("web"), *b = open_host("web"), *c = open_host("a/b c"), *d = open_host(NULL);
    assert_non_null(find("web"));
    assert_non_null(find("web-2"));
    assert_non_null(find("a-b-c"));
    tern_host_destroy(a);
    assert_null(find("web"));
    assert_non_null(find("web-2"));
    tern_host_destroy(b);
    tern_host_destroy(c);
    tern_host_destroy(d);
    assert_null(find("web-2"));
}

static void answers_ss(void **state)
{
    tern_link *other;
    (void)state;
    tern_host *h = open_listening("ss", 2, &other);
    json_t *o = ask_host(h, "ss", "ss");
    json_t *list = json_object_get(o, "connections");
    assert_int_equal(number_of(o, "pid"), getpid());
    assert_string_equal(text_of(o, "name"), "ss");
    assert_string_equal(text_of(o, "version"), tern_version());
    assert_int_equal(json_array_size(list), 2);
    for (size_t i = 0; i < 2; i++) {
        json_t *c = json_array_get(list, i);
        assert_string_equal(text_of(c, "state"), "LISTEN");
        assert_string_equal(text_of(c, "local"), "192.0.2.1");
        assert_in_range(number_of(c, "local_port"), 1000, 1001);
        assert_string_equal(text_of(c, "cause"), "PASSIVE_OPEN");
        assert_string_equal(text_of(c, "rule"), "RFC 9293 3.10.1");
        assert_string_equal(text_of(c, "text"), "the program listens");
        assert_true(json_is_true(json_object_get(c, "listener")));
        assert_int_equal(number_of(c, "backlog"), 7);
        assert_int_equal(number_of(c, "error"), 0);
        assert_true(number_of(c, "state_since_us") <= number_of(o, "now_us"));
    }
    json_decref(o);
    tern_link_close(other);
    tern_host_destroy(h);
}

static void answers_stats(void **state)
{
    tern_link *other;
    (void)state;
    tern_host *h = open_listening("stats", 1, &other);
    json_t *o = ask_host(h, "stats", "stats");
    assert_int_equal(number_of(json_object_get(o, "stats"), "rx_packets"), 0);
    assert_int_equal(number_of(json_object_get(o, "live"), "listeners"), 1);
    assert_int_equal(number_of(json_object_get(o, "host"), "tx_refused"), 0);
    assert_string_equal(text_of(json_array_get(json_object_get(o, "links"), 0), "name"), "pair");
    json_decref(o);
    tern_link_close(other);
    tern_host_destroy(h);
}

/* Of connections that we opened, by remote; those of listeners are not ours. */
static void answers_ports(void **state)
{
    tern_link *other;
    (void)state;
    tern_host *h = open_listening("ports", 1, &other);
    for (int i = 0; i < 5; i++) {
        tern_endpoint to = {tern_ip4(192, 0, 2, 9), (uint16_t)(i < 4 ? 443 : 80), 0};
        tern_handle c;
        assert_int_equal(tern_connect(tern_host_stack(h), NULL, &to, &c), 0);
    }
    json_t *o = ask_host(h, "ports", "ports"), *list = json_object_get(o, "ports");
    assert_int_equal(number_of(o, "port_low"), 32768);
    assert_int_equal(number_of(o, "remotes"), 2);
    assert_int_equal(json_array_size(list), 2);
    for (size_t i = 0; i < 2; i++) {
        json_t *g = json_array_get(list, i);
        assert_string_equal(text_of(g, "local"), "192.0.2.1");
        assert_string_equal(text_of(g, "remote"), "192.0.2.9");
        assert_int_equal(number_of(g, "remote_port"), i == 0 ? 443 : 80);
        assert_int_equal(number_of(g, "used"), i == 0 ? 4 : 1);
        assert_int_equal(number_of(g, "free"), i == 0 ? 28228 : 28231);
        assert_int_equal(number_of(json_object_get(g, "states"), "SYN_SENT"), i == 0 ? 4 : 1);
    }
    json_decref(o);
    tern_link_close(other);
    tern_host_destroy(h);
}

/* What the host answers to these bytes, until it closes; at most so many bytes are sent at once. */
static char *exchange(tern_host *h, const char *name, const char *question, size_t at_once)
{
    size_t len = 0, sent = 0, total = strlen(question);
    char *answer = calloc(1, 1 << 20);
    int fd = connect_silently(find(name));
    for (ssize_t n = -1; n != 0;) {
        size_t part = total - sent < at_once ? total - sent : at_once;
        if (part > 0 && send(fd, question + sent, part, MSG_NOSIGNAL) < 0)
            break;
        sent += part;
        assert_true(tern_host_turn(h) >= 0);
        n = recv(fd, answer + len, (1 << 20) - len - 1, MSG_DONTWAIT);
        len += n > 0 ? (size_t)n : 0;
        assert_true(n >= 0 || errno == EAGAIN); /* not ECONNRESET: the question was read whole */
    }
    close(fd);
    return answer;
}

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static void answers_metrics(void **state)
{
    tern_link *other;
    (void)state;
    tern_host *h = open_listening("metrics", 1, &other);
    char *text = exchange(h, "metrics", "metrics\n", 100);
    assert_true(begins(text, "# HELP tern_build_info "));
    assert_non_null(strstr(text, "\n# TYPE tern_rx_packets_total counter\ntern_rx_packets_total 0\n"));
    assert_non_null(strstr(text, "\ntern_live{kind=\"listeners\"} 1\n"));
    assert_non_null(strstr(text, "\ntern_connections{state=\"ESTABLISHED\"} 0\n"));
    assert_non_null(strstr(text, "\ntern_listener_backlog{local=\"192.0.2.1:1000\"} 7\n"));
    assert_non_null(strstr(text, "\ntern_memory_budget_bytes 268435456\n"));
    assert_non_null(strstr(text, "\ntern_link_up{link=\"1\",kind=\"pair\",device=\"\"} 1\n"));
    free(text);
    tern_link_close(other);
    tern_host_destroy(h);
}

/* More records than are counted in one turn, more listeners than are named. */
static void metrics_of_very_many(void **state)
{
    tern_link *other;
    uint32_t named = 0;
    (void)state;
    tern_host *h = open_listening("many", 9000, &other);
    char *text = exchange(h, "many", "metrics\n", 100);
    assert_non_null(strstr(text, "\ntern_live{kind=\"listeners\"} 9000\n"));
    for (const char *at = text; (at = strstr(at, "\ntern_listener_backlog{")) != NULL; at++)
        named++;
    assert_int_equal(named, 1024);
    free(text);
    tern_link_close(other);
    tern_host_destroy(h);
}

/* As curl --unix-socket and monitoring systems ask: also byte by byte, and for what is not there. */
static void answers_http(void **state)
{
    static const char get[] =
        "GET /metrics?x=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a\r\nAccept: */*\r\n\r\n";
    tern_link *other;
    (void)state;
    tern_host *h = open_listening("http", 1, &other);
    for (size_t at_once = 1; at_once < sizeof get; at_once += 20) {
        char *text = exchange(h, "http", get, at_once);
        assert_true(begins(text, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"));
        assert_non_null(strstr(text, "\r\n\r\n# HELP tern_build_info "));
        free(text);
    }
    char *text = exchange(h, "http", "GET /stats HTTP/1.0\n\n", 100);
    assert_true(begins(text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"));
    json_t *o = json_loads(strstr(text, "{"), 0, NULL);
    assert_int_equal(number_of(json_object_get(o, "live"), "listeners"), 1);
    json_decref(o);
    free(text);
    text = exchange(h, "http", "GET /nothing HTTP/1.1\r\n\r\n", 100);
    assert_true(begins(text, "HTTP/1.1 404 Not Found\r\n"));
    free(text);
    tern_link_close(other);
    tern_host_destroy(h);
}

/* Each field of tern_live can be seen in the JSON (one word may be padding). */
static void live_json_names_every_field(void **state)
{
    enum { WORDS = sizeof(tern_live) / 4 };
    uint32_t words[WORDS], invisible = 0;
    tern_live live;
    (void)state;
    for (size_t i = 0; i < WORDS; i++) {
        const char *key;
        json_t *value;
        json_int_t sum = 0;
        memset(words, 0, sizeof words);
        words[i] = 1;
        memcpy(&live, words, sizeof live);
        json_t *o = tern_live_json(&live);
        json_object_foreach(o, key, value) sum += json_integer_value(value) != 0;
        json_decref(o);
        invisible += sum == 0;
    }
    assert_true(invisible <= 1);
}

static void answers_live(void **state)
{
    tern_link *other;
    (void)state;
    tern_host *h = open_listening("live", 3, &other);
    json_t *o = ask_host(h, "live", "live");
    assert_int_equal(json_array_size(json_object_get(o, "connections")), 3);
    assert_int_equal(number_of(o, "time_wait"), 0);
    json_decref(o);
    tern_link_close(other);
    tern_host_destroy(h);
}

static void says_what_can_be_asked(void **state)
{
    (void)state;
    tern_host *h = open_host("odd");
    json_t *o = ask_host(h, "odd", "what?");
    assert_non_null(strstr(text_of(o, "error"), "ss"));
    json_decref(o);
    tern_host_destroy(h);
}

static bool accepts(tern_host *h, const char *line)
{
    json_t *o = ask_host(h, "change", line);
    bool ok = json_is_true(json_object_get(o, "ok"));
    if (!ok)
        assert_true(text_of(o, "error")[0] != '\0');
    json_decref(o);
    return ok;
}

/* Each kind of change, and its refusals; what there is then can be read. */
static void changes_addresses_routes_and_links(void **state)
{
    (void)state;
    tern_link *other;
    tern_host *h = open_listening("change", 0, &other);
    assert_true(accepts(h, "addr add 192.0.2.9/24"));
    assert_false(accepts(h, "addr add 192.0.2.9/24 1"));
    assert_false(accepts(h, "addr add 192.0.2.10/24 2"));
    assert_false(accepts(h, "addr add nonsense"));
    assert_false(accepts(h, "addr add"));
    assert_true(accepts(h, "addr deprecate 192.0.2.9"));
    assert_true(accepts(h, "route add 198.51.100.0/24 1"));
    assert_true(accepts(h, "route replace 198.51.100.0/24 1"));
    assert_true(accepts(h, "route remove 198.51.100.0/24"));
    assert_false(accepts(h, "route remove 198.51.100.0/24"));
    assert_true(accepts(h, "link mtu 1 1400"));
    assert_false(accepts(h, "link mtu 1 14x"));
    assert_false(accepts(h, "link mtu 1"));
    assert_false(accepts(h, "link sideways 1"));
    assert_true(accepts(h, "link down 1"));
    json_t *net = ask_host(h, "change", "net");
    const json_t *link = json_array_get(json_object_get(net, "links"), 0);
    const json_t *addr = json_array_get(json_object_get(net, "addresses"), 1);
    assert_true(json_is_false(json_object_get(link, "up")));
    assert_int_equal(number_of(link, "mtu"), 1400);
    assert_string_equal(text_of(link, "name"), "pair");
    assert_string_equal(text_of(addr, "address"), "192.0.2.9");
    assert_true(json_is_true(json_object_get(addr, "deprecated")));
    json_decref(net);
    assert_true(accepts(h, "addr prefer 192.0.2.9"));
    assert_true(accepts(h, "addr remove 192.0.2.9"));
    assert_true(accepts(h, "link up 1"));
    assert_int_equal(tern_host_detach(h, 2), -TERN_ENODEV);
    assert_int_equal(tern_host_detach(h, 1), 0);
    assert_false(accepts(h, "link up 1"));
    tern_link_close(other);
    tern_host_destroy(h);
}

/* An answer far larger than what is made at once, and than a socket holds. */
static void a_long_answer_comes_in_pieces(void **state)
{
    tern_link *other;
    (void)state;
    tern_host *h = open_listening("long", 3000, &other);
    json_t *o = ask_host(h, "long", "ss");
    json_t *list = json_object_get(o, "connections");
    bool seen[3000] = {false};
    assert_int_equal(json_array_size(list), 3000);
    for (size_t i = 0; i < 3000; i++)
        seen[number_of(json_array_get(list, i), "local_port") - 1000] = true;
    for (size_t i = 0; i < 3000; i++)
        assert_true(seen[i]);
    json_decref(o);
    tern_link_close(other);
    tern_host_destroy(h);
}

struct reader {
    int fd;
    size_t got;
};

static void *read_all(void *ctx)
{
    struct reader *r = ctx;
    char bytes[1 << 16];
    for (ssize_t n; (n = recv(r->fd, bytes, sizeof bytes, 0)) > 0;)
        __atomic_fetch_add(&r->got, (size_t)n, __ATOMIC_RELAXED);
    return NULL;
}

/* A client that reads as fast as it is written to does not make a turn last as long as its answer: the
 * stack's packets wait meanwhile. */
static void a_fast_reader_does_not_hold_a_turn(void **state)
{
    tern_link *other;
    pthread_t thread;
    size_t most = 0;
    (void)state;
    tern_host *h = open_listening("fast", 9000, &other);
    struct reader r = {.fd = connect_silently(find("fast"))};
    assert_int_equal(send(r.fd, "ss\n", 3, 0), 3);
    assert_int_equal(pthread_create(&thread, NULL, read_all, &r), 0);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        size_t before = __atomic_load_n(&r.got, __ATOMIC_RELAXED);
        assert_true(tern_host_turn(h) >= 0);
        size_t read = __atomic_load_n(&r.got, __ATOMIC_RELAXED) - before;
        most = read > most ? read : most;
        tern_host_wait(h, 1);
    }
    assert_true(r.got > 3 << 20);
    assert_in_range(most, 1, 512 << 10); /* 64 KiB of one turn, and what lay in the socket */
    close(r.fd);
    tern_link_close(other);
    tern_host_destroy(h);
}

/* Clients that say nothing, say too much, or do not listen to the answer keep nobody else from asking. */
static void bad_clients_are_in_nobodys_way(void **state)
{
    tern_link *other;
    int fds[30];
    char much[200];
    (void)state;
    tern_host *h = open_listening("crowd", 3000, &other);
    memset(much, 'x', sizeof much);
    for (int i = 0; i < 30; i++) {
        fds[i] = connect_silently(find("crowd"));
        if (i % 3 == 1)
            assert_true(send(fds[i], "ss\n", 3, MSG_NOSIGNAL) == 3); /* and never reads */
        if (i % 3 == 2)
            assert_true(send(fds[i], much, sizeof much, MSG_NOSIGNAL) > 0);
        while (tern_host_turn(h) > 0)
            ;
    }
    json_t *o = ask_host(h, "crowd", "ss");
    assert_int_equal(json_array_size(json_object_get(o, "connections")), 3000);
    json_decref(o);
    for (int i = 0; i < 30; i++)
        close(fds[i]);
    while (tern_host_turn(h) > 0)
        ;
    assert_int_equal(tern_host_wait(h, 0), 0); /* and leave nothing to do behind */
    tern_link_close(other);
    tern_host_destroy(h);
}

/* A process that was killed leaves its file; who lists removes it. */
static void sweeps_away_the_dead(void **state)
{
    struct place *p = *state;
    char path[300];
    struct stat st;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        tern_host *h;
        tern_host_config cfg = {.name = "dead"};
        _exit(tern_host_create(&h, &cfg, NULL, 0) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    snprintf(path, sizeof path, "%s/tern/%d-dead.sock", p->dir, (int)pid);
    assert_int_equal(stat(path, &st), 0);
    assert_null(find("dead"));
    assert_int_equal(stat(path, &st), -1);
}

/* A forked child that ends its copy must not take the parent's file with it. */
static void a_child_leaves_the_parents_socket(void **state)
{
    int status;
    (void)state;
    tern_host *h = open_host("parent");
    pid_t pid = fork();
    if (pid == 0) {
        tern_host_destroy(h);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_non_null(find("parent"));
    tern_host_destroy(h);
}

static void a_name_that_is_too_long_is_cut(void **state)
{
    char name[300];
    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    tern_host *h = open_host(name);
    name[35] = '\0'; /* room is left for a number */
    assert_non_null(find(name));
    tern_host_destroy(h);
}

static void who_does_not_answer_is_given_up(void **state)
{
    json_t *o;
    (void)state;
    tern_host *h = open_host("stopped"); /* nobody calls its turn */
    const struct tern_control_peer *peer = find("stopped");
    assert_non_null(peer);
    assert_int_equal(tern_control_ask(peer, "ss", &o), -ETIMEDOUT);
    tern_host_destroy(h);
    assert_int_equal(tern_control_ask(peer, "ss", &o), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_every_host),
        cmocka_unit_test(answers_ss),
        cmocka_unit_test(answers_stats),
        cmocka_unit_test(answers_live),
        cmocka_unit_test(answers_ports),
        cmocka_unit_test(answers_metrics),
        cmocka_unit_test(metrics_of_very_many),
        cmocka_unit_test(answers_http),
        cmocka_unit_test(live_json_names_every_field),
        cmocka_unit_test(says_what_can_be_asked),
        cmocka_unit_test(changes_addresses_routes_and_links),
        cmocka_unit_test(a_long_answer_comes_in_pieces),
        cmocka_unit_test(a_fast_reader_does_not_hold_a_turn),
        cmocka_unit_test(bad_clients_are_in_nobodys_way),
        cmocka_unit_test(sweeps_away_the_dead),
        cmocka_unit_test(a_child_leaves_the_parents_socket),
        cmocka_unit_test(a_name_that_is_too_long_is_cut),
        cmocka_unit_test(who_does_not_answer_is_given_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
