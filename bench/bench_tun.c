/* bench_tun.c - GOALS W4, W4r, W5 and W5c: the kernel at the other end of a TUN device, both on one core; and
 * W8: a device with two queues, a thread each.
 *
 *     bench-tun [ROW...] [--seconds S] [--core N] [--only STACK]
 *
 * Everybody who is measured plays against the same kernel, one after the other; the figure is what was done
 * in a second of processor time of both sides. The limits stand beside tern here, so that they take turns
 * with it (bench/README.md).
 */
#include "tun.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peers/peer.h"

enum { SIDES = 6 };

static const struct workload {
    const char *name, *unit;
    enum peer peer;
    double scale; /* of what was done, to the unit */
    const struct side *sides[SIDES];
    bool queues; /* a device with several, and a thread for each */
} workloads[] = {
    {"W4", "Gbit/s", PEER_SENDS, 8e-9, {&our_sink, &our_sink_peek, &blind_sink, &blind_sink_copy}, false},
    {"W4r", "Gbit/s", PEER_RECEIVES, 8e-9, {&our_source, &our_source_lend, &blind_source}, false},
    {"W5", "requests/cpu-s", PEER_WRK, 1, {&our_web, &responder}, false},
    {"W5c", "requests/cpu-s", PEER_WRK_CLOSE, 1, {&our_web_close, &responder_close}, false},
    {"W8", "Gbit/s", PEER_SENDS, 8e-9, {&our_queue, &blind_queue}, true},
};

/* What a side did in a second of processor time: for about `seconds` of it, and ten times that at most. */
static double play(const struct workload *w, const struct side *side, double seconds)
{
    void *self = side->open(TUN_NAME);
    world_up(TUN_NAME);
    pid_t peer = world_peer(w->peer);
    double start, cpu, from;
    for (start = world_clock(); world_clock() - start < 0.1;)
        side->turn(self);
    uint64_t before = side->done(self);
    cpu = from = world_cpu(peer);
    start = world_clock();
    while (cpu - from < seconds && world_clock() - start < 10 * seconds) {
        for (int i = 0; i < 100; i++)
            side->turn(self);
        cpu = world_cpu(peer);
    }
    double figure = (double)(side->done(self) - before) * w->scale / (cpu - from);
    world_end_peer(peer);
    side->close(self);
    return figure;
}

/* One queue's thread. */
struct turner {
    const struct side *side;
    void *self;
    atomic_bool stop;
    pthread_t thread;
};

static void *turn_on(void *arg)
{
    struct turner *q = arg;
    while (!q->stop)
        q->side->turn(q->self);
    return NULL;
}

static uint64_t done_by(const struct turner *q)
{
    uint64_t all = 0;
    for (int i = 0; i < TUN_QUEUES; i++)
        all += q[i].side->done(q[i].self);
    return all;
}

enum { SENDERS = 4 * TUN_QUEUES }; /* so many that no queue goes without */

static double cpu_of_all(const pid_t *peers)
{
    double mine = cpu_seconds(), all = mine;
    for (int i = 0; i < SENDERS; i++)
        all += world_cpu(peers[i]) - mine; /* the little of ours that passes here is lost */
    return all;
}

/* What all queues did together in a second of processor time of all. */
static double play_queues(const struct workload *w, const struct side *side, double seconds)
{
    struct turner q[TUN_QUEUES];
    pid_t peers[SENDERS];
    for (int i = 0; i < TUN_QUEUES; i++)
        q[i] = (struct turner){.side = side, .self = side->open(TUN_NAME)};
    world_up(TUN_NAME);
    for (int i = 0; i < SENDERS; i++)
        peers[i] = world_peer(w->peer);
    for (int i = 0; i < TUN_QUEUES; i++)
        pthread_create(&q[i].thread, NULL, turn_on, &q[i]);
    usleep(100000);
    uint64_t before = done_by(q);
    double cpu = cpu_of_all(peers);
    usleep((useconds_t)(seconds * 1e6));
    double figure = (double)(done_by(q) - before) * w->scale / (cpu_of_all(peers) - cpu);
    for (int i = 0; i < SENDERS; i++)
        world_end_peer(peers[i]);
    for (int i = 0; i < TUN_QUEUES; i++) {
        q[i].stop = true;
        pthread_join(q[i].thread, NULL);
        if (q[i].side->done(q[i].self) == 0)
            fprintf(stderr, "bench-tun: queue %d of %s had nothing to do\n", i, side->name);
        side->close(q[i].self);
    }
    return figure;
}

/* The same in a process and a namespace of its own, so that nothing of what was before is left in the
 * kernel. */
static void measure(const struct workload *w, const struct side *side, double seconds, int core)
{
    int ends[2];
    double figure = 0;
    pid_t pid = pipe(ends) == 0 ? fork() : -1;
    if (pid == 0) {
        world_enter(w->queues ? -2 : core);
        figure = w->queues ? play_queues(w, side, seconds) : play(w, side, seconds);
        _exit(write(ends[1], &figure, sizeof figure) == sizeof figure ? 0 : 2);
    }
    close(ends[1]);
    if (pid > 0 && read(ends[0], &figure, sizeof figure) == sizeof figure)
        result(w->name, w->queues ? "tun" : "", side->name, w->unit, figure);
    else
        fprintf(stderr, "bench-tun: %s has no figure of %s\n", w->name, side->name);
    close(ends[0]);
    waitpid(pid, NULL, 0);
}

static const char *text_argument(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

int main(int argc, char **argv)
{
    double seconds = argument(argc, argv, "--seconds", 0.5);
    int core = (int)argument(argc, argv, "--core", -1);
    const char *only = text_argument(argc, argv, "--only");
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++) {
        const struct workload *w = &workloads[i];
        for (int s = 0; s < SIDES && w->sides[s] != NULL; s++)
            if (row_asked(argc, argv, w->name) && (only == NULL || strcmp(only, w->sides[s]->name) == 0))
                measure(w, w->sides[s], seconds, core);
    }
    return 0;
}
