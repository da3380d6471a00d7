/* tun_world.c - a namespace and a device for the benchmarks over TUN, and the kernel's side of it. */
#include "tun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void cannot(const char *what)
{
    fprintf(stderr, "bench-tun: %s: %s; root, or a user namespace, and /dev/net/tun are needed\n", what,
            strerror(errno));
    exit(2);
}

static void to_core(int core)
{
    cpu_set_t set;
    if (core == -2)
        return;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        cannot("processors");
    for (int i = 0; core < 0 && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(CPU_SETSIZE - 1 - i, &set))
            core = CPU_SETSIZE - 1 - i;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        cannot("that processor");
}

static void flags_up(const char *name)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
    if (ioctl(fd, SIOCGIFFLAGS, &ifr) != 0)
        cannot(name);
    ifr.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &ifr) != 0)
        cannot(name);
    close(fd);
}

void world_enter(int core)
{
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        cannot("no network namespace");
    flags_up("lo");
    to_core(core);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int world_tun(const char *name, bool several)
{
    struct ifreq ifr = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (several)
        ifr.ifr_flags |= IFF_MULTI_QUEUE;
    snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) != 0 ||
        ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_TSO4)) != 0)
        cannot("/dev/net/tun");
    return fd;
}

static void set_addr(int fd, const char *name, unsigned long what, const char *text)
{
    struct ifreq ifr = {0};
    struct sockaddr_in a = {.sin_family = AF_INET};
    inet_pton(AF_INET, text, &a.sin_addr);
    snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
    memcpy(&ifr.ifr_addr, &a, sizeof a);
    if (ioctl(fd, what, &ifr) != 0)
        cannot(name);
}

void world_up(const char *name)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    set_addr(fd, name, SIOCSIFADDR, "192.0.2.2");
    set_addr(fd, name, SIOCSIFNETMASK, "255.255.255.0");
    close(fd);
    flags_up(name);
}

const char *web_answer(bool closes, uint32_t *len)
{
    static char text[2][512];
    int n = snprintf(text[closes], sizeof text[closes], "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n",
                     TUN_BODY, closes ? "Connection: close\r\n" : "");
    memset(text[closes] + n, 'x', TUN_BODY);
    *len = (uint32_t)n + TUN_BODY;
    return text[closes];
}

/* --- the kernel's processes ------------------------------------------------------------------- */

static _Noreturn void exchange(bool send_it)
{
    static char block[256 << 10];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        _exit(1);
    while ((send_it ? send(fd, block, sizeof block, MSG_NOSIGNAL) : recv(fd, block, sizeof block, 0)) > 0)
        continue;
    _exit(0);
}

static _Noreturn void wrk(bool close_each)
{
    int null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    execlp("wrk", "wrk", "-t1", "-c64", "-d600s", "http://192.0.2.1/", close_each ? "-H" : NULL,
           "Connection: close", NULL);
    fprintf(stderr, "bench-tun: wrk is not there; apt-get install wrk\n");
    _exit(2);
}

pid_t world_peer(enum peer what)
{
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    if (what == PEER_SENDS || what == PEER_RECEIVES)
        exchange(what == PEER_SENDS);
    wrk(what == PEER_WRK_CLOSE);
}

void world_end_peer(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static double seconds_of(clockid_t clock)
{
    struct timespec ts = {0};
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double world_cpu(pid_t other)
{
    clockid_t clock;
    double mine = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    return clock_getcpuclockid(other, &clock) == 0 ? mine + seconds_of(clock) : mine;
}

double world_clock(void) { return seconds_of(CLOCK_MONOTONIC); }
