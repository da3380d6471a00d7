/* The control socket, both ends, over real sockets in a folder of our own.
 *
 * An even first byte: any question, in any pieces, for a host with a link, an address, a listener and a
 * connection. It answers with one JSON object, HTTP, or not at all, and goes on. An odd one: any answer for
 * who asks (tern_control_ask, tern_control_text), cut off anywhere.
 */
#include "base/mem.h"
#include "host/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <tern/host.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER = 1 << 20, TURNS = 400 };

static char place[] = "/tmp/tern-fuzz-control-XXXXXX";

static void remove_place(void)
{
    char path[100];
    snprintf(path, sizeof path, "%s/answer", place);
    unlink(path);
    snprintf(path, sizeof path, "%s/tern", place);
    rmdir(path);
    rmdir(place);
}

static void make_place(void)
{
    static bool made;
    if (made)
        return;
    made = true;
    ASSERT(mkdtemp(place) != NULL && setenv("XDG_RUNTIME_DIR", place, 1) == 0);
    atexit(remove_place);
}

/* --- asked ------------------------------------------------------------------------------------------ */

static tern_host *make_host(void)
{
    tern_host *h;
    tern_link *a, *b;
    char err[300];
    tern_handle handle;
    tern_ip ip = tern_ip4(192, 0, 2, 1);
    tern_endpoint at = {.ip = ip, .port = 80}, to = {.ip = tern_ip4(192, 0, 2, 2), .port = 7};
    tern_link_info link = {.mtu = 1500};
    ASSERT(tern_host_create(&h, &(tern_host_config){.name = "fuzz", .memory = 4 << 20}, err, sizeof err) ==
           0);
    ASSERT(err[0] == '\0' && tern_link_pair(&a, &b, &link, 8) == 0);
    tern_link_close(b);
    ASSERT(tern_host_attach(h, a) == 1 && tern_addr_add(tern_host_stack(h), 1, &ip, 24) == 0);
    ASSERT(tern_listen(tern_host_stack(h), &at, 4, &handle) == 0);
    ASSERT(tern_connect(tern_host_stack(h), NULL, &to, &handle) == 0);
    return h;
}

static int connect_to(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    ASSERT(fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
    return fd;
}

/* All that comes until the other side closes; false: it did not. */
static bool read_all(tern_host *h, int fd, char *answer, size_t *len)
{
    *len = 0;
    for (int i = 0; i < TURNS; i++) {
        tern_host_turn(h);
        for (ssize_t n; (n = recv(fd, answer + *len, ANSWER - *len, 0)) != -1; *len += (size_t)n)
            if (n == 0)
                return true;
        if (errno == ECONNRESET)
            return true; /* the question was longer than it is read */
    }
    return false;
}

static void check_answer(const char *question, const char *answer, size_t len)
{
    if (len == 0)
        return; /* refused: too long, or never a whole question */
    if (strncmp(question, "GET /", 5) == 0) {
        ASSERT(len > 12 && memcmp(answer, "HTTP/1.1 ", 9) == 0 && memmem(answer, len, "\r\n\r\n", 4) != NULL);
        return;
    }
    if (strncmp(question, "metrics", 7) == 0)
        return;
    json_t *o = json_loadb(answer, len, JSON_DISABLE_EOF_CHECK, NULL);
    ASSERT(json_is_object(o));
    json_decref(o);
}

static void ask_host(const uint8_t *data, size_t size)
{
    static char answer[ANSWER];
    struct tern_control_peer peer;
    tern_host *h = make_host();
    size_t len, first = size < 1 ? 0 : data[0] * size / 256;
    ASSERT(tern_control_list(&peer, 1) == 1);
    int fd = connect_to(peer.path);
    if (size > 1) {
        (void)send(fd, data + 1, first < size ? first : size - 1, MSG_NOSIGNAL);
        tern_host_turn(h);
        if (first < size - 1)
            (void)send(fd, data + 1 + first, size - 1 - first, MSG_NOSIGNAL);
    }
    shutdown(fd, SHUT_WR);
    ASSERT(read_all(h, fd, answer, &len));
    char *question = calloc(1, size + 1);
    ASSERT(question != NULL);
    if (size > 1)
        memcpy(question, data + 1, size - 1);
    check_answer(question, answer, len);
    free(question);
    close(fd);
    tern_host_destroy(h);
}

/* --- asking ----------------------------------------------------------------------------------------- */

static struct {
    int fd;
    const uint8_t *bytes;
    size_t len;
} answering;

static void *answer_one(void *ctx)
{
    char byte = 0;
    (void)ctx;
    int fd = accept(answering.fd, NULL, NULL);
    while (byte != '\n' && recv(fd, &byte, 1, 0) == 1)
        continue;
    (void)send(fd, answering.bytes, answering.len, MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static void ask(const uint8_t *data, size_t size, bool text)
{
    pthread_t thread;
    json_t *json = NULL;
    char *words = NULL;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct tern_control_peer peer = {.pid = 1, .name = "fuzz"};
    snprintf(peer.path, sizeof peer.path, "%s/answer", place);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", peer.path);
    answering.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    answering.bytes = data, answering.len = size;
    unlink(peer.path);
    ASSERT(bind(answering.fd, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(answering.fd, 1) == 0);
    ASSERT(pthread_create(&thread, NULL, answer_one, NULL) == 0);
    int e = text ? tern_control_text(&peer, "metrics", &words) : tern_control_ask(&peer, "ss", &json);
    pthread_join(thread, NULL);
    close(answering.fd);
    unlink(peer.path);
    json_t *expected = json_loadb((const char *)data, size, JSON_DISABLE_EOF_CHECK, NULL);
    ASSERT(e == 0 || e == -EPROTO);
    if (text)
        ASSERT(e == 0 ? memcmp(words, data, size) == 0 : size == 0);
    else
        ASSERT((e == 0) == (json != NULL) && (json == NULL || json_equal(json, expected)));
    json_decref(expected);
    json_decref(json);
    if (e == 0)
        free(words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 16384)
        return 0;
    make_place();
    if (data[0] & 1)
        ask(data + 1, size - 1, data[0] & 2);
    else
        ask_host(data + 1, size - 1);
    return 0;
}
