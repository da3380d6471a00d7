/* main.c - the command `tern`: finds the subcommand and hands over. */
#include "cmd.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <tern/tern.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
};

static const struct command commands[] = {
    {"demo", cmd_demo, "watch the life of a connection: scenarios between two stacks in memory"},
    {"check", cmd_check, "run packetdrill scripts against tern, in memory"},
    {"sim", cmd_sim, "worlds of many hosts, drawn from seeds: faults, attacks, and a judge"},
    {"explore", cmd_explore, "search every world that two stacks and a bad network can come to"},
    {"serve", cmd_serve, "serve files over HTTP from tern's own TCP, on a TUN device"},
    {"cat", cmd_cat, "netcat over tern: connect or listen, and copy both ways"},
    {"addr", cmd_addr, "the addresses of a running tern: list, add, remove"},
    {"route", cmd_route, "its routes"},
    {"link", cmd_link, "its links: up, down, MTU"},
    {"neigh", cmd_neigh, "its neighbours on Ethernet: list, forget"},
    {"ss", cmd_ss, "the connections of running tern processes, with their reasons"},
    {"iperf", cmd_iperf, "measure throughput against an iperf3 on the other side"},
    {"bench", cmd_bench, "what a connection costs: measured in memory"},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

int cmd_cannot(const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "tern %s: ", name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return CMD_CANNOT;
}

static const struct command *find(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int usage(FILE *out)
{
    fputs("usage: tern COMMAND [ARGUMENT...]\n\n", out);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].what);
    fputs("  version  the version of tern\n"
          "  help     this text; `tern help COMMAND` (or `tern COMMAND --help`) explains one command\n\n"
          "Start with `tern demo handshake`. Exit status: 0 done, 1 the answer is no, 2 it cannot be done.\n",
          out);
    return out == stdout ? CMD_OK : CMD_CANNOT;
}

static int version(void)
{
    printf("tern %s\n", tern_version());
    return CMD_OK;
}

static int unknown(const char *name)
{
    fprintf(stderr, "tern: no command is called '%s'; `tern help` lists them\n", name);
    return CMD_CANNOT;
}

static int help(int argc, char **argv)
{
    if (argc < 2)
        return usage(stdout);
    const struct command *c = find(argv[1]);
    if (c == NULL)
        return unknown(argv[1]);
    char option[] = "--help";
    char *args[] = {argv[1], option, NULL};
    return c->run(2, args);
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr);
    if (is_one_of(argv[1], "help", "--help", "-h"))
        return help(argc - 1, argv + 1);
    if (is_one_of(argv[1], "version", "--version", "-V"))
        return version();
    const struct command *c = find(argv[1]);
    return c != NULL ? c->run(argc - 1, argv + 1) : unknown(argv[1]);
}
