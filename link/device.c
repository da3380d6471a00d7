/* device.c - see device.h. */
#include "device.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int problem(struct problem *pr, int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (pr->text != NULL && pr->len > 0)
        vsnprintf(pr->text, pr->len, fmt, ap);
    va_end(ap);
    return -err;
}

static int ask(int fd, const char *name, unsigned long what, struct ifreq *out)
{
    *out = (struct ifreq){0};
    memcpy(out->ifr_name, name, strlen(name) + 1);
    return ioctl(fd, what, out) == 0 ? 0 : -errno;
}

static int open_any(void) { return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); }

bool device_exists(const char *name)
{
    struct ifreq ifr;
    int fd = open_any();
    bool there = fd < 0 || ask(fd, name, SIOCGIFINDEX, &ifr) == 0;
    if (fd >= 0)
        close(fd);
    return there;
}

/* Directories rx-0, rx-1, ... of the device. */
static uint32_t queues_of(const char *name)
{
    char path[80];
    uint32_t n = 0;
    snprintf(path, sizeof path, "/sys/class/net/%s/queues", name);
    DIR *d = opendir(path);
    if (d == NULL)
        return 1;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += strncmp(e->d_name, "rx-", 3) == 0;
    closedir(d);
    return n > 0 ? n : 1;
}

static int read_device(int fd, const char *name, struct device *out, struct problem *pr)
{
    struct ifreq ifr;
    if (ask(fd, name, SIOCGIFINDEX, &ifr) < 0)
        return problem(pr, ENODEV, "there is no network device %s here: `ip link` lists those that there are",
                       name);
    *out = (struct device){.index = ifr.ifr_ifindex, .queues = queues_of(name)};
    if (ask(fd, name, SIOCGIFHWADDR, &ifr) < 0 || ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        return problem(pr, EINVAL, "%s is no Ethernet device: choose another one (for a TUN device: --tun)",
                       name);
    memcpy(out->info.hw, ifr.ifr_hwaddr.sa_data, sizeof out->info.hw);
    out->info.ethernet = true;
    int rc = ask(fd, name, SIOCGIFMTU, &ifr);
    if (rc < 0)
        return problem(pr, -rc, "cannot read the MTU of %s: %s", name, strerror(-rc));
    out->info.mtu = ifr.ifr_mtu > 65535 ? 65535 : (uint32_t)ifr.ifr_mtu;
    if (ask(fd, name, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_UP))
        return problem(pr, ENETDOWN, "%s is down: `ip link set %s up`", name, name);
    return 0;
}

int device_find(const char *name, struct device *out, struct problem *pr)
{
    size_t n = name != NULL ? strlen(name) : 0;
    if (n == 0 || n >= IFNAMSIZ)
        return problem(pr, EINVAL, "\"%s\" cannot be the name of a network device: 1 to 15 characters",
                       name != NULL ? name : "");
    int fd = open_any();
    if (fd < 0)
        return problem(pr, errno, "no descriptors left: raise the limit (ulimit -n)");
    int rc = read_device(fd, name, out, pr);
    close(fd);
    return rc;
}
