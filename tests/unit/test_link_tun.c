/* The TUN link: what opening it says when it cannot, and packets to and from the kernel. Each test runs in a
 * process and a network namespace of its own, so that nothing outside is touched and nothing stays. */
#include "link_packets.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT = 77 }; /* no namespace or no TUN to be had here */

/* Whether the sentence names what is to be done. */
static int says(const char *err, const char *words)
{
    if (strstr(err, words))
        return 0;
    printf("# \"%s\" does not say \"%s\"\n", err, words);
    return 1;
}

/* Run in a child with a network namespace of its own; skip where there is none. */
static void in_namespace(int (*body)(void))
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        bool made = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
        int rc = made && access("/dev/net/tun", F_OK) == 0 ? body() : CANNOT;
        fflush(NULL);
        _exit(rc);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void refuses_bad_names(void **state)
{
    static const char *const names[] = {"", "a b", "a/b", "tun%d", "a:1", "..", "sixteen-letters-", "tab\t"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        tern_link *l = NULL;
        char err[200] = "";
        assert_int_equal(tern_link_tun(&l, names[i], false, err, sizeof err), -EINVAL);
        assert_int_equal(says(err, "cannot be the name of a TUN device"), 0);
        assert_null(l);
    }
    tern_link *l;
    assert_int_equal(tern_link_tun(&l, "", false, NULL, 0), -EINVAL); /* nobody wants the sentence */
}

static int busy(void)
{
    tern_link *first, *second;
    char err[200] = "";
    if (tern_link_tun(&first, "tern0", false, err, sizeof err) < 0)
        return CANNOT;
    int rc = tern_link_tun(&second, "tern0", false, err, sizeof err);
    tern_link_close(first);
    return rc == -EBUSY ? says(err, "tern0 is in use by another process") : 1;
}

static int tap_in_the_way(void)
{
    struct ifreq ifr = {.ifr_name = "tap0", .ifr_flags = IFF_TAP};
    tern_link *l;
    char err[200] = "";
    int fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
        return CANNOT;
    int rc = tern_link_tun(&l, "tap0", false, err, sizeof err);
    return rc == -EINVAL ? says(err, "tap0 exists and is not a TUN device of this kind") : 1;
}

static int nobody(void)
{
    tern_link *l;
    char err[300] = "";
    if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
        return CANNOT;
    int rc = tern_link_tun(&l, "tern0", false, err, sizeof err);
    if (rc == -EACCES) /* the device file is not open to all here */
        return says(err, "no permission to open /dev/net/tun");
    return rc == -EPERM ? says(err, "ip tuntap add dev tern0 mode tun user $USER") : 1;
}

/* Give the device 192.0.2.1/24 and set it up. */
static int configure(const char *name, int mtu)
{
    struct ifreq ifr = {0};
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    ifr.ifr_mtu = mtu;
    int rc = ioctl(fd, SIOCSIFMTU, &ifr);
    memcpy(&ifr.ifr_addr, &sa, sizeof sa);
    rc |= ioctl(fd, SIOCSIFADDR, &ifr);
    sa.sin_addr.s_addr = htonl(0xffffff00);
    memcpy(&ifr.ifr_netmask, &sa, sizeof sa);
    rc |= ioctl(fd, SIOCSIFNETMASK, &ifr);
    ifr.ifr_flags = IFF_UP;
    rc |= ioctl(fd, SIOCSIFFLAGS, &ifr);
    close(fd);
    return rc;
}

/* The next packet for 192.0.2.2 (the kernel sends others of its own accord); false: none within a second. */
static bool receive(tern_link *l, uint8_t proto, tern_rx_packet *out)
{
    for (int tries = 0; tries < 20; tries++) {
        struct pollfd p = {.fd = l->ops->fd(l), .events = POLLIN};
        poll(&p, 1, 50);
        if (l->ops->rx(l, 0, out, 1) == 1 && out->data[0] == 0x45 && out->data[9] == proto &&
            be32(out->data + 16) == 0xc0000202)
            return true;
    }
    return false;
}

static tern_link *open_configured(bool plain, int mtu)
{
    tern_link *l;
    char err[200];
    if (tern_link_tun(&l, "tern0", plain, err, sizeof err) < 0)
        return NULL;
    if (configure("tern0", mtu) < 0) {
        tern_link_close(l);
        return NULL;
    }
    return l;
}

static int connect_begin(void)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0xc0000202)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(fd, (struct sockaddr *)&sa, sizeof sa);
    return fd;
}

/* Answer the kernel's SYN with SYN+ACK by hand, its checksum left to the link. */
static void answer_syn(const uint8_t *syn, tern_tx_packet *pkt)
{
    make_packet(pkt, false, 2 | ACK, NULL, 0);
    memcpy(pkt->hdr + 12, syn + 16, 4);
    memcpy(pkt->hdr + 16, syn + 12, 4);
    memcpy(pkt->hdr + 20, syn + 22, 2);
    memcpy(pkt->hdr + 22, syn + 20, 2);
    uint32_t ack = be32(syn + 24) + 1;
    memcpy(pkt->hdr + 28,
           (uint8_t[4]){(uint8_t)(ack >> 24), (uint8_t)(ack >> 16), (uint8_t)(ack >> 8), (uint8_t)ack}, 4);
    set_tos(pkt, 0);
    uint8_t pseudo[4] = {0, 6, 0, 20};
    uint32_t sum = plain_sum(plain_sum(0, pkt->hdr + 12, 8), pseudo, 4);
    pkt->hdr[36] = (uint8_t)(sum >> 8);
    pkt->hdr[37] = (uint8_t)sum;
}

/* Open a connection of the kernel's to our hand-made end. Returns its socket. */
static int establish(tern_link *l, tern_tx_packet *synack)
{
    tern_rx_packet syn;
    int fd = connect_begin();
    if (!receive(l, 6, &syn) || syn.data[33] != 2)
        return -1;
    answer_syn(syn.data, synack);
    if (l->ops->tx(l, 0, synack, 1) != 1)
        return -1;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 1000) == 1 && !(p.revents & POLLERR) ? fd : -1;
}

/* The kernel believes the checksum it completed, and hands over more than one segment at once. */
static int super_segments_in(void)
{
    static uint8_t payload[8000];
    tern_link *l = open_configured(false, 1500);
    tern_tx_packet pkt;
    tern_rx_packet got;
    if (!l)
        return CANNOT;
    if (!l->info.tx_csum || l->info.gso_max < 60000 || l->info.mtu != 1500)
        return 1;
    int fd = establish(l, &pkt);
    if (fd < 0 || send(fd, payload, sizeof payload, 0) != sizeof payload)
        return 2;
    bool large = false, vouched = true;
    for (int i = 0; i < 5 && !large && receive(l, 6, &got); i++) {
        large = got.len > 1500 && got.gso_size > 500 && got.gso_size < 1460;
        vouched = vouched && (got.len == 40 || (got.flags & TERN_RX_CSUM_OK) != 0);
    }
    tern_link_close(l);
    return large && vouched ? 0 : 3;
}

/* What we hand over in one piece arrives in the kernel's socket whole. */
static int super_segments_out(void)
{
    static uint8_t payload[20000], got[20000];
    tern_link *l = open_configured(false, 1500);
    tern_tx_packet pkt;
    size_t n = 0;
    if (!l)
        return CANNOT;
    int fd = establish(l, &pkt);
    if (fd < 0)
        return 1;
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 31 >> 3);
    pkt.hdr[33] = ACK | PSH;
    uint32_t total = 40 + sizeof payload, seq = be32(pkt.hdr + 24) + 1;
    memcpy(pkt.hdr + 24,
           (uint8_t[4]){(uint8_t)(seq >> 24), (uint8_t)(seq >> 16), (uint8_t)(seq >> 8), (uint8_t)seq}, 4);
    pkt.hdr[2] = (uint8_t)(total >> 8);
    pkt.hdr[3] = (uint8_t)total;
    set_tos(&pkt, 0);
    uint8_t pseudo[4] = {0, 6, (uint8_t)((total - 20) >> 8), (uint8_t)(total - 20)};
    uint32_t sum = plain_sum(plain_sum(0, pkt.hdr + 12, 8), pseudo, 4);
    pkt.hdr[36] = (uint8_t)(sum >> 8);
    pkt.hdr[37] = (uint8_t)sum;
    pkt.gso_size = 500;
    pkt.len = total;
    pkt.n_slices = 3;
    pkt.slices[0] = (tern_slice){payload, 4097};
    pkt.slices[1] = (tern_slice){payload + 4097, 10000};
    pkt.slices[2] = (tern_slice){payload + 14097, sizeof payload - 14097};
    if (l->ops->tx(l, 0, &pkt, 1) != 1)
        return 2;
    for (ssize_t r; n < sizeof got; n += (size_t)r) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 1000) != 1 || (r = recv(fd, got + n, sizeof got - n, 0)) <= 0)
            return 3;
    }
    tern_link_close(l);
    return memcmp(got, payload, sizeof got) == 0 ? 0 : 4;
}

/* Without the extra header: single packets, complete checksums. */
static int plain_packets(void)
{
    uint8_t payload[400] = "x";
    tern_link *l = open_configured(true, 576);
    tern_rx_packet got;
    tern_tx_packet pkt;
    if (!l)
        return CANNOT;
    if (l->info.tx_csum || l->info.gso_max != 0)
        return 1;
    int fd = connect_begin();
    if (!receive(l, 6, &got) || (got.flags & TERN_RX_CSUM_OK) != 0 || got.len > 576 ||
        plain_tcp_sum(got.data, got.len) != 0xffff)
        return 2;
    make_whole_packet(&pkt, false, payload, sizeof payload);
    int sent = l->ops->tx(l, 0, &pkt, 1);
    close(fd);
    tern_link_close(l);
    return sent == 1 ? 0 : 3;
}

enum { DATAGRAM = 40000, DATAGRAMS = 30000 };

/* Many small ones, so that several share a page, and now and then a large one, which has pages for itself. */
static uint32_t datagram_len(uint32_t number)
{
    return number % 50 == 7 ? DATAGRAM : 1400 - number % 3 * 400;
}

static int send_datagram(int fd, uint32_t number)
{
    uint32_t words[DATAGRAM / 4], len = datagram_len(number);
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xc0000202)};
    for (size_t i = 0; i < DATAGRAM / 4; i++)
        words[i] = number;
    return sendto(fd, words, len, 0, (struct sockaddr *)&sa, sizeof sa) == (ssize_t)len ? 0 : 1;
}

/* Whether a packet is the datagram of this number, all of it. */
static bool is_datagram(const tern_rx_packet *p, uint32_t number)
{
    uint32_t word;
    if (p->len != 28 + datagram_len(number))
        return false;
    for (uint32_t i = 28; i < p->len; i += 4) {
        memcpy(&word, p->data + i, 4);
        if (word != number)
            return false;
    }
    return true;
}

/* Every packet is kept until the link has no lendable memory left; none changes meanwhile, and what must be
 * copied still comes. Given back, all of the memory serves again. */
static int kept_packets_stay(void)
{
    static tern_rx_packet kept[DATAGRAMS];
    tern_link *l = open_configured(false, 60000);
    tern_rx_packet got;
    uint32_t n = 0;
    if (!l)
        return CANNOT;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (bool lendable = true; lendable && n < DATAGRAMS; n += lendable) {
        if (send_datagram(fd, n) != 0 || !receive(l, 17, &got) || !is_datagram(&got, n))
            return 1;
        lendable = got.flags & TERN_RX_LENDABLE;
        got.kept = lendable;
        kept[n] = got;
        l->ops->seen(l, &got, 1);
    }
    if (n == DATAGRAMS || n < 1000 || l->ops->wants(l) == 0)
        return 2;
    for (uint32_t i = 0; i < n; i++)
        if (!is_datagram(&kept[i], i))
            return 3;
    for (uint32_t i = 0; i < n; i += 3) /* in between there is room again, and the others stay */
        l->ops->free_again(l, &kept[i].buffer, 1);
    for (uint32_t i = 0; i < 200; i++)
        if (send_datagram(fd, i) != 0 || !receive(l, 17, &got) || !is_datagram(&got, i))
            return 6;
    for (uint32_t i = 0; i < n; i++)
        if (i % 3 != 0 && !is_datagram(&kept[i], i))
            return 7;
    for (uint32_t i = 0; i < n; i++)
        if (i % 3 != 0)
            l->ops->free_again(l, &kept[i].buffer, 1);
    if (l->ops->wants(l) != 0 || send_datagram(fd, n) != 0 || !receive(l, 17, &got))
        return 4;
    bool lowest = got.data < (const uint8_t *)l->memory + 64;
    tern_link_close(l);
    return lowest && (got.flags & TERN_RX_LENDABLE) ? 0 : 5;
}

enum { QUEUES = 3 };

/* The queue by which the next packet of this protocol comes, -1: none within a second. */
static int arrives(tern_link **l, uint8_t version, uint8_t proto, tern_rx_packet *out)
{
    for (int tries = 0; tries < 1000; tries++) {
        for (int i = 0; i < QUEUES; i++)
            if (l[i]->ops->rx(l[i], 0, out, 1) == 1 && out->data[0] >> 4 == version &&
                out->data[version == 4 ? 9 : 6] == proto)
                return i;
        poll(NULL, 0, 1);
    }
    return -1;
}

/* Datagrams between many pairs of ports: each comes by the queue that was foretold, and all queues are used.
 */
static int foretold(tern_link **l, bool v6)
{
    struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000202)};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_addr = {{{0x20, 1, 0x0d, 0xb8, [15] = 2}}}};
    int count[QUEUES] = {0};
    tern_rx_packet got;
    for (int i = 0; i < 300; i++) {
        int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
        to4.sin_port = to6.sin6_port = htons((uint16_t)(80 + i % 5));
        if (sendto(fd, "x", 1, 0, v6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4,
                   v6 ? sizeof to6 : sizeof to4) != 1)
            return 10;
        close(fd);
        int queue = arrives(l, v6 ? 6 : 4, 17, &got);
        const uint8_t *ports = got.data + (v6 ? 40 : 20);
        if (queue < 0 || queue != tern_link_queue_of(l[0], (uint16_t)be16(ports + 2), (uint16_t)be16(ports)))
            return 11;
        count[queue]++;
    }
    for (int i = 0; i < QUEUES; i++)
        if (count[i] < 50)
            return 12;
    return 0;
}

/* A datagram to a port where nobody is: the kernel's ICMP error comes by the queue of the ports in it. */
static int error_foretold(tern_link **l)
{
    tern_rx_packet got;
    for (uint16_t port = 1; port < 40; port++) {
        tern_tx_packet pkt;
        make_packet(&pkt, false, 0, NULL, 0);
        pkt.flags = 0;
        pkt.hdr[9] = 17;
        pkt.hdr[2] = 0;
        pkt.hdr[3] = 28;
        memcpy(pkt.hdr + 12, (uint8_t[8]){192, 0, 2, 2, 192, 0, 2, 1}, 8);
        memcpy(pkt.hdr + 20, (uint8_t[8]){0x99, 0x99, 0, (uint8_t)port, 0, 8, 0, 0}, 8);
        pkt.hdr_len = 28;
        pkt.len = 28;
        set_tos(&pkt, 0);
        if (l[0]->ops->tx(l[0], 0, &pkt, 1) != 1)
            return 20;
        int queue = arrives(l, 4, 1, &got);
        if (queue < 0 && port > 5)
            return 0; /* the kernel sends so many of them only */
        if (queue < 0 || got.data[20] != 3 || queue != tern_link_queue_of(l[0], 0x9999, port))
            return 21;
    }
    return 0;
}

static int queues(void)
{
    tern_link *l[QUEUES];
    char err[200];
    if (tern_link_tun_queues(l, QUEUES, "tern0", false, err, sizeof err) < 0)
        return CANNOT;
    if (configure("tern0", 1500) < 0 || tern_link_queue_of(l[0], 1, 2) < 0)
        return CANNOT; /* no permission for BPF: the kernel chooses */
    int rc = foretold(l, false);
    if (rc == 0)
        rc = error_foretold(l);
    if (rc == 0 && system("ip addr add 2001:db8::1/64 dev tern0 nodad 2>/dev/null") == 0)
        rc = foretold(l, true);
    for (int i = 0; i < QUEUES; i++)
        tern_link_close(l[i]);
    return rc;
}

static int too_many_queues(void)
{
    tern_link *l[TERN_QUEUES];
    char err[200];
    if (tern_link_tun_queues(l, TERN_QUEUES + 1, "tern0", false, err, sizeof err) != -EINVAL ||
        tern_link_tun_queues(l, 0, "tern0", false, err, sizeof err) != -EINVAL)
        return 1;
    return says(err, "1 to 16 queues");
}

/* A device that is down swallows what is sent; one that was removed is gone. */
static int down_and_gone(void)
{
    tern_link *l;
    tern_tx_packet pkt;
    tern_rx_packet got;
    char err[200];
    if (tern_link_tun(&l, "tern0", false, err, sizeof err) < 0)
        return CANNOT;
    make_whole_packet(&pkt, false, NULL, 0);
    if (l->ops->tx(l, 0, &pkt, 1) != 0 || l->ops->rx(l, 0, &got, 1) != 0)
        return 1;
    if (system("ip link del tern0 2>/dev/null") != 0)
        return CANNOT;
    if (l->ops->rx(l, 0, &got, 1) >= 0 || l->ops->tx(l, 0, &pkt, 1) >= 0)
        return 2;
    tern_link_close(l);
    return 0;
}

/* A device that was made and set up beforehand: what the kernel answers to our first packet reaches us. */
static int made_beforehand(void)
{
    struct ifreq ifr = {.ifr_name = "tern0", .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    tern_link *l;
    char err[200];
    int maker = open("/dev/net/tun", O_RDWR);
    if (maker < 0 || ioctl(maker, TUNSETIFF, &ifr) < 0 || ioctl(maker, TUNSETPERSIST, 1) < 0 ||
        configure("tern0", 1500) < 0)
        return CANNOT;
    close(maker);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < 2; i++) {
        for (int ms = 0; ioctl(fd, SIOCGIFFLAGS, &ifr) == 0 && (ifr.ifr_flags & IFF_RUNNING); ms += 20)
            if (poll(NULL, 0, 20) != 0 || ms > 5000) /* until the kernel has noticed that nobody is there */
                return 1;
        if (tern_link_tun(&l, "tern0", false, err, sizeof err) < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
            return 2;
        if (!(ifr.ifr_flags & IFF_RUNNING))
            return 3;
        tern_link_close(l);
    }
    close(fd);
    return 0;
}

#define IN_NAMESPACE(body)               \
    static void run_##body(void **state) \
    {                                    \
        (void)state;                     \
        in_namespace(body);              \
    }
IN_NAMESPACE(busy)
IN_NAMESPACE(tap_in_the_way)
IN_NAMESPACE(nobody)
IN_NAMESPACE(super_segments_in)
IN_NAMESPACE(super_segments_out)
IN_NAMESPACE(plain_packets)
IN_NAMESPACE(kept_packets_stay)
IN_NAMESPACE(queues)
IN_NAMESPACE(too_many_queues)
IN_NAMESPACE(down_and_gone)
IN_NAMESPACE(made_beforehand)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_names),     cmocka_unit_test(run_busy),
        cmocka_unit_test(run_tap_in_the_way),    cmocka_unit_test(run_nobody),
        cmocka_unit_test(run_super_segments_in), cmocka_unit_test(run_super_segments_out),
        cmocka_unit_test(run_plain_packets),     cmocka_unit_test(run_kept_packets_stay),
        cmocka_unit_test(run_queues),            cmocka_unit_test(run_too_many_queues),
        cmocka_unit_test(run_down_and_gone),
        cmocka_unit_test(run_made_beforehand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
