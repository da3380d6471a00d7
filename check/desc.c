/* desc.c - the program's descriptors: what POSIX keeps between its calls and tern does not, as whether a
 * descriptor blocks, which address it was bound to, and whether an error was already told.
 *
 * An error that ends a connection is told once, by the next call that asks, as in Linux; afterwards the
 * connection reads as ended and cannot be written to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check/run.h"

struct sock *desc_find(struct run *r, int fd)
{
    for (int i = 0; i < SOCKS_MAX; i++)
        if (r->sock[i].kind != SOCK_FREE && r->sock[i].fd == fd)
            return &r->sock[i];
    return NULL;
}

struct sock *desc_make(struct run *r, int fd)
{
    if (desc_find(r, fd) != NULL)
        run_wrong(r, r->event->line, r->event->column, "the descriptor %d is in use already", fd);
    for (int i = 0; i < SOCKS_MAX; i++)
        if (r->sock[i].kind == SOCK_FREE) {
            r->sock[i] = (struct sock){
                .fd = fd, .kind = SOCK_NEW, .flow = -1, .linger = -1, .v6 = r->s->v6, .low_water = 1};
            return &r->sock[i];
        }
    run_skip(r, "more than %d descriptors", SOCKS_MAX);
}

void desc_release(struct run *r, struct sock *k)
{
    for (int i = 0; i < SOCKS_MAX; i++)
        for (struct watch **w = &r->sock[i].watches, *gone; (gone = *w) != NULL;)
            if (gone->fd == k->fd || k == &r->sock[i]) {
                *w = gone->next;
                free(gone);
            } else {
                w = &gone->next;
            }
    *k = (struct sock){0};
}

bool desc_info(const struct run *r, const struct sock *k, tern_info *out)
{
    *out = (tern_info){0};
    return (k->kind == SOCK_CONNECTION || k->kind == SOCK_LISTENING) && tern_get_info(r->t, k->h, out) == 0;
}

void desc_connected(struct run *r, struct sock *k)
{
    tern_info info;
    k->kind = SOCK_CONNECTION;
    desc_info(r, k, &info);
    k->local = info.local;
    k->flow = flow_find(r, &info.local, &info.remote);
    if (k->flow < 0)
        k->flow = flow_new(r, &info.local, &info.remote);
    r->flow[k->flow].written.len = 0;
    desc_apply_options(r, k);
}

int desc_error(struct run *r, struct sock *k)
{
    tern_info info;
    if (k->error_taken || !desc_info(r, k, &info) || info.state != TERN_CLOSED || info.error == 0)
        return 0;
    k->error_taken = true;
    return info.error;
}
