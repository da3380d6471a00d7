/* What of cli/net.c the command iperf needs before and after a test; fuzz_iperf.c runs tests only. */
#include "cli/net.h"

const char net_help[] = "";

int net_option(net_options *o, int option, const char *value)
{
    (void)o, (void)option, (void)value;
    return 0;
}

int net_open(net *n, const net_options *o)
{
    (void)n, (void)o;
    return -1;
}

void net_close(net *n) { (void)n; }

void net_drain(net *n, int at_most_ms) { (void)n, (void)at_most_ms; }

int net_resolve(const net_options *o, const char *name, const char *port, tern_endpoint *out, int max)
{
    (void)o, (void)name, (void)port, (void)out, (void)max;
    return -1;
}

uint16_t net_port(const char *text)
{
    (void)text;
    return 0;
}
