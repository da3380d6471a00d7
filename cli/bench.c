/* bench.c - `tern bench`: measurements that need nothing but memory, for anybody who wants to see the figures
 * of the README on their own machine. */
#include "bench.h"
#include "cmd.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PACKETS 100000000u
#define MOST 20000000u /* records: 64 bytes and 16 for the table each, in 24 GiB */

static int usage(FILE *out)
{
    fputs(
        "usage: tern bench sizes [--json] [--growth] [--n N] [halfopen|idle|timewait]\n"
        "       tern bench scale [--json] [--growth] [--n N] [--packets P]\n\n"
        "sizes: makes N connections of each kind (half-open, established and idle, in TIME_WAIT), IPv4 and\n"
        "IPv6, in one stack in memory, and tells what one costs: (memory with N - memory with 0) / N, every\n"
        "table and side structure counted; the same at the worst moment between N/2 and N; and the longest\n"
        "single call on the way, in processor time.\n\n"
        "scale: opens N connections between two stacks in memory, speaks to random ones of them, holds them\n"
        "for two hours of a virtual clock and closes them; tells the processor time for each, and the "
        "memory.\n\n"
        "  --n N        how many (default 1000000, at most 20000000)\n"
        "  --growth     at 1000, 10000, ... up to N as well\n"
        "  --packets P  scale: how many packets are spoken at each size (default 500000)\n"
        "  --json       one JSON object a line\n\n"
        "Exit status: 0 measured, 1 a measurement failed, 2 bad usage or no memory.\n",
        out);
    return out == stdout ? CMD_OK : CMD_CANNOT;
}

static bool number(const char *text, uint32_t most, uint32_t *out)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || v < 1000 || v > most)
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool known_record(const char *name)
{
    return strcmp(name, "halfopen") == 0 || strcmp(name, "idle") == 0 || strcmp(name, "timewait") == 0;
}

static int run_sizes(struct bench_options *o, int argc, char **argv)
{
    if (argc > 0)
        o->only = argv[0];
    if (argc > 1 || (argc > 0 && !known_record(o->only)))
        return cmd_cannot("bench", "sizes of what? halfopen, idle or timewait");
    return bench_sizes(o);
}

static int run(struct bench_options *o, int argc, char **argv)
{
    if (strcmp(argv[0], "sizes") == 0)
        return run_sizes(o, argc - 1, argv + 1);
    if (strcmp(argv[0], "scale") != 0)
        return cmd_cannot("bench", "no measurement is called %s; there are: sizes, scale", argv[0]);
    if (argc > 1)
        return cmd_cannot("bench", "scale measures all it can; leave %s out", argv[1]);
    return bench_scale(o);
}

int cmd_bench(int argc, char **argv)
{
    enum { JSON = 1000, GROWTH, N, PACKETS, HELP };
    static const struct option longs[] = {{"json", no_argument, NULL, JSON},
                                          {"growth", no_argument, NULL, GROWTH},
                                          {"n", required_argument, NULL, N},
                                          {"packets", required_argument, NULL, PACKETS},
                                          {"help", no_argument, NULL, HELP},
                                          {0}};
    struct bench_options o = {0};
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case JSON: o.json = true; break;
        case GROWTH: o.growth = true; break;
        case N:
            if (!number(optarg, MOST, &o.n))
                return cmd_cannot("bench", "--n %s: a number from 1000 to %u is needed", optarg, MOST);
            break;
        case PACKETS:
            if (!number(optarg, MOST_PACKETS, &o.packets))
                return cmd_cannot("bench", "--packets %s: a number from 1000 to %u is needed", optarg,
                                  MOST_PACKETS);
            break;
        case HELP: return usage(stdout);
        default: return usage(stderr);
        }
    }
    return optind < argc ? run(&o, argc - optind, argv + optind) : usage(stderr);
}
