/* device.c - a network namespace with one TUN device: what the kernel sends into it is what the script looks
 * at. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"

enum { SETTLE_US = 60000 }; /* a device that has just come up loses its first packets */

static void die(const char *what)
{
    fprintf(stderr, "linux-play: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void run_command(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run_command(const char *format, ...)
{
    char command[300];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    if (system(command) != 0)
        die(command);
}

/* --- settings -------------------------------------------------------------------------------- */

static void set_sysctl(const char *name, const char *value)
{
    char path[200];
    snprintf(path, sizeof path, "/proc/sys/net/%s", name);
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        die(path);
    close(fd);
}

/* What a field of tern_config is in Linux. Those that are not here have no counterpart. */
static const struct {
    const char *option, *sysctl, *value;
} settings[] = {
    {"ecn=on", "ipv4/tcp_ecn", "1"},
    {"ecn=passive", "ipv4/tcp_ecn", "2"},
    {"ecn=off", "ipv4/tcp_ecn", "0"},
    {"no_timestamps=1", "ipv4/tcp_timestamps", "0"},
    {"no_wscale=1", "ipv4/tcp_window_scaling", "0"},
    {"no_sack=1", "ipv4/tcp_sack", "0"},
};

static void apply_option(struct run *r, const struct script_option *o)
{
    if (strcmp(o->name, "tern") != 0)
        return;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (strcmp(settings[i].option, o->value) == 0) {
            set_sysctl(settings[i].sysctl, settings[i].value);
            return;
        }
    run_skip(r, "needs a setting that Linux has not: %s", o->value);
}

/* --- the device ------------------------------------------------------------------------------ */

static int open_tun(void)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    strcpy(request.ifr_name, "tun0");
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
        die("/dev/net/tun");
    return fd;
}

static void configure(const struct run *r)
{
    char text[64];
    bool v4 = tern_ip_is4(&r->set.local);
    inet_ntop(v4 ? AF_INET : AF_INET6, r->set.local.b + (v4 ? 12 : 0), text, sizeof text);
    set_sysctl("ipv6/conf/tun0/accept_dad", "0");
    set_sysctl("ipv6/conf/tun0/addr_gen_mode", "1"); /* no address of its own, nothing to say */
    set_sysctl("ipv4/conf/all/rp_filter", "0");
    set_sysctl("ipv4/tcp_congestion_control", "reno");
    set_sysctl("ipv4/tcp_no_metrics_save", "1");
    run_command("ip link set lo up && ip link set tun0 up mtu %u", r->set.mtu);
    run_command("ip -%d addr add %s/%d dev tun0", v4 ? 4 : 6, text, v4 ? 16 : 48);
    run_command("ip -%d route add default dev tun0", v4 ? 4 : 6);
}

static uint64_t real_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t device_now(const struct kernel *k)
{
    return real_clock() - k->clock_zero;
}

static void drain(int fd)
{
    uint8_t bytes[PACKET_MAX];
    while (read(fd, bytes, sizeof bytes) > 0)
        continue;
}

void device_open(struct run *r, struct kernel *k)
{
    if (unshare(CLONE_NEWNET) < 0)
        die("a network namespace of its own");
    k->tun = open_tun();
    configure(r);
    for (const struct script_option *o = r->s->options; o != NULL; o = o->next)
        apply_option(r, o);
    usleep(SETTLE_US);
    drain(k->tun);
    k->clock_zero = real_clock() - r->zero;
}

/* --- packets --------------------------------------------------------------------------------- */

/* Routers are asked for and groups are joined, too: only TCP is looked at. */
static bool is_tcp(const uint8_t *bytes, ssize_t len)
{
    return len >= 40 && ((bytes[0] >> 4 == 4 && bytes[9] == IPPROTO_TCP) ||
                         (bytes[0] >> 4 == 6 && bytes[6] == IPPROTO_TCP));
}

static bool take_one(struct run *r, struct kernel *k)
{
    uint8_t bytes[PACKET_MAX];
    ssize_t len = read(k->tun, bytes, sizeof bytes);
    if (len <= 0)
        return false;
    r->now = device_now(k);
    if (is_tcp(bytes, len))
        run_keep(r, bytes, (uint32_t)len);
    return true;
}

void device_wait(struct run *r, struct kernel *k, uint64_t until_us, bool stop)
{
    size_t before = r->n_sent;
    for (;;) {
        while (take_one(r, k))
            continue;
        run_try_blocked(r);
        r->now = device_now(k);
        if ((stop && r->n_sent > before) || (r->blocked != NULL && r->blocked_done && stop))
            return;
        if (r->now >= until_us)
            return;
        uint64_t left = until_us - r->now;
        struct pollfd p = {.fd = k->tun, .events = POLLIN};
        uint64_t slice = r->blocked != NULL ? 2000 : left; /* a call that blocks is asked again */
        struct timespec t = {.tv_sec = (time_t)(slice / 1000000), .tv_nsec = (long)(slice % 1000000) * 1000};
        if (slice > left)
            t = (struct timespec){.tv_nsec = (long)(left % 1000000) * 1000};
        ppoll(&p, 1, &t, NULL);
    }
}
