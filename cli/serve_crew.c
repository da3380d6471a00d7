/* serve_crew.c - several servers in one process (--queues): each has a queue of the device, a stack, a
 * thread, and shares nothing with the others but the directory and the listeners' addresses.
 *
 *     kernel ── by the ports ──▶ queue 0 ── stack 0 ── the main thread, which hears the signals
 *                           └──▶ queue 1 ── stack 1 ── a thread, which is told to end by an eventfd
 *
 * A stack has its own control socket: `serve` the first one, `serve.1` and so on the others.
 */
#include "serve.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cmd.h"

struct member {
    server *s;
    char name[64];
    pthread_t thread;
    bool runs;
    int stop; /* readable: it shall end; given away to its net */
};

/* A server like the first one, for another queue. NULL: no memory. */
static server *another(const server *first, struct member *m, int number, tern_link *queue)
{
    server *s = malloc(sizeof *s);
    if (s == NULL)
        return NULL;
    *s = *first;
    snprintf(m->name, sizeof m->name, "%.30s.%d", first->options.name ? first->options.name : "serve",
             number);
    s->options.name = m->name;
    s->options.queue = queue;
    s->options.silent = s->aside = true;
    s->net = (net){.signals = -1};
    s->pages = NULL;
    return s;
}

static void *run(void *arg)
{
    struct member *m = arg;
    server_run(m->s);
    return NULL;
}

/* It waits for its eventfd where the first one waits for signals. */
static int set_off(struct member *m)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0 || (m->stop = dup(fd)) < 0)
        return cmd_cannot("serve", "no descriptors left; raise the limit (ulimit -n)");
    close(m->s->net.signals);
    m->s->net.signals = fd;
    if (pthread_create(&m->thread, NULL, run, m) != 0)
        return cmd_cannot("serve", "no thread can be made; ask for fewer queues");
    m->runs = true;
    return 0;
}

/* All stacks are made before the first thread runs, so that what is wrong is said once. */
static int start_all(server *first, struct member *crew, tern_link **queues)
{
    first->options.queue = queues[0];
    int r = server_start(first);
    for (int i = 1; i < first->queues; i++) {
        if (r == 0 && (crew[i].s = another(first, &crew[i], i, queues[i])) != NULL)
            r = server_start(crew[i].s);
        else
            tern_link_close(queues[i]);
        if (r == 0 && crew[i].s == NULL)
            r = cmd_cannot("serve", "not enough memory for %d queues", first->queues);
    }
    for (int i = 1; i < first->queues && r == 0; i++)
        r = set_off(&crew[i]);
    return r;
}

static void end(struct member *m)
{
    uint64_t one = 1;
    if (m->runs && write(m->stop, &one, sizeof one) == sizeof one)
        pthread_join(m->thread, NULL);
    if (m->stop >= 0)
        close(m->stop);
    if (m->s != NULL)
        server_end(m->s);
    free(m->s);
}

int crew_serve(server *first)
{
    struct member crew[TERN_QUEUES];
    tern_link *queues[TERN_QUEUES];
    for (int i = 0; i < TERN_QUEUES; i++)
        crew[i] = (struct member){.stop = -1};
    int r = net_queues(&first->options, first->queues, queues);
    if (r != 0)
        return r;
    r = start_all(first, crew, queues);
    if (r == 0)
        r = server_run(first);
    for (int i = 1; i < first->queues; i++)
        end(&crew[i]);
    server_end(first);
    return r;
}
