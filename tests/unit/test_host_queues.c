/* Two hosts with a queue each of one TUN device, and the kernel at the other end: connections that a host
 * opens come back to it, and stay its own after a silence. In a process and a namespace of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tern/host.h>
#include <unistd.h>

enum { CANNOT = 77, QUEUES = 2, EACH = 20 };

static int configure(const char *name)
{
    struct ifreq ifr = {0};
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    memcpy(&ifr.ifr_addr, &sa, sizeof sa);
    int rc = ioctl(fd, SIOCSIFADDR, &ifr);
    sa.sin_addr.s_addr = htonl(0xffffff00);
    memcpy(&ifr.ifr_netmask, &sa, sizeof sa);
    rc |= ioctl(fd, SIOCSIFNETMASK, &ifr);
    ifr.ifr_flags = IFF_UP;
    rc |= ioctl(fd, SIOCSIFFLAGS, &ifr);
    close(fd);
    return rc;
}

static tern_host *host_on(tern_link *queue)
{
    char err[200];
    tern_host *h;
    tern_ip ip = tern_ip4(192, 0, 2, 2);
    if (tern_host_create(&h, &(tern_host_config){0}, err, sizeof err) < 0)
        return NULL;
    return tern_addr_add(tern_host_stack(h), tern_host_attach(h, queue), &ip, 24) == 0 ? h : NULL;
}

static int listen_here(struct sockaddr_in *at)
{
    socklen_t len = sizeof *at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    *at = (struct sockaddr_in){.sin_family = AF_INET};
    if (bind(fd, (struct sockaddr *)at, sizeof *at) < 0 || listen(fd, 100) < 0 ||
        getsockname(fd, (struct sockaddr *)at, &len) < 0)
        return -1;
    return fd;
}

static void turn_all(tern_host **hosts)
{
    for (int q = 0; q < QUEUES; q++)
        tern_host_turn(hosts[q]);
    poll(NULL, 0, 1);
}

/* The kernel's ends say a byte each, and every stack hears its own. */
static int speak(tern_host **hosts, tern_handle conns[QUEUES][EACH], const int *kernel)
{
    int heard = 0;
    char byte[2];
    for (int i = 0; i < QUEUES * EACH; i++)
        if (send(kernel[i], "x", 1, 0) != 1)
            return 1;
    for (int tries = 0; heard < QUEUES * EACH && tries < 5000; tries++) {
        turn_all(hosts);
        for (int q = 0; q < QUEUES; q++)
            for (int i = 0; i < EACH; i++) {
                long n = tern_recv(tern_host_stack(hosts[q]), conns[q][i], byte, sizeof byte);
                if (n != 1 && n != -TERN_EAGAIN)
                    return 2;
                heard += n == 1;
            }
    }
    return heard == QUEUES * EACH ? 0 : 3;
}

static int connect_all(tern_host **hosts, const struct sockaddr_in *at, tern_handle conns[QUEUES][EACH])
{
    tern_endpoint to = {.ip = tern_ip4(192, 0, 2, 1), .port = ntohs(at->sin_port)};
    for (int q = 0; q < QUEUES; q++)
        for (int i = 0; i < EACH; i++)
            if (tern_host_connect(hosts[q], q, &to, &conns[q][i]) != 0)
                return 1;
    return 0;
}

/* The kernel's ends, once all are open. */
static int accept_all(tern_host **hosts, int listener, int *kernel)
{
    int n = 0;
    for (int tries = 0; n < QUEUES * EACH && tries < 5000; tries++) {
        turn_all(hosts);
        while (n < QUEUES * EACH && (kernel[n] = accept(listener, NULL, NULL)) >= 0)
            n++;
    }
    return n == QUEUES * EACH ? 0 : 1;
}

static int opened_connections(void)
{
    tern_link *links[QUEUES];
    tern_host *hosts[QUEUES];
    tern_handle conns[QUEUES][EACH];
    struct sockaddr_in at;
    char err[200];
    int kernel[QUEUES * EACH];
    if (tern_link_tun_queues(links, QUEUES, "tern0", false, err, sizeof err) < 0 || configure("tern0") < 0 ||
        tern_link_queue_of(links[0], 1, 2) < 0)
        return CANNOT;
    for (int q = 0; q < QUEUES; q++)
        if ((hosts[q] = host_on(links[q])) == NULL)
            return 10;
    int listener = listen_here(&at);
    if (listener < 0 || connect_all(hosts, &at, conns) != 0)
        return 20;
    if (accept_all(hosts, listener, kernel) != 0)
        return 30;
    int rc = speak(hosts, conns, kernel);
    if (rc == 0) {
        poll(NULL, 0, 3500); /* the kernel has forgotten by which queue it was spoken to */
        rc = speak(hosts, conns, kernel);
    }
    for (int q = 0; q < QUEUES; q++)
        tern_host_destroy(hosts[q]);
    return rc;
}

static void connections_stay_with_their_host(void **state)
{
    int status;
    (void)state;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        bool made = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
        int rc = made && access("/dev/net/tun", F_OK) == 0 ? opened_connections() : CANNOT;
        fflush(NULL);
        _exit(rc);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Without queues that can be told apart it is tern_connect. */
static void one_link(void **state)
{
    tern_host *h;
    tern_handle conn;
    char err[200];
    tern_ip ip = tern_ip4(192, 0, 2, 2);
    tern_endpoint to = {.ip = tern_ip4(192, 0, 2, 1), .port = 80};
    tern_link *a, *b;
    (void)state;
    assert_int_equal(tern_host_create(&h, &(tern_host_config){0}, err, sizeof err), 0);
    assert_int_equal(tern_host_connect(h, 0, &to, &conn), -TERN_ENETUNREACH);
    assert_int_equal(tern_link_pair(&a, &b, &(tern_link_info){.mtu = 1500}, 10), 0);
    assert_int_equal(tern_link_queue_of(a, 1, 2), -1);
    assert_int_equal(tern_addr_add(tern_host_stack(h), tern_host_attach(h, a), &ip, 24), 0);
    assert_int_equal(tern_host_connect(h, 0, &to, &conn), 0);
    assert_int_equal(tern_abort(tern_host_stack(h), conn), 0);
    tern_host_destroy(h);
    tern_link_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_stay_with_their_host),
        cmocka_unit_test(one_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
