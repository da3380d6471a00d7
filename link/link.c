/* link.c - what is common to all links: they end through their table. */
#include <tern/host.h>

void tern_link_close(tern_link *l)
{
    if (l)
        l->ops->close(l);
}
