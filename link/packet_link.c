/* packet_link.c - a network card of the kernel's, shared with it: AF_PACKET with a ring in memory
 * (TPACKET_V3).
 *
 *     ring:  │ block │ block │ block │ ...      the kernel fills one after the other and hands over what it
 *     has
 *              └ packet, packet, packet           when a block is full, or a millisecond old
 *
 * Whole batches are read without a system call. With PACKET_VNET_HDR a small header stands before each frame,
 * as on a TUN device: super-segments that the kernel has not cut (TSO on the other side of a veth, GRO) come
 * as they are, checksums that nobody has made are vouched for; and what we send may be cut and completed by
 * the kernel or the card. Sending is sendmmsg, gathered from where the bytes are.
 *
 * The kernel's own stack sees every frame too. It answers none of tern's, as long as tern has addresses of
 * its own: so the card may have addresses of the kernel's beside, other ones.
 */
#include "device.h"
#include "packet.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    BLOCK = 256 << 10, /* holds three frames of 64 KiB at least */
    BLOCKS = 64,
    RETIRE_MS = 1,     /* the least that there is */
    BATCH = 64,        /* frames in one call of sendmmsg */
    GSO_MAX = 65535 - 40 - 60,
    FLAG_CWR = 128,
};

struct card {
    tern_link link;
    int fd;
    bool vnet;
    uint8_t *ring;
    uint32_t first;  /* block: the oldest that is not given back */
    uint32_t at;     /* block that is being read; all from `first` up to it have been */
    uint32_t left;   /* frames of it that have not been shown */
    uint8_t *next;   /* the first of them */
    char name[IFNAMSIZ];
};

static struct card *card_of(const tern_link *l) { return (struct card *)l; }

/* --- receive ------------------------------------------------------------------------------------- */

static struct tpacket_hdr_v1 *head_of(const struct card *c, uint32_t block)
{
    struct tpacket_block_desc *d = (struct tpacket_block_desc *)(void *)(c->ring + (size_t)block * BLOCK);
    return &d->hdr.bh1;
}

/* What was read of older blocks has been seen: they are the kernel's again. */
static void give_back(struct card *c)
{
    while (c->first != c->at) {
        __atomic_store_n(&head_of(c, c->first)->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        c->first = (c->first + 1) % BLOCKS;
    }
}

static void read_vnet(const uint8_t *at, tern_rx_packet *pkt)
{
    struct virtio_net_hdr h;
    memcpy(&h, at, sizeof h);
    if (h.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID))
        pkt->flags |= TERN_RX_CSUM_OK;
    uint8_t type = h.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
    if (type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6)
        pkt->gso_size = h.gso_size;
}

/* False: it was cut off, or is of a VLAN whose tag the card has taken off. */
static bool show(const struct card *c, uint8_t *at, tern_rx_packet *pkt)
{
    const struct tpacket3_hdr *h = (const struct tpacket3_hdr *)(const void *)at;
    bool tagged = (h->tp_status & TP_STATUS_VLAN_VALID) && (h->hv1.tp_vlan_tci & 0xfff) != 0;
    *pkt = (tern_rx_packet){.data = at + h->tp_mac, .len = h->tp_snaplen, .flags = TERN_RX_ETHERNET};
    if (h->tp_status & (TP_STATUS_CSUMNOTREADY | TP_STATUS_CSUM_VALID))
        pkt->flags |= TERN_RX_CSUM_OK;
    if (c->vnet)
        read_vnet(pkt->data - sizeof(struct virtio_net_hdr), pkt);
    return h->tp_snaplen == h->tp_len && !tagged;
}

/* Begin with the next block, if the kernel has handed it over. */
static bool next_block(struct card *c)
{
    struct tpacket_hdr_v1 *h = head_of(c, c->at);
    if (!(__atomic_load_n(&h->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
        return false;
    c->left = h->num_pkts;
    c->next = (uint8_t *)h - offsetof(struct tpacket_block_desc, hdr) + h->offset_to_first_pkt;
    return true;
}

/* The card was taken down, which is told once; or away. 0, or -errno. */
static int trouble(struct card *c)
{
    int err = 0;
    socklen_t len = sizeof err;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    return err != 0 && !device_exists(c->name) ? -ENODEV : 0;
}

static int card_rx(tern_link *l, uint64_t now, tern_rx_packet *pkts, int max)
{
    struct card *c = card_of(l);
    int n = 0;
    (void)now;
    give_back(c);
    while (n < max && (c->left > 0 || next_block(c))) {
        for (; n < max && c->left > 0; c->left--) {
            n += show(c, c->next, &pkts[n]);
            c->next += ((const struct tpacket3_hdr *)(const void *)c->next)->tp_next_offset;
        }
        if (c->left > 0)
            break;
        c->at = (c->at + 1) % BLOCKS;
        if (c->at == c->first)
            break; /* all of the ring has been read in one go */
    }
    return n > 0 ? n : trouble(c);
}

/* Nothing is lent: a block would stay for the sake of one packet. But the kernel learns early that it may go
 * on. */
static void card_seen(tern_link *l, const tern_rx_packet *pkts, int n)
{
    (void)pkts, (void)n;
    give_back(card_of(l));
}

static void card_free_again(tern_link *l, const uint64_t *buffers, int n) { (void)l, (void)buffers, (void)n; }

static uint64_t card_wants(tern_link *l)
{
    (void)l;
    return 0;
}

/* --- send ---------------------------------------------------------------------------------------- */

static void write_vnet(const tern_tx_packet *pkt, struct virtio_net_hdr *h)
{
    *h = (struct virtio_net_hdr){0};
    if (pkt->flags & TERN_TX_CSUM) {
        h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h->csum_start = pkt->csum_start;
        h->csum_offset = pkt->csum_offset;
    }
    if (pkt->gso_size > 0) {
        h->gso_type = pkt->flags & TERN_TX_IP6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        if (pkt->hdr[pkt->csum_start + 13] & FLAG_CWR)
            h->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
        h->hdr_len = pkt->hdr_len;
        h->gso_size = pkt->gso_size;
    }
}

/* A batch as the kernel wants it. */
struct letters {
    struct virtio_net_hdr vnet[BATCH];
    struct iovec iov[BATCH][2 + TERN_TX_SLICES];
    struct mmsghdr msg[BATCH];
};

static void write_letter(struct letters *x, int i, const tern_tx_packet *pkt, bool vnet)
{
    struct iovec *iov = x->iov[i];
    size_t n = 0;
    if (vnet) {
        write_vnet(pkt, &x->vnet[i]);
        iov[n++] = (struct iovec){&x->vnet[i], sizeof x->vnet[i]};
    }
    iov[n++] = (struct iovec){(void *)(uintptr_t)pkt->hdr, pkt->hdr_len};
    for (uint32_t k = 0; k < pkt->n_slices; k++)
        iov[n++] = (struct iovec){(void *)(uintptr_t)pkt->slices[k].data, pkt->slices[k].len};
    x->msg[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = iov, .msg_iovlen = n}};
}

/* The card is down, or its queue is full: the rest is dropped, as on any full queue. */
static bool passing(int err)
{
    return err == EAGAIN || err == ENETDOWN || err == ENOBUFS || err == ENOMEM;
}

static int send_batch(struct card *c, const tern_tx_packet *pkts, int n)
{
    struct letters x;
    for (int i = 0; i < n; i++)
        write_letter(&x, i, &pkts[i], c->vnet);
    for (int i = 0; i < n;) {
        int sent = sendmmsg(c->fd, x.msg + i, (unsigned)(n - i), MSG_DONTWAIT);
        if (sent > 0)
            i += sent;
        else if (errno == ENXIO || errno == ENODEV)
            return -errno;
        else if (passing(errno))
            return i;
        else if (errno != EINTR)
            i++; /* the kernel did not like this one frame */
    }
    return n;
}

static int card_tx(tern_link *l, uint64_t now, const tern_tx_packet *pkts, int n)
{
    (void)now;
    for (int i = 0; i < n; i += BATCH) {
        int some = n - i < BATCH ? n - i : BATCH;
        int sent = send_batch(card_of(l), pkts + i, some);
        if (sent < some)
            return sent < 0 ? sent : i + sent;
    }
    return n;
}

static int card_fd(const tern_link *l) { return card_of(l)->fd; }

static uint64_t card_next(const tern_link *l) { return card_of(l)->left > 0 ? 0 : UINT64_MAX; }

static void card_close(tern_link *l)
{
    struct card *c = card_of(l);
    if (c->ring != NULL)
        munmap(c->ring, (size_t)BLOCK * BLOCKS);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

static const struct tern_link_ops card_ops = {.name = "packet",
                                              .rx = card_rx,
                                              .tx = card_tx,
                                              .fd = card_fd,
                                              .next = card_next,
                                              .close = card_close,
                                              .seen = card_seen,
                                              .free_again = card_free_again,
                                              .wants = card_wants};

/* --- opening ------------------------------------------------------------------------------------- */

static int set(int fd, int option, int value)
{
    return setsockopt(fd, SOL_PACKET, option, &value, sizeof value) == 0 ? 0 : -errno;
}

/* Options must be there before the ring. */
static int make_ring(struct card *c, bool plain)
{
    struct tpacket_req3 req = {.tp_block_size = BLOCK,
                               .tp_block_nr = BLOCKS,
                               .tp_frame_size = TPACKET_ALIGNMENT << 7,
                               .tp_frame_nr = BLOCK / (TPACKET_ALIGNMENT << 7) * BLOCKS,
                               .tp_retire_blk_tov = RETIRE_MS};
    int rc = set(c->fd, PACKET_VERSION, TPACKET_V3);
    set(c->fd, PACKET_IGNORE_OUTGOING, 1); /* what we send ourselves; without it it is told by its source */
    c->vnet = !plain && set(c->fd, PACKET_VNET_HDR, 1) == 0;
    if (rc == 0 && setsockopt(c->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) < 0)
        rc = -errno;
    if (rc < 0)
        return rc;
    void *p = mmap(NULL, (size_t)BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    c->ring = p;
    return 0;
}

/* All groups: neighbours' questions come to groups made of our addresses, which come and go. */
static int join(struct card *c, int index)
{
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = index};
    struct packet_mreq all = {.mr_ifindex = index, .mr_type = PACKET_MR_ALLMULTI};
    _Static_assert(ETH_P_ALL < 256, "one byte, which comes second in network order");
    const uint8_t protocol[2] = {0, ETH_P_ALL};
    memcpy(&at.sll_protocol, protocol, 2);
    if (setsockopt(c->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) < 0)
        return -errno;
    return bind(c->fd, (struct sockaddr *)&at, sizeof at) == 0 ? 0 : -errno;
}

static int open_card(struct card *c, const struct device *d, bool plain, struct problem *pr)
{
    c->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0 && (errno == EPERM || errno == EACCES))
        return problem(pr, errno, "no permission to open %s: run as root, or inside `unshare -Urn` with the "
                                  "device in that namespace, or give the program CAP_NET_RAW", c->name);
    int rc = c->fd < 0 ? -errno : make_ring(c, plain);
    if (rc == 0)
        rc = join(c, d->index);
    if (rc < 0)
        return problem(pr, -rc, "cannot open %s: %s", c->name, strerror(-rc));
    c->link.info.tx_csum = c->vnet;
    c->link.info.gso_max = c->vnet ? GSO_MAX : 0;
    c->link.memory = c->ring;
    c->link.memory_len = (uint64_t)BLOCK * BLOCKS;
    return 0;
}

int tern_link_packet(tern_link **out, const char *name, bool plain, char *err, size_t err_len)
{
    struct problem pr = {err, err_len};
    struct device d;
    int rc = device_find(name, &d, &pr);
    if (rc < 0)
        return rc;
    struct card *c = calloc(1, sizeof *c);
    if (c == NULL)
        return problem(&pr, ENOMEM, "no memory");
    memcpy(c->name, name, strlen(name) + 1);
    c->link = (tern_link){.ops = &card_ops, .info = d.info, .device = c->name};
    rc = open_card(c, &d, plain, &pr);
    if (rc < 0)
        card_close(&c->link);
    else
        *out = &c->link;
    return rc;
}
