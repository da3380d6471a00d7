/* cmd.h - the subcommands of tern; each has a file (or a family of files) of its own in cli/.
 *
 * argv[0] is the name of the subcommand, the rest are its arguments. What is returned is the exit status of
 * the process: CMD_OK, CMD_NO or CMD_CANNOT. Each answers --help with its usage on standard output.
 */
#ifndef CLI_CMD_H
#define CLI_CMD_H

enum {
    CMD_OK = 0,     /* done */
    CMD_NO = 1,     /* the work was done and the answer is no: a promise did not hold, the peer refused */
    CMD_CANNOT = 2, /* bad usage, a missing device, no permission; one line on standard error says what to
                       do */
};

int cmd_demo(int argc, char **argv);  /* scenarios between two stacks in memory */
int cmd_check(int argc, char **argv); /* packetdrill scripts, run against tern */
int cmd_sim(int argc, char **argv);   /* worlds of many hosts, drawn from seeds and judged */
int cmd_serve(int argc, char **argv); /* files over HTTP from tern's own TCP */
int cmd_cat(int argc, char **argv);   /* netcat */
int cmd_addr(int argc, char **argv);  /* addresses of a running tern, changed while it runs; */
int cmd_route(int argc, char **argv); /* its routes; */
int cmd_link(int argc, char **argv);  /* its links; */
int cmd_neigh(int argc, char **argv); /* its neighbours on Ethernet */
int cmd_ss(int argc, char **argv);    /* connections of running tern processes */
int cmd_iperf(int argc, char **argv); /* throughput against iperf3 */
int cmd_explore(int argc, char **argv); /* every world within bounds */
int cmd_bench(int argc, char **argv); /* measurements in memory */

/* Print one line, "tern NAME: ...", to standard error; returns CMD_CANNOT, so that `return cmd_cannot(...)`
 * reads well. */
int cmd_cannot(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
