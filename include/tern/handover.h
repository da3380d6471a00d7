/* handover.h - a live host passes to another process: connections, timers, device and all.
 *
 *   old process                                new process
 *   tern_host_allow_handover                   tern_host_take_over: asks, waits, reads
 *   tern_host_handover_asked: yes              tern_host_link_fd, tern_host_adopt: each link
 *   tern_host_hand_over: sends, stands still   the program reads its luggage
 *      returns 0: it is over here              tern_host_own: from here on the new one is the host
 *
 * The state goes as an image (snapshot.h) in memory that both see, links go as descriptors, and the program's
 * own state as luggage: bytes, and descriptors of the files that it has open. From the moment the image is
 * made the old process stands still; packets wait in the device meanwhile.
 *
 * At every moment one of them has the connections, never both, whoever dies:
 *  - until tern_host_own the old one has them. When the new one dies before, refuses, or takes longer than
 *    the old one's patience, tern_host_hand_over fails and the old one goes on as if nothing had happened.
 *  - tern_host_own is one message, and it counts only if the old one has not given up before; if the old one
 *    has died while it stood still, the new one has everything and takes over.
 *  - the new one does nothing on its links before tern_host_own has returned 0.
 *
 * Both processes use CLOCK_BOOTTIME, so deadlines stay right. They must be of the same build. Who asks must
 * have the same user number as the old process, or be root.
 */
#ifndef TERN_HANDOVER_H
#define TERN_HANDOVER_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the program sends along. */
typedef struct tern_luggage {
    const void *data;  /* valid until tern_host_own or tern_host_destroy, where it was received */
    size_t len;
    const int *fds;    /* received ones are the program's to close; the array lives as long as `data` */
    int n_fds;         /* at most 100000; the limits of open files of both processes count */
} tern_luggage;

/* Whether other processes may ask for this host (by its control socket, so it needs a name). At first not. */
void tern_host_allow_handover(tern_host *h, bool allow);

/* Whether one has asked. A host with a question is readable (tern_host_fd) until it is answered. */
bool tern_host_handover_asked(const tern_host *h);

/* Hand the host over to the process that has asked; takes as long as that needs, `patience_ms` at most after
 * the last byte has been sent (0 = 10 s). Returns 0: this host is over, its turns do nothing, and all that is
 * left to do is tern_host_destroy, which sends nothing. Otherwise it goes on here: -ENOENT (nobody asks),
 * -EOPNOTSUPP (a link has no descriptor), -ETIMEDOUT, -EPIPE (the other one has died, or cannot), or another
 * negative errno; a sentence is in `err`. `own` NULL: no luggage. */
int tern_host_hand_over(tern_host *h, const tern_luggage *own, int patience_ms, char *err, size_t err_len);

/* Say no to the process that has asked; `why` is a sentence for it. */
void tern_host_decline(tern_host *h, const char *why);

/* Ask the running host of this name (tern_host_config.name) for all it has, and wait until it comes. `pid`:
 * which process, when several have hosts of that name; 0 = there is one. Of `cfg` count the name, the trace
 * ring and the memory, if it is more than the old one's; the stack's configuration is the old one's. The host
 * that is returned does nothing until tern_host_own. Errors: -ENOENT (no such host), -ENOTUNIQ (several),
 * -ECONNREFUSED (it says no), -EPROTO (another build), -ETIMEDOUT, -ENOMEM, or another negative errno; a
 * sentence is in `err`. */
int tern_host_take_over(tern_host **out, const tern_host_config *cfg, const char *name, int pid,
                        tern_luggage *got, char *err, size_t err_len);

/* The descriptor of a link of the old host, by the id it has in the stack, and that descriptor's owner is the
 * caller from now on. -1 = there is no such link, or it was asked for before. */
int tern_host_link_fd(tern_host *h, int link);

/* Give the host the link that stands for the old one of this id, made from its descriptor (tern_link_tun_fd);
 * the host owns it from now on. 0, -EINVAL (no such id, or it has its link already). */
int tern_host_adopt(tern_host *h, int link, tern_link *l);

/* Take over: 0 = this process is the host now. Otherwise the old one goes on, and this host is good for
 * tern_host_destroy only: -ECONNABORTED (the old one has given up waiting), -EINVAL (a link was not adopted).
 * A sentence is in `err`; with 0 too, when the control socket could not be made. */
int tern_host_own(tern_host *h, char *err, size_t err_len);

/* A TUN link from the descriptor of another process' (it is closed in the end, on failure too): the same
 * device, with the offloads that it has. On failure a negative errno and a sentence in `err`. */
int tern_link_tun_fd(tern_link **out, int fd, char *err, size_t err_len);

#ifdef __cplusplus
}
#endif
#endif
