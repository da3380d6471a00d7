/* wait.c - poll and epoll. */
#include "check/run.h"

struct answer call_poll(struct run *r, const struct call_spec *c)
{
    run_skip(r, "%s", c->name);
}
struct answer call_epoll_create(struct run *r, int fd)
{
    run_skip(r, "epoll %d", fd);
}
struct answer call_epoll_ctl(struct run *r, struct sock *k, const struct call_spec *c)
{
    (void)k;
    run_skip(r, "%s", c->name);
}
struct answer call_epoll_wait(struct run *r, struct sock *k, const struct call_spec *c)
{
    (void)k;
    run_skip(r, "%s", c->name);
}
