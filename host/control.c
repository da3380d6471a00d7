/* control.c - the control socket: `tern ss` asks, a turn answers.
 *
 * The stack must never wait for who asks. So clients are few, their sockets never block, and an answer is
 * made piece by piece: a turn walks some records of the stack, until PIECE bytes lie ready, and another one
 * goes on when the client has taken them. An answer about a million connections costs no memory and no pause.
 *
 *     READING ──line──▶ SENDING ──all sent, or the client is gone──▶ closed
 *
 * A question may also be the head of an HTTP request (GET /metrics), as monitoring systems and curl send it:
 * then the line is its first one, and all of the head is read, since a socket that is closed with bytes
 * unread tells its peer of an error.
 *
 * When all places are taken the client that has been there longest gives way.
 */
#include "host/control.h"
#include "host/handover_wire.h"
#include "host/host_internal.h"
#include "host/info_json.h"
#include "host/metrics.h"
#include "host/port_groups.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CLIENTS = 8,
    PIECE = 64 << 10, /* bytes that are enough to go on sending */
    NAMES = 100,      /* hosts of one name in one process */
    HEAD = 16 << 10,  /* longest head of an HTTP request */
    TALLY = 4096,     /* records looked at in one go, when nothing is written about each */
};

/* What is still to be done for an answer. */
enum walk { WALK_OVER, WALK_LIST, WALK_TALLY, WALK_PORTS };

/* Bytes waiting to be sent. */
struct outbox {
    char *text;
    size_t len, at, room;
    bool failed; /* no memory: the answer cannot be finished */
};

struct client {
    int fd; /* -1 = a free place */
    uint64_t since;
    char line[CONTROL_LINE];
    size_t line_len;
    bool has_line;
    bool http;           /* the line is the first one of an HTTP request */
    uint32_t head_len;   /* bytes of its head */
    uint32_t line_feeds; /* in a row at its end: two end it */
    bool sending;
    enum walk walk;
    uint64_t cursor;     /* of tern_walk */
    bool first;          /* no record has been written yet */
    bool brief;          /* TIME_WAIT records that nobody holds are left out, and counted: */
    uint64_t left_out;
    struct metrics_tally tally;
    struct port_groups *ports; /* while WALK_PORTS */
    struct outbox out;
};

struct control {
    int fd;
    pid_t owner; /* a forked child must not remove the file */
    char name[40];
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    uint64_t clients_so_far;
    struct client clients[CLIENTS];
};

/* --- what is answered --------------------------------------------------------------------------- */

static int put(const char *text, size_t len, void *ctx)
{
    struct outbox *o = ctx;
    if (o->len + len > o->room) {
        size_t room = (o->len + len) * 2;
        char *bigger = realloc(o->text, room);
        if (!bigger) {
            o->failed = true;
            return -1;
        }
        o->text = bigger;
        o->room = room;
    }
    memcpy(o->text + o->len, text, len);
    o->len += len;
    return 0;
}

static void put_text(struct outbox *o, const char *text) { put(text, strlen(text), o); }

/* Write a new object and let it go. */
static void put_json(struct outbox *o, json_t *json, size_t flags)
{
    if (!json || json_dump_callback(json, put, o, JSON_COMPACT | flags) < 0)
        o->failed = true;
    json_decref(json);
}

static json_t *head(const tern_host *h)
{
    return json_pack("{s:i, s:s, s:s, s:I}", "pid", (int)getpid(), "name", h->control->name, "version",
                     tern_version(), "now_us", (json_int_t)tern_now(h->stack));
}

static json_t *links_json(const tern_host *h)
{
    json_t *list = json_array();
    for (int id = 1; id < HOST_LINKS; id++) {
        const tern_link *l = h->links[id].link;
        if (l)
            json_array_append_new(
                list, json_pack("{s:i, s:s, s:I, s:I, s:b, s:b}", "id", id, "name", l->ops->name, "mtu",
                                (json_int_t)l->info.mtu, "gso_max", (json_int_t)l->info.gso_max, "tx_csum",
                                (int)l->info.tx_csum, "gone", (int)(h->links[id].gone != 0)));
    }
    return list;
}

static void answer_stats(const tern_host *h, struct client *c)
{
    tern_stats stats;
    tern_live live;
    tern_get_stats(h->stack, &stats);
    tern_get_live(h->stack, &live);
    json_t *o = head(h);
    json_object_set_new(o, "stats", tern_stats_json(&stats));
    json_object_set_new(o, "dropped", tern_dropped_json(&stats));
    json_object_set_new(o, "live", tern_live_json(&live));
    json_object_set_new(o, "host",
                        json_pack("{s:I, s:I, s:I}", "tx_refused", (json_int_t)h->tx_refused, "trace_lost",
                                  (json_int_t)h->trace_lost, "memory_budget", (json_int_t)h->budget));
    json_object_set_new(o, "links", links_json(h));
    put_json(&c->out, o, 0);
}

/* The object is written around its list, whose records follow as the client takes them. */
static void answer_ss(const tern_host *h, struct client *c)
{
    put_text(&c->out, "{");
    put_json(&c->out, head(h), JSON_EMBED);
    put_text(&c->out, ",\"connections\":[");
    c->walk = WALK_LIST;
    c->first = true;
}

/* Count some more records; write the text when all are counted. */
static void tally_on(const tern_host *h, struct client *c)
{
    tern_info info;
    for (int i = 0; i < TALLY; i++) {
        if (tern_walk(h->stack, &c->cursor, &info)) {
            metrics_count(&c->tally, &info);
            continue;
        }
        size_t len = 0;
        char *text = metrics_text(h, &c->tally, &len);
        c->walk = WALK_OVER;
        c->out.failed |= !text;
        put(text, text ? len : 0, &c->out);
        free(text);
        return;
    }
}

static void list_ends(struct client *c)
{
    c->walk = WALK_OVER;
    put_text(&c->out, "]");
    if (c->brief) {
        put_text(&c->out, ",");
        put_json(&c->out, json_pack("{s:I}", "time_wait", (json_int_t)c->left_out), JSON_EMBED);
    }
    put_text(&c->out, "}\n");
}

/* Write some more records. */
static void list_on(const tern_host *h, struct client *c)
{
    tern_info info;
    for (int i = 0; i < TALLY && c->out.len < PIECE; i++) {
        if (!tern_walk(h->stack, &c->cursor, &info)) {
            list_ends(c);
            return;
        }
        if (c->brief && info.state == TERN_TIME_WAIT && !info.held) {
            c->left_out++;
            continue;
        }
        if (!c->first)
            put_text(&c->out, ",\n");
        c->first = false;
        put_json(&c->out, tern_info_json(&info), 0);
    }
}

/* Sort some more records by remote; write the answer when all are sorted. */
static void ports_on(const tern_host *h, struct client *c)
{
    if (!c->ports)
        c->out.failed = true;
    else if (port_groups_step(c->ports, h->stack)) {
        c->walk = WALK_OVER;
        put_json(&c->out, port_groups_json(c->ports, h->stack, head(h)), 0);
    }
}

static void answer_ports(struct client *c)
{
    c->ports = port_groups_new();
    c->walk = WALK_PORTS;
}

static void walk_on(const tern_host *h, struct client *c)
{
    if (c->walk == WALK_LIST)
        list_on(h, c);
    else if (c->walk == WALK_TALLY)
        tally_on(h, c);
    else if (c->walk == WALK_PORTS)
        ports_on(h, c);
}

/* False: no such question. */
static bool answer_to(const tern_host *h, struct client *c, const char *question)
{
    c->brief = strcmp(question, "live") == 0;
    if (c->brief || strcmp(question, "ss") == 0)
        answer_ss(h, c);
    else if (strcmp(question, "stats") == 0)
        answer_stats(h, c);
    else if (strcmp(question, "metrics") == 0)
        c->walk = WALK_TALLY;
    else if (strcmp(question, "ports") == 0)
        answer_ports(c);
    else
        return false;
    return true;
}

/* RFC 9112: without a length the answer ends where the connection does. */
static void http_head(struct client *c, const char *status, const char *type)
{
    char text[200];
    snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Type: %s\r\nConnection: close\r\n\r\n", status, type);
    put_text(&c->out, text);
}

/* "GET /metrics HTTP/1.1" and the like; a query behind the path is not looked at. */
static void answer_http(const tern_host *h, struct client *c)
{
    char *path = c->line + strlen("GET /");
    path[strcspn(path, "? \r")] = '\0';
    bool metrics = strcmp(path, "metrics") == 0;
    if (metrics || strcmp(path, "ss") == 0 || strcmp(path, "stats") == 0) {
        http_head(c, "200 OK", metrics ? "text/plain; version=0.0.4" : "application/json");
        answer_to(h, c, path);
    } else {
        http_head(c, "404 Not Found", "text/plain");
        put_text(&c->out, "There are /metrics, /stats and /ss.\n");
    }
}

/* Changes are made by lines alone, never over HTTP, where a browser could be made to ask. */
static void answer(tern_host *h, struct client *c)
{
    json_t *net = c->http ? NULL : control_net(h, c->line);
    if (c->http)
        answer_http(h, c);
    else if (net)
        put_json(&c->out, net, 0);
    else if (strcmp(c->line, HANDOVER_QUESTION) == 0)
        put_json(&c->out,
                 json_pack("{s:s}", "error", "this process does not hand over, or is being asked already"),
                 0);
    else if (!answer_to(h, c, c->line))
        put_json(
            &c->out,
            json_pack("{s:s}", "error",
                      "the questions are \"ss\", \"live\", \"ports\", \"stats\", \"metrics\" and "
                      "\"net\", the changes those of `tern addr`, `tern route` and `tern link`"),
            0);
}

/* --- clients ------------------------------------------------------------------------------------ */

static void drop_client(struct client *c)
{
    close(c->fd);
    free(c->out.text);
    metrics_free(&c->tally);
    port_groups_free(c->ports);
    *c = (struct client){.fd = -1};
}

static uint32_t tag_of(const struct control *ctl, const struct client *c)
{
    return HOST_TAG_CONTROL + 1 + (uint32_t)(c - ctl->clients);
}

/* Send what lies ready; when all of that is sent, make one piece more. The rest is for the next turn, however
 * fast the client reads: the socket can be written to, so there is one. */
static void send_on(tern_host *h, struct client *c)
{
    struct outbox *o = &c->out;
    if (o->at == o->len) {
        o->at = o->len = 0;
        walk_on(h, c);
    }
    if (o->failed || (o->len == 0 && c->walk == WALK_OVER)) {
        drop_client(c);
        return;
    }
    if (o->len == 0)
        return; /* counting goes on in the next turn */
    ssize_t n = send(c->fd, o->text + o->at, o->len - o->at, MSG_NOSIGNAL);
    if (n > 0)
        o->at += (size_t)n;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        drop_client(c);
}

/* Take one byte of the question. False: it is too long. */
static bool take_byte(struct client *c, char byte)
{
    if (!c->has_line) {
        if (c->line_len == CONTROL_LINE)
            return false;
        c->has_line = byte == '\n';
        c->line[c->line_len++] = byte == '\n' ? '\0' : byte;
        c->http = c->has_line && strncmp(c->line, "GET /", 5) == 0;
    }
    if (byte != '\r')
        c->line_feeds = byte == '\n' ? c->line_feeds + 1 : 0;
    return ++c->head_len < HEAD;
}

/* A line, or the empty line behind the head of an HTTP request. */
static bool is_whole(const struct client *c) { return c->has_line && (!c->http || c->line_feeds >= 2); }

static void read_question(tern_host *h, struct client *c)
{
    char bytes[512];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    bool good = n > 0;
    for (ssize_t i = 0; i < n && good && !is_whole(c); i++)
        good = take_byte(c, bytes[i]);
    if (!good) {
        drop_client(c);
        return;
    }
    if (!is_whole(c))
        return;
    if (strcmp(c->line, HANDOVER_QUESTION) == 0 && handover_ask(h, c->fd)) {
        *c = (struct client){.fd = -1};
        return;
    }
    c->sending = true;
    host_watch_write(h, c->fd, tag_of(h->control, c), true);
    answer(h, c);
    send_on(h, c);
}

/* A free place, or the one of the client that came first. */
static struct client *place(struct control *ctl)
{
    struct client *oldest = &ctl->clients[0];
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &ctl->clients[i];
        if (c->fd < 0)
            return c;
        if (c->since < oldest->since)
            oldest = c;
    }
    drop_client(oldest);
    return oldest;
}

static void accept_clients(tern_host *h)
{
    struct control *ctl = h->control;
    for (int i = 0; i < CLIENTS; i++) {
        int fd = accept4(ctl->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct client *c = place(ctl);
        c->fd = fd;
        c->since = ctl->clients_so_far++;
        if (host_watch(h, fd, tag_of(ctl, c)) < 0)
            drop_client(c);
    }
}

void control_event(tern_host *h, uint32_t i)
{
    if (!h->control || i > CLIENTS)
        return;
    if (i == 0) {
        accept_clients(h);
        return;
    }
    struct client *c = &h->control->clients[i - 1];
    if (c->fd < 0)
        return; /* it gave way to another one in this turn */
    if (c->sending)
        send_on(h, c);
    else
        read_question(h, c);
}

/* --- opening ------------------------------------------------------------------------------------ */

/* Letters, digits and a few signs: the name becomes part of a file's name. */
static void clean_name(char *to, size_t len, const char *name)
{
    size_t n = 0;
    for (; name[n] && n + 5 < len; n++) {
        char c = name[n];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        to[n] = good || (c == '.' && n > 0) ? c : '-';
    }
    to[n] = '\0';
}

/* A socket that listens at `path` already when it appears there: made under another name, then renamed. A
 * path taken by a living process is left alone. 0 or -errno. */
static int listen_at(int fd, const char *dir, const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int len = snprintf(sa.sun_path, sizeof sa.sun_path, "%s/.%d-%d.new", dir, (int)getpid(), fd);
    if (len >= (int)sizeof sa.sun_path)
        return -ENAMETOOLONG;
    unlink(sa.sun_path);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        return -errno;
    int err =
        listen(fd, CLIENTS) < 0 || renameat2(AT_FDCWD, sa.sun_path, AT_FDCWD, path, RENAME_NOREPLACE) < 0
            ? errno
            : 0;
    if (err)
        unlink(sa.sun_path);
    return -err;
}

/* Open in one directory: "PID-NAME.sock", or "PID-NAME-2.sock" when the process has such a host already. */
static int open_in(struct control *ctl, const char *dir, const char *name)
{
    int rc = -EEXIST;
    for (int i = 1; i < NAMES && rc == -EEXIST; i++) {
        clean_name(ctl->name, sizeof ctl->name, name);
        size_t n = strlen(ctl->name);
        if (i > 1)
            snprintf(ctl->name + n, sizeof ctl->name - n, "-%d", i);
        int len = snprintf(ctl->path, sizeof ctl->path, "%s/%d-%s.sock", dir, (int)getpid(), ctl->name);
        if (len >= (int)sizeof ctl->path)
            return -ENAMETOOLONG;
        ctl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (ctl->fd < 0)
            return -errno;
        rc = listen_at(ctl->fd, dir, ctl->path);
        if (rc < 0)
            close(ctl->fd);
    }
    return rc;
}

static int open_somewhere(struct control *ctl, const char *name)
{
    char dir[128];
    int rc = -ENOENT;
    const char *at;
    for (int i = 0; (at = control_place(i, dir, sizeof dir)) != NULL; i++)
        if (control_make_dir(at) && (rc = open_in(ctl, at, name)) == 0)
            return 0;
    ctl->fd = -1;
    return rc;
}

int control_open(tern_host *h, const char *name, char *err, size_t err_len)
{
    struct control *ctl = calloc(1, sizeof *ctl);
    if (!ctl)
        return -ENOMEM;
    tern_control_list(NULL, 0); /* sweeps away what killed processes left */
    ctl->owner = getpid();
    for (int i = 0; i < CLIENTS; i++)
        ctl->clients[i].fd = -1;
    int rc = open_somewhere(ctl, name);
    if (rc == 0)
        rc = host_watch(h, ctl->fd, HOST_TAG_CONTROL);
    h->control = ctl;
    if (rc < 0) {
        control_close(h);
        snprintf(err, err_len,
                 "no control socket, so `tern ss` will not list this process: %s (tried "
                 "$XDG_RUNTIME_DIR/tern, /run/tern and /tmp/tern-UID)",
                 strerror(-rc));
    }
    return rc;
}

void control_close(tern_host *h)
{
    struct control *ctl = h->control;
    if (!ctl)
        return;
    for (int i = 0; i < CLIENTS; i++)
        if (ctl->clients[i].fd >= 0)
            drop_client(&ctl->clients[i]);
    if (ctl->fd >= 0) {
        if (ctl->owner == getpid())
            unlink(ctl->path);
        close(ctl->fd);
    }
    free(ctl);
    h->control = NULL;
}
