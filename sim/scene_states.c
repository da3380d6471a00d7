/* scene_states.c - all eleven states at one moment, as a netstat would list them. */
#include "scenes.h"

#include <stdio.h>

/* One server port for each connection, named by what it shows. */
enum {
    P_SYN_SENT = 1001,
    P_SYN_RCVD,
    P_ESTABLISHED,
    P_FIN_WAIT_1,
    P_FIN_WAIT_2,
    P_CLOSING,
    P_LAST_ACK,
    P_CLOSED
};

static void lose_on(struct play *p, int from, uint8_t set, uint8_t clear, bool without_data, uint16_t port)
{
    path_fault(&p->w, (struct fault){.what = DROP,
                                     .from = from,
                                     .set = set,
                                     .clear = clear,
                                     .without_data = without_data,
                                     .port = port,
                                     .words = "dropped by the link"});
}

static struct pair open_on(struct play *p, uint16_t port)
{
    struct pair c = {.listener = prog_listen(&p->w, B, port, 0)};
    c.a = prog_connect(&p->w, A, B, port, 0);
    settle(p);
    c.b = prog_accept(c.listener);
    if (c.b == NULL)
        promise(p, false, "A and B open a connection on port %u", port);
    return c;
}

static void open_and_stay(struct play *p)
{
    lose_on(p, A, SYN, ACK, false, P_SYN_SENT);
    prog_connect(&p->w, A, B, P_SYN_SENT, 0);
    lose_on(p, A, ACK, SYN, false, P_SYN_RCVD);
    prog_listen(&p->w, B, P_SYN_RCVD, 0);
    prog_connect(&p->w, A, B, P_SYN_RCVD, 0);
    prog_connect(&p->w, A, B, P_CLOSED, 0); /* nobody listens there */
    settle(p);
    open_on(p, P_ESTABLISHED);
}

static void close_and_stay(struct play *p)
{
    struct pair c = open_on(p, P_FIN_WAIT_2);
    if (c.b == NULL)
        return;
    prog_shutdown(c.a);
    settle(p);
    c = open_on(p, P_FIN_WAIT_1);
    lose_on(p, B, ACK, SYN | FIN | RST, true, P_FIN_WAIT_1);
    prog_shutdown(c.a);
    settle(p);
    c = open_on(p, P_CLOSING);
    lose_on(p, B, ACK, SYN | FIN | RST, true, P_CLOSING);
    prog_shutdown(c.a);
    if (c.b != NULL)
        prog_shutdown(c.b);
    settle(p);
    c = open_on(p, P_LAST_ACK);
    prog_shutdown(c.a);
    settle(p);
    lose_on(p, A, ACK, SYN | FIN | RST, true, P_LAST_ACK);
    if (c.b != NULL)
        prog_shutdown(c.b);
    settle(p);
}

/* "192.0.2.1" needs no saying twice: ports and states are what differs. */
static void list(struct play *p, int host, uint32_t seen[TERN_STATES])
{
    uint64_t cursor = 0;
    tern_info info;
    while (tern_walk(p->w.host[host].stack, &cursor, &info) == 1) {
        if (info.state < TERN_STATES)
            seen[info.state]++;
        char remote[16] = "*";
        if (info.remote.port)
            snprintf(remote, sizeof remote, "%u", info.remote.port);
        line(p, "%-4s %5u  %-6s %-12s %s", p->w.host[host].name, info.local.port, remote,
             tern_state_name((enum tern_state)info.state), tern_cause_text((enum tern_cause)info.reason));
    }
}

void scene_states(struct play *p)
{
    uint32_t seen[TERN_STATES] = {0};
    play_part(p, "", "all eleven states at one moment", NULL);
    remark(p, OUTSIDE,
           "the link keeps some connections where they are: it drops the ACK that would move them on");
    open_and_stay(p);
    close_and_stay(p);
    line(p, "%-4s %5s  %-6s %-12s %s", "host", "local", "remote", "state", "why");
    list(p, A, seen);
    list(p, B, seen);
    for (int state = 0; state < TERN_STATES; state++)
        promise(p, seen[state] > 0, "%s is there", tern_state_name((enum tern_state)state));
}
