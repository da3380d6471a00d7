/* steer.c - several queues of one TUN device: the kernel chooses by a rule that we can reckon with.
 *
 * Its own rule is a hash with a secret key, and after it the queue by which the flow was last spoken to,
 * which it forgets after 3 s of silence. That is enough for connections that come in, whose first packet is
 * sent by the hash already, and not for those that this side opens: after a silence their packets would come
 * to another stack. So it is given another rule, a program of BPF (TUNSETSTEERINGEBPF):
 *
 *     queue = (((a xor b) * 0x9e3779b1) >> 16) mod n        a, b: the two ports, in whichever direction
 *
 * which never changes, and by which a port can be chosen so that the answers come by the right queue. The
 * multiplication is there because ports are given out in steps of two. An ICMP error goes by the ports of the
 * segment that it is about. What has no ports goes by whatever stands there; all queues are as good.
 */
#include "steer.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPREAD 0x9e3779b1u

enum { R0, R1, R6 = 6, R7, R8 };                 /* registers; 6 holds what LD reads from */
enum { ICMP = 1, TCP = 6, ICMP6 = 58, IP6 = 40 }; /* protocols, and the length of a header */

uint32_t steer_queue(uint16_t a, uint16_t b, uint32_t n)
{
    return ((uint32_t)(a ^ b) * SPREAD >> 16) % n;
}

/* A load behind the end of the packet ends the program with 0. */
static const struct bpf_insn program[] = {
    {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = R6, .src_reg = R1},
    {.code = BPF_LD | BPF_ABS | BPF_B, .imm = 0},
    {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = R7, .src_reg = R0},
    {.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = R0, .imm = 4},
    {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = R0, .imm = 6, .off = 9}, /* to IPv6 */
    /* IPv4: R7 = length of the header */
    {.code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = R7, .imm = 15},
    {.code = BPF_ALU64 | BPF_LSH | BPF_K, .dst_reg = R7, .imm = 2},
    {.code = BPF_LD | BPF_ABS | BPF_B, .imm = 9},
    {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = R0, .imm = ICMP, .off = 10}, /* to the ports */
    {.code = BPF_LD | BPF_IND | BPF_B, .src_reg = R7, .imm = 8}, /* of the IP header inside */
    {.code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = R0, .imm = 15},
    {.code = BPF_ALU64 | BPF_LSH | BPF_K, .dst_reg = R0, .imm = 2},
    {.code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = R7, .src_reg = R0},
    {.code = BPF_JMP | BPF_JA, .off = 4}, /* to 8 more */
    /* IPv6 */
    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = R7, .imm = IP6},
    {.code = BPF_LD | BPF_ABS | BPF_B, .imm = 6},
    {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = R0, .imm = ICMP6, .off = 2}, /* to the ports */
    {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = R7, .imm = IP6},
    {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = R7, .imm = 8}, /* 8 more: the head of ICMP */
    /* the ports at R7 */
    {.code = BPF_LD | BPF_IND | BPF_H, .src_reg = R7, .imm = 0},
    {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = R8, .src_reg = R0},
    {.code = BPF_LD | BPF_IND | BPF_H, .src_reg = R7, .imm = 2},
    {.code = BPF_ALU64 | BPF_XOR | BPF_X, .dst_reg = R0, .src_reg = R8},
    {.code = BPF_ALU | BPF_MUL | BPF_K, .dst_reg = R0, .imm = (int32_t)SPREAD},
    {.code = BPF_ALU | BPF_RSH | BPF_K, .dst_reg = R0, .imm = 16},
    {.code = BPF_JMP | BPF_EXIT},
};

int steer_by_ports(int fd)
{
    static const char license[] = "MIT";
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attr.insns = (uintptr_t)program;
    attr.insn_cnt = sizeof program / sizeof program[0];
    attr.license = (uintptr_t)license;
    int rule = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
    if (rule < 0)
        return -errno;
    int rc = ioctl(fd, TUNSETSTEERINGEBPF, &rule) < 0 ? -errno : 0;
    close(rule); /* the device holds it */
    return rc;
}
