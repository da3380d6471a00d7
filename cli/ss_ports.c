/* ss_ports.c - `tern ss --ports`: which remotes hold the ephemeral ports of a process, and what of it is
 * TIME_WAIT. */
#include <stdio.h>
#include <string.h>

#include "ss.h"

/* "ESTABLISHED 12, SYN_SENT 3": all but TIME_WAIT. */
static const char *others(const json_t *states, char *buf, size_t size)
{
    const char *name;
    json_t *value;
    size_t len = 0;
    buf[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)states, name, value)
    {
        if (strcmp(name, "TIME_WAIT") == 0 || len >= size)
            continue;
        len += (size_t)snprintf(buf + len, size - len, "%s%s %lld", len > 0 ? ", " : "", name,
                                (long long)json_integer_value(value));
    }
    return buf[0] != '\0' ? buf : "-";
}

/* What it means, and what would change it; nothing while there is room. */
static void judge(const json_t *group, uint64_t total)
{
    char line[600], place[64];
    uint64_t used = ss_number(group, "used"), left = ss_number(group, "free");
    uint64_t waiting = ss_number(json_object_get(group, "states"), "TIME_WAIT");
    if (left >= total / 10)
        return;
    ss_place(group, "remote", "remote_port", place);
    int len = left == 0
                  ? snprintf(line, sizeof line, "No port is free: connecting to %s fails with ENOSR. ", place)
                  : snprintf(line, sizeof line, "Only %llu ports are free towards %s. ",
                             (unsigned long long)left, place);
    if (waiting * 2 >= used)
        snprintf(
            line + len, sizeof line - (size_t)len,
            "%llu of %llu wait for 2 MSL, since this side closed first: use a connection for more than one "
            "request, let the other side close first, or take a wider range or another source address.",
            (unsigned long long)waiting, (unsigned long long)used);
    else
        snprintf(line + len, sizeof line - (size_t)len,
                 "Most are in use: close what is not needed, or take a wider range or another source "
                 "address.");
    ss_wrapped(line);
}

void ss_ports_print(const json_t *answer)
{
    const json_t *list = json_object_get(answer, "ports"), *group;
    uint64_t low = ss_number(answer, "port_low"), high = ss_number(answer, "port_high");
    uint64_t remotes = ss_number(answer, "remotes");
    size_t i;
    printf("%s, process %d (tern %s): ports %llu to %llu, %llu for each remote\n", ss_text(answer, "name"),
           (int)ss_number(answer, "pid"), ss_text(answer, "version"), (unsigned long long)low,
           (unsigned long long)high, (unsigned long long)(high - low + 1));
    if (remotes == 0)
        printf("%*snone is in use\n", SS_INDENT, "");
    else
        printf("%-16s  %-28s  %6s  %6s  %9s  %s\n", "Local", "Remote", "Used", "Free", "TIME_WAIT", "Others");
    json_array_foreach(list, i, group)
    {
        char place[64], rest[256];
        const json_t *states = json_object_get(group, "states");
        printf("%-16s  %-28s  %6llu  %6llu  %9llu  %s\n", ss_text(group, "local"),
               ss_place(group, "remote", "remote_port", place), (unsigned long long)ss_number(group, "used"),
               (unsigned long long)ss_number(group, "free"),
               (unsigned long long)ss_number(states, "TIME_WAIT"), others(states, rest, sizeof rest));
        judge(group, high - low + 1);
    }
    if (remotes > json_array_size(list))
        printf("%*sand %llu remotes with fewer\n", SS_INDENT, "",
               (unsigned long long)(remotes - json_array_size(list)));
}
