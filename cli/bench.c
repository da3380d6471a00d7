/* bench.c - `tern bench`: measurements that need nothing but memory, for anybody who wants to see the figures
 * of the README on their own machine. */
#include "bench.h"
#include "cmd.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 20000000u /* records: 64 bytes and 16 for the table each, in 24 GiB */

static int usage(FILE *out)
{
    fputs(
        "usage: tern bench sizes [--json] [--growth] [--n N] [halfopen|idle|timewait]\n\n"
        "sizes: makes N connections of each kind (half-open, established and idle, in TIME_WAIT), IPv4 and\n"
        "IPv6, in one stack in memory, and tells what one costs: (memory with N - memory with 0) / N, every\n"
        "table and side structure counted; the same at the worst moment between N/2 and N; and the longest\n"
        "single call on the way, in processor time.\n\n"
        "  --n N      how many (default 1000000, at most 20000000)\n"
        "  --growth   at 1000, 10000, ... up to N as well\n"
        "  --json     one JSON object a line\n\n"
        "Exit status: 0 measured, 1 a measurement failed, 2 bad usage or no memory.\n",
        out);
    return out == stdout ? CMD_OK : CMD_CANNOT;
}

static bool number(const char *text, uint32_t *out)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || v < 1000 || v > MOST)
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool known_record(const char *name)
{
    return strcmp(name, "halfopen") == 0 || strcmp(name, "idle") == 0 || strcmp(name, "timewait") == 0;
}

int cmd_bench(int argc, char **argv)
{
    enum { JSON = 1000, GROWTH, N, HELP };
    static const struct option longs[] = {{"json", no_argument, NULL, JSON},
                                          {"growth", no_argument, NULL, GROWTH},
                                          {"n", required_argument, NULL, N},
                                          {"help", no_argument, NULL, HELP},
                                          {0}};
    struct bench_options o = {0};
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case JSON: o.json = true; break;
        case GROWTH: o.growth = true; break;
        case N:
            if (!number(optarg, &o.n))
                return cmd_cannot("bench", "--n %s: a number from 1000 to %u is needed", optarg, MOST);
            break;
        case HELP: return usage(stdout);
        default: return usage(stderr);
        }
    }
    if (optind >= argc)
        return usage(stderr);
    if (strcmp(argv[optind], "sizes") != 0)
        return cmd_cannot("bench", "no measurement is called %s; there is: sizes", argv[optind]);
    if (optind + 1 < argc) {
        o.only = argv[optind + 1];
        if (!known_record(o.only) || optind + 2 < argc)
            return cmd_cannot("bench", "sizes of what? halfopen, idle or timewait");
    }
    return bench_sizes(&o);
}
