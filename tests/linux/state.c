/* state.c - the state of a connection as the kernel lists it in /proc/net/tcp. */
#include <stdio.h>
#include <string.h>

#include "kernel.h"

static const char *const names[] = {
    "CLOSED",   "ESTABLISHED", "SYN_SENT", "SYN_RCVD", "FIN_WAIT_1", "FIN_WAIT_2",
    "TIME_WAIT", "CLOSED",     "CLOSE_WAIT", "LAST_ACK", "LISTEN",   "CLOSING",
};

/* Ports tell the connections of a script apart. `remote` 0: a listener. */
static int find_in(const char *path, unsigned local, unsigned remote)
{
    char line[400];
    int state = 0;
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return 0;
    while (state == 0 && fgets(line, sizeof line, f) != NULL) {
        unsigned own, other, number;
        if (sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%x %x", &own, &other, &number) == 3 &&
            own == local && other == remote)
            state = (int)number;
    }
    fclose(f);
    return state == 12 ? 3 : state; /* TCP_NEW_SYN_RECV */
}

static int find(unsigned local, unsigned remote)
{
    int state = find_in("/proc/self/net/tcp", local, remote);
    return state ? state : find_in("/proc/self/net/tcp6", local, remote);
}

int state_number(const struct run *r, int flow)
{
    if (flow < 0)
        return find(r->set.bind_port, 0);
    const struct flow *f = &r->flow[flow];
    int state = find(f->local.port, f->remote.port);
    state = state ? state : find(f->local.port, 0);
    return state ? state : 7; /* TCP_CLOSE */
}

const char *state_of(const struct run *r, int flow)
{
    int state = state_number(r, flow);
    return state > 0 && (size_t)state < sizeof names / sizeof names[0] ? names[state] : "CLOSED";
}
