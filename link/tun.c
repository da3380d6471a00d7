/* tun.c - the Linux kernel's other end: a TUN device.
 *
 * With IFF_VNET_HDR a small header stands before every packet, as on a virtual machine's network card. It
 * lets 64 KiB of TCP cross in one system call, uncut and without a checksum, both ways:
 *
 *     read:  │vnet│ip│tcp│ payload of up to 64 KiB │    gso_size goes to tern_rx_packet.gso_size
 *     write: │vnet│ip│tcp│ slice │ slice │ slice   │    gathered by writev; gso_size from tern_tx_packet
 *
 * Where the kernel has less to offer we ask for less, step by step, down to plain packets.
 *
 * Packets are read into one block of memory, packet behind packet, so that small ones lie dense, as low in
 * the block as there is room: while the stack refers to none of them, the same few pages are used again and
 * again. What it keeps stays where it is. A unit of 4 KiB is free when it has a part of no kept packet: a bit
 * for each says so. A large packet has its inner units for itself; only where packets meet are they counted.
 * The uppermost part is never lent, so that there is always room to read; and when three
 * quarters of the block are kept, the link asks for a quarter back. A write never waits: what the kernel does
 * not take (the device is down, no memory) is dropped, as on any full queue, and TCP sends it again.
 */
#include "packet.h"
#include "steer.h"
#include <tern/handover.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    MEMORY = 16 << 20,           /* address space; pages are used when touched */
    UNIT = 4096,
    UNITS = MEMORY / UNIT,
    RUN = 256 << 10,             /* of a batch, at most: small enough to stay in the cache */
    LENDABLE = MEMORY - RUN,     /* what lies above is copied */
    SLOT = LINK_MAX_PACKET + 25, /* room that must be left to read one more: header, packet, alignment */
    VNET_MIN = sizeof(struct virtio_net_hdr),
    VNET_MAX = sizeof(struct virtio_net_hdr_mrg_rxbuf),
    GSO_MAX = 65535 - 40 - 60, /* the whole packet stays below 64 KiB with the longest headers */
    FLAG_CWR = 128,
    SMALL = 512, /* bytes of a packet that is sent in one piece */
};

struct tun {
    tern_link link;
    int fd;
    uint32_t vnet;        /* bytes of the header before each packet; 0 = none */
    uint8_t *memory;      /* received packets */
    uint64_t used[UNITS / 64]; /* a bit for each unit with a part of a packet that the stack refers to */
    uint16_t edges[UNITS];     /* of these, how many begin or end in it */
    uint32_t used_units;
    uint32_t queues; /* of the device, if the kernel chooses among them by ports; 0 = it does not */
    char name[IFNAMSIZ];
};

static struct tun *tun_of(const tern_link *l) { return (struct tun *)l; }

/* --- receive ------------------------------------------------------------------------------------ */

static void read_vnet(const uint8_t *at, tern_rx_packet *pkt)
{
    struct virtio_net_hdr h;
    memcpy(&h, at, sizeof h);
    if (h.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID))
        pkt->flags = TERN_RX_CSUM_OK;
    uint8_t type = h.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
    if (type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6)
        pkt->gso_size = h.gso_size;
}

/* Whether a failed read means "nothing now"; a device that is down says EIO. */
static bool passing(int err)
{
    return err == EAGAIN || err == EINTR || err == EIO || err == ENOBUFS || err == ENOMEM;
}

/* The first unit from `i` on whose bit is `bit`, UNITS if there is none. */
static uint32_t next_unit(const struct tun *t, uint32_t i, bool bit)
{
    uint64_t flip = bit ? 0 : UINT64_MAX;
    while (i < UNITS) {
        uint64_t left = (t->used[i / 64] ^ flip) >> i % 64;
        if (left != 0)
            return i + (uint32_t)__builtin_ctzll(left);
        i = (i / 64 + 1) * 64;
    }
    return UNITS;
}

/* A run of free units from `from` on, long enough for a packet. There is always one: the last is never
 * lent. */
static uint32_t find_run(const struct tun *t, uint32_t from, uint32_t *end)
{
    uint32_t i = (from + UNIT - 1) / UNIT, stop;
    for (;; i = stop) {
        i = next_unit(t, i, false);
        stop = next_unit(t, i, true);
        if (stop - i > RUN / UNIT)
            stop = i + RUN / UNIT;
        if ((stop - i) * UNIT >= SLOT || stop == UNITS)
            break;
    }
    *end = stop * UNIT;
    return i * UNIT;
}

static void fill_lendable(struct tun *t, tern_rx_packet *pkt)
{
    uint64_t at = (uint64_t)(pkt->data - t->memory);
    if (at + pkt->len > LENDABLE)
        return;
    pkt->flags |= TERN_RX_LENDABLE;
    pkt->pinned = (uint32_t)((at + pkt->len - 1) / UNIT - at / UNIT + 1) * UNIT;
    pkt->buffer = at << 32 | pkt->len;
}

/* One packet to `start`. Its length; 0 = none (a runt); negative: -errno. */
static ssize_t read_one(struct tun *t, uint8_t *start, tern_rx_packet *pkt)
{
    ssize_t got = read(t->fd, start, t->vnet + LINK_MAX_PACKET);
    if (got < 0)
        return -errno;
    if ((uint32_t)got <= t->vnet)
        return 0;
    *pkt = (tern_rx_packet){.data = start + t->vnet, .len = (uint32_t)got - t->vnet};
    if (t->vnet > 0)
        read_vnet(start, pkt);
    fill_lendable(t, pkt);
    return got;
}

static int tun_rx(tern_link *l, uint64_t now, tern_rx_packet *pkts, int max)
{
    struct tun *t = tun_of(l);
    uint32_t end, at = find_run(t, 0, &end), bytes = 0;
    int n = 0;
    (void)now;
    l->drained = false;
    while (n < max && bytes + SLOT <= RUN) {
        if (at + SLOT > end)
            at = find_run(t, at, &end);
        if (at + SLOT > end)
            break;
        uint8_t *start = t->memory + at + (-t->vnet & 15); /* the IP header lies at a multiple of 16 */
        ssize_t got = read_one(t, start, &pkts[n]);
        if (got < 0) {
            l->drained = true;
            return n > 0 || passing((int)-got) ? n : (int)got;
        }
        at = ((uint32_t)(start - t->memory) + (uint32_t)got + 15) & ~15u;
        bytes += (uint32_t)got;
        n += got > 0;
    }
    return n;
}

static void mark(struct tun *t, uint32_t unit, bool used)
{
    uint64_t bit = 1ull << unit % 64, *word = &t->used[unit / 64];
    if (((*word & bit) != 0) == used)
        return;
    *word ^= bit;
    t->used_units += used ? 1u : UINT32_MAX;
}

static void count_edge(struct tun *t, uint32_t unit, int by)
{
    t->edges[unit] = (uint16_t)(t->edges[unit] + by);
    mark(t, unit, t->edges[unit] > 0);
}

/* Units [from, to), which one packet fills. */
static void mark_inner(struct tun *t, uint32_t from, uint32_t to, bool used)
{
    t->used_units += used ? to - from : from - to;
    while (from < to) {
        uint32_t n = 64 - from % 64 < to - from ? 64 - from % 64 : to - from;
        uint64_t bits = (n == 64 ? UINT64_MAX : (1ull << n) - 1) << from % 64;
        t->used[from / 64] = used ? t->used[from / 64] | bits : t->used[from / 64] & ~bits;
        from += n;
    }
}

/* Count a packet in the units that it touches. */
static void count(struct tun *t, uint64_t buffer, int by)
{
    uint32_t at = (uint32_t)(buffer >> 32), len = (uint32_t)buffer;
    uint32_t first = at / UNIT, last = (at + len - 1) / UNIT;
    count_edge(t, first, by);
    if (first == last)
        return;
    count_edge(t, last, by);
    mark_inner(t, first + 1, last, by > 0);
}

static void tun_seen(tern_link *l, const tern_rx_packet *pkts, int n)
{
    for (int i = 0; i < n; i++)
        if (pkts[i].kept)
            count(tun_of(l), pkts[i].buffer, 1);
}

static void tun_free_again(tern_link *l, const uint64_t *buffers, int n)
{
    for (int i = 0; i < n; i++)
        count(tun_of(l), buffers[i], -1);
}

static uint64_t tun_wants(tern_link *l)
{
    return tun_of(l)->used_units > UNITS / 4 * 3 ? MEMORY / 4 : 0;
}

/* --- send --------------------------------------------------------------------------------------- */

static void write_vnet(const tern_tx_packet *pkt, uint8_t *at)
{
    struct virtio_net_hdr h = {0};
    if (pkt->flags & TERN_TX_CSUM) {
        h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h.csum_start = pkt->csum_start;
        h.csum_offset = pkt->csum_offset;
    }
    if (pkt->gso_size > 0) {
        h.gso_type = pkt->flags & TERN_TX_IP6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        if (pkt->hdr[pkt->csum_start + 13] & FLAG_CWR)
            h.gso_type |= VIRTIO_NET_HDR_GSO_ECN; /* CWR on the first segment only */
        h.hdr_len = pkt->hdr_len;
        h.gso_size = pkt->gso_size;
    }
    memcpy(at, &h, sizeof h);
}

/* A slice whose page has gone (a mapped file that became shorter): who lends memory keeps it readable, so
 * this is where its SIGBUS belongs, in its own process, and not in the kernel, which only says EFAULT. */
static void touch(const tern_tx_packet *pkt)
{
    for (uint32_t i = 0; i < pkt->n_slices; i++) {
        const volatile uint8_t *data = pkt->slices[i].data;
        for (uint32_t at = 0; at < pkt->slices[i].len; at += 4096)
            (void)data[at];
        (void)data[pkt->slices[i].len - 1];
    }
}

/* A small packet in one piece: a copy costs less than the kernel's work for a list of pieces. */
static ssize_t send_small(struct tun *t, const tern_tx_packet *pkt)
{
    uint8_t all[VNET_MAX + SMALL], *at = all + t->vnet;
    if (t->vnet > 0) {
        memset(all, 0, VNET_MAX);
        write_vnet(pkt, all);
    }
    memcpy(at, pkt->hdr, pkt->hdr_len);
    at += pkt->hdr_len;
    for (uint32_t i = 0; i < pkt->n_slices; at += pkt->slices[i].len, i++)
        memcpy(at, pkt->slices[i].data, pkt->slices[i].len);
    return write(t->fd, all, (size_t)(at - all));
}

static ssize_t send_one(struct tun *t, const tern_tx_packet *pkt)
{
    if (pkt->len <= SMALL)
        return send_small(t, pkt);
    uint8_t vnet[VNET_MAX] = {0};
    struct iovec iov[2 + TERN_TX_SLICES];
    int n = 0;
    if (t->vnet > 0) {
        write_vnet(pkt, vnet);
        iov[n++] = (struct iovec){vnet, t->vnet};
    }
    iov[n++] = (struct iovec){(void *)pkt->hdr, pkt->hdr_len};
    for (uint32_t i = 0; i < pkt->n_slices; i++)
        iov[n++] = (struct iovec){(void *)pkt->slices[i].data, pkt->slices[i].len};
    return writev(t->fd, iov, n);
}

static int tun_tx(tern_link *l, uint64_t now, const tern_tx_packet *pkts, int n)
{
    struct tun *t = tun_of(l);
    (void)now;
    for (int i = 0; i < n; i++) {
        if (send_one(t, &pkts[i]) >= 0 || errno == EINVAL)
            continue; /* EINVAL: the kernel did not like this one packet */
        if (errno == EFAULT) {
            touch(&pkts[i]);
            continue; /* what it would have now was never in the file */
        }
        if (errno == EINTR)
            i--;
        else
            return passing(errno) ? i : -errno;
    }
    return n;
}

static int tun_fd(const tern_link *l) { return tun_of(l)->fd; }

static uint64_t tun_next(const tern_link *l)
{
    (void)l;
    return UINT64_MAX;
}

static void tun_close(tern_link *l)
{
    struct tun *t = tun_of(l);
    if (t->fd >= 0)
        close(t->fd);
    if (t->memory)
        munmap(t->memory, MEMORY);
    free(t);
}

static const struct tern_link_ops tun_ops = {.name = "tun",
                                             .rx = tun_rx,
                                             .tx = tun_tx,
                                             .fd = tun_fd,
                                             .next = tun_next,
                                             .close = tun_close,
                                             .seen = tun_seen,
                                             .free_again = tun_free_again,
                                             .wants = tun_wants};

/* --- opening ------------------------------------------------------------------------------------ */

struct problem {
    char *text; /* a sentence goes here */
    size_t len;
};

/* Put the sentence down and give the error back, so that the caller can return it. */
__attribute__((format(printf, 3, 4))) static int fail(struct problem *pr, int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (pr->text && pr->len > 0)
        vsnprintf(pr->text, pr->len, fmt, ap);
    va_end(ap);
    return -err;
}

/* The kernel's rules for names, and no '%', with which it would choose a number itself. */
static bool good_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (; *name; name++)
        if (!isgraph((unsigned char)*name) || strchr("/:%", *name))
            return false;
    return true;
}

static int open_clone_device(struct problem *pr)
{
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    if (errno == EACCES || errno == EPERM)
        return fail(pr, errno,
                    "no permission to open /dev/net/tun: run as root, or let your user read and write it "
                    "(chmod 666 /dev/net/tun, the usual mode); in a container add --device /dev/net/tun");
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        return fail(pr, errno,
                    "there is no /dev/net/tun: load it with `modprobe tun`, or in a container start it with "
                    "--device /dev/net/tun");
    return fail(pr, errno, "cannot open /dev/net/tun: %s", strerror(errno));
}

/* Attach to the device `name`, making it if it is not there. IFF_VNET_HDR is dropped where the kernel does
 * not know it; a device made beforehand with several queues wants to be told so. Returns the flags that were
 * granted, or -errno. */
static int attach(int fd, const char *name, bool plain, bool several)
{
    static const short tries[] = {IFF_VNET_HDR, IFF_VNET_HDR | IFF_MULTI_QUEUE, 0, IFF_MULTI_QUEUE};
    int err = EINVAL;
    for (size_t i = plain ? 2 : 0; i < sizeof tries / sizeof tries[0] && err == EINVAL; i++) {
        if (several && !(tries[i] & IFF_MULTI_QUEUE))
            continue;
        struct ifreq ifr = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | tries[i])};
        memcpy(ifr.ifr_name, name, strlen(name) + 1);
        if (ioctl(fd, TUNSETIFF, &ifr) == 0)
            return ifr.ifr_flags;
        err = errno;
    }
    return -err;
}

static int explain_attach(struct problem *pr, int err, const char *name)
{
    switch (err) {
    case EPERM:
        return fail(
            pr, err,
            "no permission to make or use TUN device %s: run as root, or inside `unshare -Urn`, or let "
            "root make it once with `ip tuntap add dev %s mode tun user $USER`",
            name, name);
    case EBUSY:
        return fail(pr, err,
                    "TUN device %s is in use by another process: end that one, or choose another name", name);
    case EINVAL:
        return fail(pr, err,
                    "%s exists and is not a TUN device of this kind (a TAP device, another interface, or one "
                    "queue where several are wanted): choose another name",
                    name);
    default: return fail(pr, err, "cannot make TUN device %s: %s", name, strerror(err));
    }
}

/* What the kernel may send us uncut and without checksums: all, or as much as it knows of. */
static void ask_offloads(int fd)
{
    static const unsigned steps[] = {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
                                     TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, TUN_F_CSUM | TUN_F_TSO4,
                                     TUN_F_CSUM, 0};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)steps[i]) == 0)
            return;
}

/* The size of the header before each packet; a device made beforehand may have been given another one. -1: no
 * agreement. */
static int vnet_size(int fd)
{
    int size = VNET_MIN;
    if (ioctl(fd, TUNGETVNETHDRSZ, &size) == 0 && (size == VNET_MIN || size == VNET_MAX))
        return size;
    size = VNET_MIN;
    return ioctl(fd, TUNSETVNETHDRSZ, &size) == 0 ? size : -1;
}

static int read_mtu(const char *name, uint32_t *mtu)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(ifr.ifr_name, name, strlen(name) + 1);
    int err = fd < 0 || ioctl(fd, SIOCGIFMTU, &ifr) < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    *mtu = (uint32_t)ifr.ifr_mtu;
    return -err;
}

/* A device that was up before we came takes a moment until the kernel sends on it again (linkwatch): a SYN
 * sent before that would have its answer lost, and its repetition comes after a second. So the device is not
 * ours before it runs, or 200 ms have passed. */
static void await_running(const char *name)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(ifr.ifr_name, name, strlen(name) + 1);
    for (int i = 0; i < 100 && fd >= 0; i++) {
        if (ioctl(fd, SIOCGIFFLAGS, &ifr) != 0 || !(ifr.ifr_flags & IFF_UP) || (ifr.ifr_flags & IFF_RUNNING))
            break;
        poll(NULL, 0, 2);
    }
    if (fd >= 0)
        close(fd);
}

/* fd is the device's queue: find out what it can do. */
static int set_up(struct tun *t, int flags, struct problem *pr)
{
    const char *name = t->name;
    if (flags & IFF_VNET_HDR) {
        int size = vnet_size(t->fd);
        if (size < 0)
            return fail(pr, EINVAL,
                        "TUN device %s was made with a header size that tern does not know: remove it with "
                        "`ip link del %s` and let tern make it",
                        name, name);
        t->vnet = (uint32_t)size;
        ask_offloads(t->fd);
        t->link.info.tx_csum = true;
        t->link.info.gso_max = GSO_MAX;
    } else {
        ioctl(t->fd, TUNSETOFFLOAD, 0ul); /* the device keeps what the last one to open it asked for */
    }
    int err = read_mtu(name, &t->link.info.mtu);
    if (err < 0)
        return fail(pr, -err, "cannot read the MTU of %s: %s", name, strerror(-err));
    t->memory =
        mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (t->memory == MAP_FAILED) {
        t->memory = NULL;
        return fail(pr, ENOMEM, "no memory for the buffers of %s", name);
    }
    t->link.memory = t->memory;
    t->link.memory_len = LENDABLE;
    await_running(name);
    return 0;
}

/* Make fd the device's queue. */
static int open_device(struct tun *t, bool plain, bool several, struct problem *pr)
{
    t->fd = open_clone_device(pr);
    if (t->fd < 0)
        return t->fd;
    int flags = attach(t->fd, t->name, plain, several);
    return flags < 0 ? explain_attach(pr, -flags, t->name) : set_up(t, flags, pr);
}

/* A queue that somebody else has opened: the device says which it is. */
static int adopt_device(struct tun *t, struct problem *pr)
{
    struct ifreq ifr = {0};
    if (ioctl(t->fd, TUNGETIFF, &ifr) < 0 || (ifr.ifr_flags & IFF_TUN) == 0)
        return fail(pr, ENOTTY, "the descriptor is not that of a TUN device");
    memcpy(t->name, ifr.ifr_name, IFNAMSIZ);
    return set_up(t, ifr.ifr_flags, pr);
}

static struct tun *new_tun(void)
{
    struct tun *t = calloc(1, sizeof *t);
    if (t) {
        t->link.ops = &tun_ops;
        t->link.device = t->name;
        t->fd = -1;
    }
    return t;
}

/* The link, or what became of it. */
static int done(struct tun *t, int rc, tern_link **out)
{
    if (rc < 0)
        tun_close(&t->link);
    else
        *out = &t->link;
    return rc < 0 ? rc : 0;
}

/* One queue of the device. */
static int open_queue(tern_link **out, const char *name, bool plain, bool several, struct problem *pr)
{
    if (!name || !good_name(name))
        return fail(pr, EINVAL,
                    "\"%s\" cannot be the name of a TUN device: 1 to 15 printable characters without "
                    "blanks, '/', ':' and '%%'",
                    name ? name : "");
    struct tun *t = new_tun();
    if (!t)
        return fail(pr, ENOMEM, "no memory");
    memcpy(t->name, name, strlen(name));
    return done(t, open_device(t, plain, several, pr), out);
}

int tern_link_tun(tern_link **out, const char *name, bool plain, char *err, size_t err_len)
{
    struct problem pr = {err, err_len};
    return open_queue(out, name, plain, false, &pr);
}

int tern_link_tun_queues(tern_link **out, int n, const char *name, bool plain, char *err, size_t err_len)
{
    struct problem pr = {err, err_len};
    int rc = n >= 1 && n <= TERN_QUEUES ? 0 : fail(&pr, EINVAL, "a device has 1 to %d queues", TERN_QUEUES);
    int made = 0;
    while (rc == 0 && made < n)
        if ((rc = open_queue(&out[made], name, plain, true, &pr)) == 0)
            made++;
    for (int i = 0; rc < 0 && i < made; i++)
        tern_link_close(out[i]);
    if (rc == 0 && n > 1 && steer_by_ports(tun_of(out[0])->fd) == 0)
        for (int i = 0; i < n; i++)
            tun_of(out[i])->queues = (uint32_t)n;
    return rc;
}

int tern_link_queue_of(const tern_link *l, uint16_t local_port, uint16_t remote_port)
{
    uint32_t n = l->ops == &tun_ops ? tun_of(l)->queues : 0;
    return n > 0 ? (int)steer_queue(local_port, remote_port, n) : -1;
}

int tern_link_tun_fd(tern_link **out, int fd, char *err, size_t err_len)
{
    struct problem pr = {err, err_len};
    struct tun *t = new_tun();
    if (!t) {
        close(fd);
        return fail(&pr, ENOMEM, "no memory");
    }
    t->fd = fd;
    return done(t, adopt_device(t, &pr), out);
}
