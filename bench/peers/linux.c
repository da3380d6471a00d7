/* linux.c - the kernel's TCP over loopback, in a network namespace of its own, all in one thread.
 *
 *     peer-linux [W1|W1z|W2|W2c|W2t|W2m|W3|W7]... [--seconds S]
 *
 * Loopback delivers within the call that sends, so the processor time of this process is that of both ends.
 * W1 plays with an MTU of 1500 and the offloads off; W1z as loopback comes. Congestion control is CUBIC for
 * each socket. The number in TIME_WAIT is kept by tcp_max_tw_buckets. W3 counts the objects of the kernel's
 * caches that a connection takes, so what it takes of the common ones is not in it. W7 writes its SYNs to a
 * TUN device from which nobody reads the answers. */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK   "linux"
#define PORT    8080
#define MANY    1000
#define WAITING 50000
#define HELD    5000 /* idle connections of one process */
#define LESS    100000 /* of W2m: what the kernel has memory for, a tenth of what is asked */

static uint8_t in[1 << 16], out[1 << 16];

static void need(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "peer-linux: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- the namespace -------------------------------------------------------------------------------- */

static struct ifreq named(const char *name)
{
    struct ifreq r = {0};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    return r;
}

static void up(const char *name, int fd)
{
    struct ifreq r = named(name);
    need(ioctl(fd, SIOCGIFFLAGS, &r) == 0, name);
    r.ifr_flags |= IFF_UP;
    need(ioctl(fd, SIOCSIFFLAGS, &r) == 0, name);
}

/* A setting of the namespace; false where this kernel has no such setting. */
static bool set(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, value, strlen(value)) > 0;
    if (fd >= 0)
        close(fd);
    return done;
}

static void namespace_enter(void)
{
    need(unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0, "no network namespace");
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    up("lo", fd);
    close(fd);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    set("ipv4/ip_local_port_range", "1024 65535");
}

/* Loopback as a wire of segments of 1,460 bytes, or as it comes. */
static void loopback(bool segments)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    static const uint32_t offloads[] = {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO};
    for (int i = 0; i < 3; i++) {
        struct ethtool_value v = {.cmd = offloads[i], .data = !segments};
        struct ifreq r = named("lo");
        r.ifr_data = (void *)&v;
        need(ioctl(fd, SIOCETHTOOL, &r) == 0, "offloads of lo");
    }
    struct ifreq r = named("lo");
    r.ifr_mtu = segments ? 1500 : 65536;
    need(ioctl(fd, SIOCSIFMTU, &r) == 0, "MTU of lo");
    close(fd);
}

/* --- sockets -------------------------------------------------------------------------------------- */

static int tcp_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    need(fd >= 0, "socket");
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return fd;
}

static struct sockaddr_in at(uint32_t host)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(0x7f000001 + host)};
}

static int listener(void)
{
    int fd = tcp_socket();
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    need(bind(fd, (struct sockaddr *)&any, sizeof any) == 0 && listen(fd, 4096) == 0, "listen");
    return fd;
}

static int connected(uint32_t host)
{
    int fd = tcp_socket();
    struct sockaddr_in to = at(host);
    need(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
    return fd;
}

/* --- rows ----------------------------------------------------------------------------------------- */

static void bulk(const char *row, const char *what, uint32_t window, double seconds)
{
    int l = listener(), c = connected(0), s = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int size = (int)(4 * window > 1 << 20 ? 4 * window : 1 << 20);
    setsockopt(c, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    fcntl(c, F_SETFL, O_NONBLOCK);
    uint64_t got = 0, sent = 0;
    double start = cpu_seconds(), used;
    do {
        for (uint32_t k = 0; k < 50; k++) {
            while (sent - got < window) {
                uint64_t room = window - (sent - got);
                ssize_t n = send(c, in, room < sizeof in ? room : sizeof in, 0);
                if (n <= 0)
                    break;
                sent += (uint64_t)n;
            }
            for (ssize_t n; (n = recv(s, out, sizeof out, 0)) > 0;)
                got += (uint64_t)n;
        }
        used = cpu_seconds() - start;
    } while (used < seconds);
    result(row, what, STACK, "Gbit/s", (double)got * 8 / used / 1e9);
    close(c), close(s), close(l);
}

static void wires(int argc, char **argv, double seconds)
{
    static const uint32_t windows[] = {8, 64, 700};
    char what[16];
    if (row_asked(argc, argv, "W1")) {
        loopback(true);
        for (int i = 0; i < 3; i++) {
            snprintf(what, sizeof what, "%u", windows[i]);
            bulk("W1", what, windows[i] * 1460, seconds);
        }
    }
    loopback(false);
    if (row_asked(argc, argv, "W1z"))
        bulk("W1z", "", 1 << 20, seconds);
}

static void speak(int fd)
{
    need(send(fd, in, 64, MSG_NOSIGNAL) == 64, "send");
}

static void hear(int fd, ssize_t bytes)
{
    need(recv(fd, out, sizeof out, 0) == bytes, "recv");
}

/* `n` lives, phase by phase; the clients close first. */
static void lives(int l, uint32_t n, uint32_t host)
{
    static int c[MANY], s[MANY];
    for (uint32_t k = 0; k < n; k++)
        c[k] = connected(host);
    for (uint32_t k = 0; k < n; k++)
        speak(c[k]);
    for (uint32_t k = 0; k < n; k++) {
        s[k] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
        need(s[k] >= 0, "accept");
        hear(s[k], 64);
        speak(s[k]);
    }
    for (uint32_t k = 0; k < n; k++)
        hear(c[k], 64), close(c[k]);
    for (uint32_t k = 0; k < n; k++)
        hear(s[k], 0), close(s[k]);
}

/* Connections that do nothing, in processes of their own, since one may have few descriptors only. */
static void idle_connections(int l, uint32_t n)
{
    for (uint32_t done = 0; done < n; done += HELD) {
        int ready[2];
        char word;
        need(pipe(ready) == 0, "pipe");
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (uint32_t k = 0; k < HELD; k++) {
                connected(4 + done / HELD); /* ports of its own */
                need(accept4(l, NULL, NULL, SOCK_CLOEXEC) >= 0, "accept");
            }
            need(write(ready[1], "r", 1) == 1, "pipe");
            pause();
        }
        close(ready[1]);
        need(pid > 0 && read(ready[0], &word, 1) == 1, "idle connections");
        close(ready[0]);
    }
}

/* Lives with at most `waiting` in TIME_WAIT, and as many there when the measured time begins. */
static void lives_row(const char *row, const char *stack, uint32_t together, uint32_t waiting, double seconds)
{
    char text[16];
    int l = listener();
    uint64_t n = 0;
    snprintf(text, sizeof text, "%u", waiting);
    need(set("ipv4/tcp_max_tw_buckets", text), "tcp_max_tw_buckets");
    if (strcmp(row, "W2m") == 0)
        idle_connections(l, LESS);
    for (uint32_t k = 0; k < waiting + together; k += together)
        lives(l, together, k / together % 4);
    double start = cpu_seconds(), used;
    do {
        for (uint32_t k = 0; k < 100; k += together, n += together)
            lives(l, together, (uint32_t)(n / together % 4));
        used = cpu_seconds() - start;
    } while (used < seconds);
    result(row, "", stack, "lives/cpu-s", (double)n / used);
    close(l);
}

/* --- SYNs ----------------------------------------------------------------------------------------- */

static uint32_t sum_of(const uint8_t *p, uint32_t len, uint32_t sum)
{
    for (uint32_t k = 0; k < len; k += 2)
        sum += (uint32_t)p[k] << 8 | p[k + 1];
    return sum;
}

static void put16(uint8_t *p, uint32_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    p[0] = (uint8_t)(~sum >> 8), p[1] = (uint8_t)~sum;
}

/* The n-th SYN, from an address of its own in 198.18.0.0/15. Returns its length. */
static uint32_t syn(uint8_t *p, uint32_t n)
{
    static const uint8_t like[] = {0x45, 0, 0, 44,  0, 1, 0, 0, 64,   6,    0,    0,    198, 18, 0,    0,
                                   192,  0, 2, 1,   0, 0, PORT >> 8, PORT & 0xff, 0, 0, 0,   0,  0,    0,
                                   0,    0, 0x60, 2, 0xff, 0xff, 0, 0, 0,   0,    2,    4,    5,   0xb4};
    memcpy(p, like, sizeof like);
    p[13] = (uint8_t)(18 + (n >> 16 & 1)), p[14] = (uint8_t)(n >> 8), p[15] = (uint8_t)n;
    uint32_t port = 1024 + (n >> 17);
    p[20] = (uint8_t)(port >> 8), p[21] = (uint8_t)port;
    memcpy(p + 24, &n, 4);
    put16(p + 10, sum_of(p, 20, 0));
    put16(p + 36, sum_of(p + 12, 32, 6 + 24));
    return sizeof like;
}

static int tun(void)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), any = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq r = named("peer0");
    r.ifr_flags = IFF_TUN | IFF_NO_PI;
    need(fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0, "TUN");
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
    memcpy(&r.ifr_addr, &here, sizeof here);
    need(ioctl(any, SIOCSIFADDR, &r) == 0, "address");
    up("peer0", any);
    struct rtentry all = {.rt_flags = RTF_UP, .rt_dev = (char[]){"peer0"}};
    all.rt_dst.sa_family = all.rt_genmask.sa_family = AF_INET;
    need(ioctl(any, SIOCADDRT, &all) == 0, "route");
    close(any);
    return fd;
}

static void flood(double seconds)
{
    int fd = tun(), l = listener();
    uint8_t p[64];
    uint32_t n = 0;
    double start = cpu_seconds(), used;
    do {
        for (uint32_t k = 0; k < 1000; k++, n++)
            need(write(fd, p, syn(p, n)) > 0, "write to TUN");
        used = cpu_seconds() - start;
    } while (used < seconds);
    result("W7", "", STACK, "SYN/cpu-s", n / used);
    close(fd), close(l);
}

/* --- memory --------------------------------------------------------------------------------------- */

/* Bytes of the caches that belong to TCP's connections and their sockets. */
static double cache_bytes(void)
{
    static const char *const names[] = {"TCP",         "sock_inode_cache", "filp",           "tw_sock_TCP",
                                        "request_sock_TCP", "tcp_bind_bucket", "tcp_bind2_bucket"};
    char line[512], name[64];
    double bytes = 0, objects, size;
    FILE *f = fopen("/proc/slabinfo", "re");
    need(f != NULL, "/proc/slabinfo");
    while (fgets(line, sizeof line, f) != NULL)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (sscanf(line, "%63s %lf %*f %lf", name, &objects, &size) == 3 && strcmp(name, names[i]) == 0)
                bytes += objects * size;
    fclose(f);
    return bytes;
}

static void sizes(void)
{
    enum { N = 5000, DENTRY = 192 }; /* each socket has an entry of the directory cache, too */
    static int c[N], s[N];
    int l = listener();
    need(set("ipv4/tcp_max_tw_buckets", "100000"), "tcp_max_tw_buckets");
    double before = cache_bytes();
    for (uint32_t k = 0; k < N; k++) {
        c[k] = connected(0);
        s[k] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
        need(s[k] >= 0, "accept");
    }
    result("W3", "established", STACK, "bytes", (cache_bytes() - before) / (2 * N) + DENTRY);
    for (uint32_t k = 0; k < N; k++) {
        close(c[k]);
        close(s[k]);
    }
    usleep(200000); /* what was freed is given back after a while */
    result("W3", "time-wait", STACK, "bytes", (cache_bytes() - before) / N);
    set("ipv4/tcp_syncookies", "0");
    set("ipv4/tcp_max_syn_backlog", "100000");
    int fd = tun();
    uint8_t p[64];
    before = cache_bytes();
    for (uint32_t k = 0; k < 3000; k++)
        need(write(fd, p, syn(p, k)) > 0, "write to TUN");
    result("W3", "half-open", STACK, "bytes", (cache_bytes() - before) / 3000);
}

int main(int argc, char **argv)
{
    double seconds = argument(argc, argv, "--seconds", 1);
    namespace_enter();
    if (row_asked(argc, argv, "W1") || row_asked(argc, argv, "W1z"))
        wires(argc, argv, seconds);
    if (row_asked(argc, argv, "W2"))
        lives_row("W2", STACK, 1, 1000, seconds);
    if (row_asked(argc, argv, "W2c"))
        lives_row("W2c", STACK, MANY, 1000, seconds);
    if (row_asked(argc, argv, "W2t"))
        lives_row("W2t", STACK, 1, WAITING, seconds);
    if (row_asked(argc, argv, "W2m"))
        lives_row("W2m", STACK "-100k", MANY, LESS, seconds);
    if (row_asked(argc, argv, "W7"))
        flood(seconds);
    if (row_asked(argc, argv, "W3"))
        sizes();
    return 0;
}
