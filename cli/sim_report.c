/* sim_report.c - what `tern sim` says at the end, and the story of a world that failed. */
#include "sim.h"

#include "host/json_line.h"
#include "host/ladder.h"
#include "sim/net/cover.h"
#include "sim/net/guard.h"
#include "sim/net/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP = 4, TEXT = 8192, COLUMN = 21 };

/* --- the summary ----------------------------------------------------------------------------- */

static void print_cover(const struct cover *c)
{
    if (c->kind == COVER_STATE)
        printf("  %12llu  %s\n", (unsigned long long)c->n, tern_state_name(c->to));
    else if (c->kind == COVER_EDGE)
        printf("  %12llu  %-11s → %-11s  %s\n", (unsigned long long)c->n, tern_state_name(c->from),
               tern_state_name(c->to), tern_cause_name(c->cause));
    else if (c->why_not != NULL)
        printf("  %12s  %-*s  not reachable here: %s\n", "-", COLUMN, tern_cause_name(c->cause), c->why_not);
    else
        printf("  %12llu  %-*s  %s\n", (unsigned long long)c->n, COLUMN, tern_cause_name(c->cause),
               tern_cause_text(c->cause));
}

static void print_covers(const struct cover *list, uint32_t n)
{
    static const char *const titles[] = {"states entered", "edges of the state diagram taken",
                                         "packets refused"};
    for (uint32_t kind = COVER_STATE; kind <= COVER_DROP; kind++) {
        uint32_t can, have;
        cover_count(list, n, (enum cover_kind)kind, &can, &have);
        printf("\n%s: %u of %u\n", titles[kind], have, can);
        for (uint32_t i = 0; i < n; i++)
            if (list[i].kind == kind)
                print_cover(&list[i]);
    }
}

static void print_counts(const char *title, const uint64_t *n, uint32_t count, const char *(*name)(uint32_t))
{
    printf("%s:", title);
    for (uint32_t i = 0; i < count; i++)
        printf("%s %s %llu", i ? "," : "", name(i), (unsigned long long)n[i]);
    printf("\n");
}

static const char *fault_word(uint32_t i) { return fault_name((enum fault_what)i); }
static const char *attack_word(uint32_t i) { return attack_name((enum attack)i); }

static unsigned long long per_second(const struct net_counts *k, uint64_t cpu_ns)
{
    return cpu_ns ? (unsigned long long)((double)k->segments * 1e9 / (double)cpu_ns) : 0;
}

static void print_summary(const struct net_counts *k, uint64_t cpu_ns, uint32_t failed, bool stopped)
{
    printf("\n%llu worlds%s, %llu connections (%llu with a program at both ends, %llu of them read to both "
           "ends)\n",
           (unsigned long long)k->worlds, stopped ? " until it was interrupted" : "",
           (unsigned long long)k->connections, (unsigned long long)k->both_ends,
           (unsigned long long)k->in_order);
    printf("%llu segments, %u in the median of a connection; %llu bytes delivered and compared\n",
           (unsigned long long)k->segments, cover_median(k), (unsigned long long)k->bytes);
    printf("%llu s of virtual time; the last connection ended %llu s after the faults had stopped\n",
           (unsigned long long)(k->virtual_us / 1000000), (unsigned long long)(k->slowest_us / 1000000));
    printf("%llu verbs, after %llu of them every invariant was checked\n", (unsigned long long)k->verbs,
           (unsigned long long)k->checks);
    printf("%llu segments a CPU-second\n", per_second(k, cpu_ns));
    if (failed)
        printf("%u worlds FAILED\n", failed);
    else
        printf("nothing was wrong\n");
}

static void json_cover(struct json_lines *l, const struct cover *c)
{
    static const char *const kinds[] = {"state", "edge", "drop"};
    json_line_begin(l);
    json_line_string(l, "ev", kinds[c->kind]);
    if (c->kind != COVER_STATE)
        json_line_string(l, "cause", tern_cause_name(c->cause));
    if (c->kind == COVER_EDGE)
        json_line_string(l, "from", tern_state_name(c->from));
    if (c->kind != COVER_DROP)
        json_line_string(l, "to", tern_state_name(c->to));
    json_line_number(l, "n", c->n);
    if (c->why_not != NULL)
        json_line_string(l, "not_reachable", c->why_not);
    json_line_end(l);
}

static void json_summary(struct json_lines *l, const struct net_counts *k, const struct cover *list,
                         uint32_t n, uint64_t cpu_ns, uint32_t failed, bool stopped)
{
    uint32_t edges, edges_taken, drops, drops_seen;
    cover_count(list, n, COVER_EDGE, &edges, &edges_taken);
    cover_count(list, n, COVER_DROP, &drops, &drops_seen);
    json_line_begin(l);
    json_line_string(l, "ev", "summary");
    json_line_number(l, "worlds", k->worlds);
    json_line_number(l, "connections", k->connections);
    json_line_number(l, "both_ends", k->both_ends);
    json_line_number(l, "in_order", k->in_order);
    json_line_number(l, "segments", k->segments);
    json_line_number(l, "bytes", k->bytes);
    json_line_number(l, "virtual_s", k->virtual_us / 1000000);
    json_line_number(l, "segments_per_cpu_second", per_second(k, cpu_ns));
    json_line_number(l, "median_segments", cover_median(k));
    json_line_number(l, "verbs", k->verbs);
    json_line_number(l, "checks", k->checks);
    json_line_number(l, "edges_taken", edges_taken);
    json_line_number(l, "edges_total", edges);
    json_line_number(l, "drops_seen", drops_seen);
    json_line_number(l, "drops_total", drops);
    json_line_number(l, "failures", failed);
    json_line_bool(l, "interrupted", stopped);
    json_line_end(l);
}

void sim_report(const struct sim_options *o, const struct net_counts *k, uint64_t cpu_ns, uint32_t failed,
                bool stopped)
{
    static struct cover list[COVER_MOST];
    uint32_t n = cover_list(k, list);
    struct json_lines lines = {0};
    if (!o->json) {
        print_covers(list, n);
        printf("\n");
        print_counts("faults", k->faults, FAULTS_DRAWN, fault_word);
        print_counts("attacks", k->attacks, ATTACKS, attack_word);
        print_summary(k, cpu_ns, failed, stopped);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        json_cover(&lines, &list[i]);
    json_summary(&lines, k, list, n, cpu_ns, failed, stopped);
    fwrite(lines.text, 1, lines.len, stdout);
    free(lines.text);
}

/* --- the story of a world -------------------------------------------------------------------- */

/* The connection that is told: the judge's, or the first that there is. */
static int32_t told_conn(const struct net *n, const struct complaint *c)
{
    if (c->conn >= 0)
        return c->conn;
    for (uint32_t i = 0; i < n->n_conns; i++)
        if (!n->plan->item[n->conn[i].item].out)
            return (int32_t)i;
    return -1;
}

static void tell_story(const struct sim_options *o, struct net *n, const struct sim_failure *f, int32_t conn)
{
    struct net_counts *k = calloc(1, sizeof *k);
    struct recorder *r = calloc(1, sizeof *r);
    struct story story;
    char name[2][32];
    uint32_t *per_conn = calloc(PER_CONN_MOST, sizeof *per_conn);
    if (k == NULL || r == NULL || per_conn == NULL)
        return;
    k->per_conn = per_conn;
    story_init(&story, "sim", "", f->complaint.text);
    *r = (struct recorder){.story = &story, .conn = conn};
    for (int i = 0; i < 2; i++) {
        r->host[i] = (int)n->conn[conn].plan[i == 0 ? C_CLIENT : C_SERVER];
        snprintf(name[i], sizeof name[i], "h%d", r->host[i] + 1);
        story_name(&story, (enum story_side)i, name[i], i == 0 ? "client" : "server");
    }
    story.conns = 1;
    net_play(n, f->plan, k, o->check, r);
    story_fold(&story, KEEP);
    ladder_print(&story, stdout, o->color);
    story_free(&story);
    free(per_conn);
    free(k);
    free(r);
}

static void describe_host(const struct item *item, uint32_t i)
{
    static const char *const families[] = {"nothing", "IPv4", "IPv6", "IPv4 and IPv6"};
    printf("  host h%u: %s, MTU %u, %u KiB, at router %u", i, families[item->f[H_FAMILY] & 3], item->f[H_MTU],
           item->f[H_MEMORY_KB], item->f[H_ROUTER]);
    if (item->f[H_NAT])
        printf(", behind NAT %u", item->f[H_NAT]);
    printf("\n");
}

static void describe_conn(const struct item *item, uint32_t i)
{
    printf("  connection c%u: h%u to h%u, from %u ms; the programs: %s; %s\n", i, item->f[C_CLIENT] + 1,
           item->f[C_SERVER] + 1, item->f[C_START_MS],
           ending_name((enum ending)item->f[C_CLIENT_P + P_ENDING]),
           ending_name((enum ending)item->f[C_SERVER_P + P_ENDING]));
    if (item->f[C_WATCH] != 0 && item->f[C_DO] != SNARE_NOTHING)
        printf("    when the %s is in %s, to the %s: %s\n", item->f[C_WATCH] == 1 ? "client" : "server",
               tern_state_name((enum tern_state)item->f[C_STATE]), item->f[C_TO] ? "server" : "client",
               snare_name((enum snare)item->f[C_DO]));
}

static void describe_fault(const struct item *item, uint32_t i)
{
    uint32_t place = item->f[F_PLACE], what = item->f[F_WHAT];
    bool wire = what < FAULT_WIRES || what == FAULT_LIE;
    printf("  fault f%u: %s, ", i, fault_name((enum fault_what)what));
    if (!wire)
        printf("h%u", place + 1);
    else if (place < HOSTS_MOST * 2)
        printf("%s h%u", place & 1 ? "to" : "from", place / 2 + 1);
    else
        printf("a trunk");
    printf(", from %u ms for %u ms\n", item->f[F_FROM_MS], item->f[F_FOR_MS]);
}

static void describe_items(const struct plan *p, bool hosts)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct item *item = &p->item[i];
        if (item->out)
            continue;
        if (item->kind == ITEM_HOST && hosts)
            describe_host(item, i);
        if (item->kind == ITEM_TRUNK && hosts)
            printf("  trunk t%u: %u kbit/s, %u us\n", i, item->f[T_RATE_KBPS], item->f[T_DELAY_US]);
        if (item->kind == ITEM_CONN)
            describe_conn(item, i);
        if (item->kind == ITEM_FAULT)
            describe_fault(item, i);
        if (item->kind == ITEM_ATTACK)
            printf("  attack a%u: %s, %u times from %u ms\n", i, attack_name((enum attack)item->f[A_WHAT]),
                   item->f[A_COUNT], item->f[A_FROM_MS]);
    }
}

void sim_list(const struct plan *p)
{
    printf("  w0: the faults stop at %u ms\n", p->item[0].f[W_CALM_MS]);
    describe_items(p, true);
}

static void json_failure(const struct sim_failure *f, const char *items)
{
    struct json_lines l = {0};
    char command[TEXT + 64];
    snprintf(command, sizeof command, "tern sim%s --seed %llu --only %s", f->by_steps ? " --by-steps" : "",
             (unsigned long long)f->seed, items);
    json_line_begin(&l);
    json_line_string(&l, "ev", "failure");
    json_line_number(&l, "seed", f->seed);
    json_line_string(&l, "kind", complaint_word(f->complaint.kind));
    json_line_string(&l, "what", f->complaint.text);
    json_line_number(&l, "at_us", f->complaint.at_us);
    json_line_number(&l, "hosts", plan_count(f->plan, ITEM_HOST));
    json_line_number(&l, "connections", plan_count(f->plan, ITEM_CONN));
    json_line_number(&l, "faults", plan_count(f->plan, ITEM_FAULT));
    json_line_number(&l, "attacks", plan_count(f->plan, ITEM_ATTACK));
    json_line_number(&l, "tries", f->tries);
    if (f->unfinished)
        json_line_bool(&l, "unfinished", true);
    json_line_string(&l, "replay", command);
    json_line_end(&l);
    fwrite(l.text, 1, l.len, stdout);
    fflush(stdout); /* whoever ends a long run has what it has found */
    free(l.text);
}

static void print_verdict(const struct sim_failure *f, const char *items)
{
    const struct complaint *c = &f->complaint;
    printf("\nseed %llu: ", (unsigned long long)f->seed);
    if (c->kind == COMPLAINT_NONE) {
        printf("nothing is wrong with this world\n");
        return;
    }
    printf("%s, at %.6f s: %s\n", complaint_word(c->kind), (double)c->at_us / 1e6, c->text);
    if (c->where != 0)
        printf("  trapped at %#lx of the program: addr2line -f -e tern %#lx\n",
               (unsigned long)guard_offset(c->where), (unsigned long)guard_offset(c->where));
    if (f->tries != 0)
        printf("  shrunk in %u tries%s; once more: tern sim%s --seed %llu --only '%s'\n", f->tries,
               f->unfinished ? ", and then there was no more time: it may get smaller yet" : "",
               f->by_steps ? " --by-steps" : "", (unsigned long long)f->seed, items);
}

void sim_tell(const struct sim_options *o, struct net *n, const struct sim_failure *f)
{
    static char items[TEXT];
    int32_t conn;
    plan_text(f->plan, items, sizeof items);
    if (o->json) {
        json_failure(f, items);
        return;
    }
    net_play(n, f->plan, n->counts, o->check, NULL); /* so that its connections are there */
    conn = told_conn(n, &f->complaint);
    describe_items(f->plan, false);
    if (conn >= 0)
        tell_story(o, n, f, conn);
    print_verdict(f, items);
}
