/* bench_tun.c - GOALS W4, W4r, W5 and W5c: the kernel at the other end of a TUN device, both on one core.
 *
 *     bench-tun [--runs N] [--seconds S] [--core N] [--only NAME] [--json] [W4|W4r|W5|W5c]...
 *
 * Everybody who is measured plays against the same kernel in the same run, one after the other, N times over
 * (5), S seconds each (0.5); the figure is what was done in a second of processor time of both sides.
 */
#include "tun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS_MAX = 100, SIDES = 6 };

static const struct workload {
    const char *name, *unit;
    enum peer peer;
    double scale; /* of what was done, to the unit */
    const struct side *sides[SIDES];
} workloads[] = {
    {"W4", "Gbit/s", PEER_SENDS, 8e-9, {&our_sink, &our_sink_peek, &blind_sink, &blind_sink_copy}},
    {"W4r", "Gbit/s", PEER_RECEIVES, 8e-9, {&our_source, &our_source_lend, &blind_source}},
    {"W5", "requests/cpu-s", PEER_WRK, 1, {&our_web, &responder}},
    {"W5c", "requests/cpu-s", PEER_WRK_CLOSE, 1, {&our_web_close, &responder_close}},
};

static struct {
    int runs, core;
    double seconds;
    bool json;
    const char *only;
} options = {.runs = 5, .core = -1, .seconds = 0.5};

/* One run of one side: what it did in a second of processor time. */
static double play(const struct workload *w, const struct side *side)
{
    void *self = side->open(TUN_NAME);
    world_up(TUN_NAME);
    pid_t peer = world_peer(w->peer);
    double warm = world_clock() + 0.1, start = 0;
    while ((start = world_clock()) < warm)
        side->turn(self);
    double cpu = world_cpu(peer);
    uint64_t before = side->done(self);
    while (world_clock() - start < options.seconds)
        side->turn(self);
    uint64_t did = side->done(self) - before;
    cpu = world_cpu(peer) - cpu;
    world_end_peer(peer);
    side->close(self);
    return (double)did * w->scale / cpu;
}

/* The same in a process and a namespace of its own, so that nothing of the runs before is left in the kernel. */
static double run(const struct workload *w, const struct side *side)
{
    int ends[2], status = 0;
    double figure = 0;
    pid_t pid = pipe(ends) == 0 ? fork() : -1;
    if (pid == 0) {
        world_enter(options.core);
        figure = play(w, side);
        _exit(write(ends[1], &figure, sizeof figure) == sizeof figure ? 0 : 2);
    }
    close(ends[1]);
    if (pid < 0 || read(ends[0], &figure, sizeof figure) != sizeof figure) {
        fprintf(stderr, "bench-tun: %s of %s could not be carried out\n", w->name, side->name);
        exit(2);
    }
    close(ends[0]);
    waitpid(pid, &status, 0);
    return figure;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void say(const struct workload *w, const struct side *side, double *figures)
{
    int n = options.runs, digits = w->scale < 1 ? 1 : 0;
    qsort(figures, (size_t)n, sizeof *figures, by_size);
    const char *format =
        options.json ? "{\"workload\":\"%s\",\"stack\":\"%s\",\"unit\":\"%s\",\"median\":%.*f,\"min\":%.*f,"
                       "\"max\":%.*f,\"runs\":%d}\n"
                     : "%-4s %-20s %-15s %10.*f   %.*f to %.*f, %d runs\n";
    printf(format, w->name, side->name, w->unit, digits, figures[n / 2], digits, figures[0], digits,
           figures[n - 1], n);
    fflush(stdout);
}

static void measure(const struct workload *w)
{
    static double figures[SIDES][RUNS_MAX];
    for (int r = 0; r < options.runs; r++)
        for (int s = 0; s < SIDES && w->sides[s] != NULL; s++)
            if (options.only == NULL || strcmp(options.only, w->sides[s]->name) == 0)
                figures[s][r] = run(w, w->sides[s]);
    for (int s = 0; s < SIDES && w->sides[s] != NULL; s++)
        if (options.only == NULL || strcmp(options.only, w->sides[s]->name) == 0)
            say(w, w->sides[s], figures[s]);
}

/* "--runs", and the number behind it. */
static bool takes(const char *name, int *i, char **argv, double *out)
{
    char *end;
    if (strcmp(argv[*i], name) != 0 || argv[*i + 1] == NULL)
        return false;
    *out = strtod(argv[++*i], &end);
    return *end == '\0';
}

static bool wanted(const char *name, int argc, char **argv)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        any |= argv[i][0] == 'W';
        if (strcmp(argv[i], name) == 0)
            return true;
    }
    return !any;
}

int main(int argc, char **argv)
{
    double v = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            options.json = true;
        else if (takes("--runs", &i, argv, &v) && v >= 1 && v <= RUNS_MAX)
            options.runs = (int)v;
        else if (takes("--core", &i, argv, &v))
            options.core = (int)v;
        else if (takes("--seconds", &i, argv, &v) && v > 0)
            options.seconds = v;
        else if (strcmp(argv[i], "--only") == 0 && argv[i + 1] != NULL)
            options.only = argv[++i];
        else if (argv[i][0] != 'W') {
            fprintf(stderr, "bench-tun [--runs N] [--seconds S] [--core N] [--only NAME] [--json] "
                            "[W4|W4r|W5|W5c]...\n");
            return 2;
        }
    }
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
        if (wanted(workloads[i].name, argc, argv))
            measure(&workloads[i]);
    return 0;
}
