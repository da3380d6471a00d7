/* net_pcap.c - the --pcap options of the commands that have a stack on a device. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "net.h"

/* "500k", "10M", "1G" or bytes; 0: not a size. */
static uint64_t size_of(const char *text)
{
    static const char units[] = "kmg";
    char *end;
    uint64_t v = strtoull(text, &end, 10);
    const char *unit = *end != '\0' ? strchr(units, *end | 0x20) : NULL;
    if (text[0] < '0' || text[0] > '9' || (*end != '\0' && (unit == NULL || end[1] != '\0')))
        return 0;
    int shift = unit != NULL ? (int)(unit - units + 1) * 10 : 0;
    return v < UINT64_MAX >> 40 ? v << shift : 0;
}

int net_pcap_option(net_options *o, int option, const char *value)
{
    uint64_t n = option == NET_PCAP ? 1 : size_of(value);
    if (n == 0 || (option != NET_PCAP_SIZE && n > UINT32_MAX))
        return cmd_cannot(o->command, "'%s' is no size or count; give one such as 10M or 5", value);
    if (option == NET_PCAP)
        o->pcap.file = value;
    else if (option == NET_PCAP_SIZE)
        o->pcap.file_size = n;
    else if (option == NET_PCAP_FILES)
        o->pcap.files = (uint32_t)n;
    else
        o->pcap.snap = (uint32_t)n;
    return 0;
}

int net_pcap_open(net *n, const net_options *o)
{
    char err[400];
    if (o->pcap.file == NULL && (o->pcap.file_size | o->pcap.files | o->pcap.snap) != 0)
        return cmd_cannot(o->command, "which file shall the capture go to? Add --pcap FILE");
    if (o->pcap.file == NULL)
        return 0;
    if (tern_host_capture(n->host, &o->pcap, err, sizeof err) < 0)
        return cmd_cannot(o->command, "%s", err);
    return 0;
}

void net_pcap_look(const net *n)
{
    const char *trouble = tern_host_trouble(n->host);
    if (trouble != NULL)
        fprintf(stderr, "tern: %s\n", trouble);
}
