/* xdp.c - a network card taken from the kernel: AF_XDP.
 *
 *   UMEM:  │ frame │ frame │ ... received ...        │ frame ... to be sent │     4 KiB each
 *             ▲ fill ring                 rx ring ▼           ▲ tx ring, ▼ completion ring
 *
 * A small program in the kernel (libxdp brings it) hands every frame of one queue to us, before the kernel's
 * stack sees it. Frames of the UMEM are lent to the stack: what it keeps goes back to the fill ring when the
 * program has read it. What is sent is copied into frames of its own, since the stack's memory is not in the
 * UMEM. There are no offloads: checksums are made and verified by tern.
 *
 * A driver that can is asked to put frames straight into the UMEM (zero-copy); others, veth among them, have
 * the kernel copy.
 */
#include "device.h"
#include "packet.h"

#if TERN_XDP
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

enum {
    FRAME = 4096,
    RX_FRAMES = 4096,
    TX_FRAMES = 2048,
    RING = 2048,                       /* of each ring but the fill ring, which has room for all */
    MEMORY = (RX_FRAMES + TX_FRAMES) * FRAME,
    HEADROOM = 256,                    /* XDP_PACKET_HEADROOM: the kernel's, before each frame's bytes */
    MTU_MOST = FRAME - HEADROOM - 320, /* and what it wants behind them (skb_shared_info) */
};

struct xdp {
    tern_link link;
    uint8_t *memory;
    struct xsk_umem *umem;
    struct xsk_socket *socket;
    struct xsk_ring_prod fill, tx;
    struct xsk_ring_cons done, rx;
    uint32_t shown;                    /* frames of the last rx, whose places are: */
    uint64_t shown_at[64];
    uint32_t away;                     /* received frames that the stack keeps */
    uint32_t free_count;
    uint64_t free_at[TX_FRAMES];       /* frames to send with */
    char name[IFNAMSIZ];
};

static struct xdp *xdp_of(const tern_link *l) { return (struct xdp *)l; }

/* --- receive ------------------------------------------------------------------------------------- */

static void to_kernel(struct xdp *x, const uint64_t *at, uint32_t n)
{
    uint32_t place;
    if (n == 0 || xsk_ring_prod__reserve(&x->fill, n, &place) != n)
        return; /* the ring has room for all frames there are */
    for (uint32_t i = 0; i < n; i++)
        *xsk_ring_prod__fill_addr(&x->fill, place + i) = at[i] / FRAME * FRAME;
    xsk_ring_prod__submit(&x->fill, n);
}

static void wake(struct xdp *x)
{
    if (xsk_ring_prod__needs_wakeup(&x->fill))
        recvfrom(xsk_socket__fd(x->socket), NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static int xdp_rx(tern_link *l, uint64_t now, tern_rx_packet *pkts, int max)
{
    struct xdp *x = xdp_of(l);
    uint32_t place, most = max < 64 ? (uint32_t)max : 64;
    (void)now;
    to_kernel(x, x->shown_at, x->shown);
    x->shown = xsk_ring_cons__peek(&x->rx, most, &place);
    for (uint32_t i = 0; i < x->shown; i++) {
        const struct xdp_desc *d = xsk_ring_cons__rx_desc(&x->rx, place + i);
        x->shown_at[i] = d->addr;
        pkts[i] = (tern_rx_packet){.data = x->memory + d->addr,
                                   .len = d->len,
                                   .flags = TERN_RX_ETHERNET | TERN_RX_LENDABLE,
                                   .pinned = FRAME,
                                   .buffer = d->addr};
    }
    xsk_ring_cons__release(&x->rx, x->shown);
    wake(x);
    if (x->shown == 0 && !device_exists(x->name))
        return -ENODEV;
    return (int)x->shown;
}

/* What is kept belongs to nobody until it comes back. */
static void xdp_seen(tern_link *l, const tern_rx_packet *pkts, int n)
{
    struct xdp *x = xdp_of(l);
    uint32_t left = 0;
    for (int i = 0; i < n; i++) {
        x->away += pkts[i].kept;
        if (!pkts[i].kept)
            x->shown_at[left++] = pkts[i].buffer;
    }
    to_kernel(x, x->shown_at, left);
    x->shown = 0;
}

static void xdp_free_again(tern_link *l, const uint64_t *buffers, int n)
{
    to_kernel(xdp_of(l), buffers, (uint32_t)n);
    xdp_of(l)->away -= (uint32_t)n;
}

static uint64_t xdp_wants(tern_link *l)
{
    return xdp_of(l)->away > RX_FRAMES / 4 * 3 ? (uint64_t)RX_FRAMES / 4 * FRAME : 0;
}

/* --- send ---------------------------------------------------------------------------------------- */

static void reclaim(struct xdp *x)
{
    uint32_t place, n = xsk_ring_cons__peek(&x->done, RING, &place);
    for (uint32_t i = 0; i < n; i++)
        x->free_at[x->free_count++] = *xsk_ring_cons__comp_addr(&x->done, place + i);
    xsk_ring_cons__release(&x->done, n);
}

/* In copy mode the kernel sends in this call; a driver that is asleep is woken by it. */
static void kick(struct xdp *x)
{
    if (xsk_ring_prod__needs_wakeup(&x->tx))
        sendto(xsk_socket__fd(x->socket), NULL, 0, MSG_DONTWAIT, NULL, 0);
}

static void write_frame(struct xdp *x, const tern_tx_packet *pkt, struct xdp_desc *d)
{
    d->addr = x->free_at[--x->free_count];
    d->len = tern_tx_flatten(pkt, x->memory + d->addr);
    d->options = 0;
}

static int xdp_tx(tern_link *l, uint64_t now, const tern_tx_packet *pkts, int n)
{
    struct xdp *x = xdp_of(l);
    int sent = 0;
    uint32_t place;
    (void)now;
    reclaim(x);
    for (; sent < n && x->free_count > 0 && xsk_ring_prod__reserve(&x->tx, 1, &place) == 1; sent++) {
        write_frame(x, &pkts[sent], xsk_ring_prod__tx_desc(&x->tx, place));
        xsk_ring_prod__submit(&x->tx, 1);
    }
    kick(x);
    return sent;
}

static int xdp_fd(const tern_link *l) { return xsk_socket__fd(xdp_of(l)->socket); }

static uint64_t xdp_next(const tern_link *l)
{
    (void)l;
    return UINT64_MAX;
}

static void xdp_close(tern_link *l)
{
    struct xdp *x = xdp_of(l);
    if (x->socket != NULL)
        xsk_socket__delete(x->socket); /* the program leaves the card with its last socket */
    if (x->umem != NULL)
        xsk_umem__delete(x->umem);
    if (x->memory != NULL)
        munmap(x->memory, MEMORY);
    free(x);
}

static const struct tern_link_ops xdp_ops = {.name = "xdp",
                                             .rx = xdp_rx,
                                             .tx = xdp_tx,
                                             .fd = xdp_fd,
                                             .next = xdp_next,
                                             .close = xdp_close,
                                             .seen = xdp_seen,
                                             .free_again = xdp_free_again,
                                             .wants = xdp_wants};

/* --- opening ------------------------------------------------------------------------------------- */

static int silent_bpf(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level, (void)format, (void)args;
    return 0;
}

static int silent_xdp(enum libxdp_print_level level, const char *format, va_list args)
{
    (void)level, (void)format, (void)args;
    return 0;
}

static int make_memory(struct xdp *x)
{
    struct xsk_umem_config cfg = {.fill_size = RX_FRAMES, .comp_size = RING, .frame_size = FRAME};
    void *p = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    x->memory = p;
    int rc = xsk_umem__create(&x->umem, p, MEMORY, &x->fill, &x->done, &cfg);
    if (rc < 0)
        return rc;
    for (uint64_t i = 0; i < RX_FRAMES; i++)
        to_kernel(x, &(uint64_t){i * FRAME}, 1);
    for (uint64_t i = 0; i < TX_FRAMES; i++)
        x->free_at[x->free_count++] = (RX_FRAMES + i) * FRAME;
    return 0;
}

/* Without a copy if the driver can, else with one. */
static int bind_socket(struct xdp *x, const char **how)
{
    static const struct {
        uint16_t flags;
        const char *how;
    } tries[] = {{XDP_ZEROCOPY, "zero-copy"}, {XDP_COPY, "copy"}};
    int rc = -EOPNOTSUPP;
    for (size_t i = 0; i < sizeof tries / sizeof tries[0] && rc < 0; i++) {
        struct xsk_socket_config cfg = {
            .rx_size = RING, .tx_size = RING, .bind_flags = (uint16_t)(tries[i].flags | XDP_USE_NEED_WAKEUP)};
        rc = xsk_socket__create(&x->socket, x->name, 0, x->umem, &x->rx, &x->tx, &cfg);
        *how = tries[i].how;
    }
    return rc;
}

/* The kernel gives a queue back a little after the process that had it has ended. */
static int bind_when_free(struct xdp *x, const char **how)
{
    int rc = bind_socket(x, how);
    for (int ms = 0; rc == -EBUSY && ms < 1000; ms += 20) {
        poll(NULL, 0, 20);
        rc = bind_socket(x, how);
    }
    return rc;
}

static int open_xdp(struct xdp *x, const char **how, struct problem *pr)
{
    int rc = make_memory(x);
    if (rc == 0)
        rc = bind_when_free(x, how);
    if (rc == -EPERM || rc == -EACCES)
        return problem(pr, -rc,
                       "no permission for AF_XDP on %s: run as root (CAP_NET_RAW, CAP_BPF, CAP_NET_ADMIN), "
                       "or use --packet",
                       x->name);
    if (rc == -EBUSY)
        return problem(pr, -rc, "%s has an XDP program or a socket on its queue already: take it off with "
                                "`ip link set %s xdp off`, or use --packet", x->name, x->name);
    if (rc < 0)
        return problem(pr, -rc, "AF_XDP cannot be used on %s (%s): use --packet", x->name, strerror(-rc));
    x->link.memory = x->memory;
    x->link.memory_len = (uint64_t)RX_FRAMES * FRAME;
    return 0;
}

int tern_link_xdp(tern_link **out, const char *name, char *how, char *err, size_t err_len)
{
    struct problem pr = {err, err_len};
    struct device d;
    const char *mode = "";
    int rc = device_find(name, &d, &pr);
    if (rc < 0)
        return rc;
    if (d.info.mtu > MTU_MOST)
        return problem(&pr, EMSGSIZE,
                       "the MTU of %s is too large for AF_XDP: `ip link set %s mtu %d` at most, "
                       "or use --packet",
                       name, name, MTU_MOST);
    if (d.queues > 1)
        return problem(&pr, EINVAL, "%s has %u queues, and tern reads the first one only: "
                                    "`ethtool -L %s combined 1`, or use --packet", name, d.queues, name);
    struct xdp *x = calloc(1, sizeof *x);
    if (x == NULL)
        return problem(&pr, ENOMEM, "no memory");
    libbpf_set_print(silent_bpf);
    libxdp_set_print(silent_xdp);
    memcpy(x->name, name, strlen(name) + 1);
    x->link = (tern_link){.ops = &xdp_ops, .info = d.info, .device = x->name};
    rc = open_xdp(x, &mode, &pr);
    if (rc < 0)
        xdp_close(&x->link);
    else
        *out = &x->link;
    if (rc == 0 && how != NULL)
        memcpy(how, mode, strlen(mode) + 1);
    return rc;
}
#else
int tern_link_xdp(tern_link **out, const char *name, char *how, char *err, size_t err_len)
{
    struct problem pr = {err, err_len};
    (void)out, (void)name, (void)how;
    return problem(&pr, TERN_EOPNOTSUPP,
                   "this tern was built without AF_XDP: install libxdp-dev and libbpf-dev "
                   "and build it again, or use --packet");
}
#endif
