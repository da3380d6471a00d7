/* control_net.c - the control socket's questions about addresses, routes, links and neighbours, and the
 * changes that it makes of them (`tern addr`, `tern route`, `tern link`, `tern neigh`). Whoever can open the
 * socket may do this: it lies in a directory of the user's own.
 */
#include "host/host_internal.h"
#include "host/info_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64, WORDS = 5 };

static json_t *error(const char *text) { return json_pack("{s:s}", "error", text); }

/* What a refusal means, in words for who asked. */
static const char *meaning(int e)
{
    switch (-e) {
    case TERN_ENODEV: return "there is no such link";
    case TERN_ENOENT: return "there is no such address, route or neighbour there";
    case TERN_EEXIST: return "it is there already";
    case TERN_EINVAL:
        return "not possible: a host cannot have this address, or the MTU is out of its range "
               "(576 to 65535, with IPv6 addresses 1280 at least), or a gateway is of another family "
               "or not on Ethernet";
    case TERN_ENOMEM: return "there is no room for one more";
    default: return strerror(-e);
    }
}

/* --- what there is ------------------------------------------------------------------------------- */

/* "02:00:00:00:00:01"; "" when it is not known, or there is none. */
static const char *hw_text(bool known, const uint8_t hw[6], char text[18])
{
    text[0] = '\0';
    if (known)
        snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", hw[0], hw[1], hw[2], hw[3], hw[4], hw[5]);
    return text;
}

/* Seconds from now; -1 = for ever. */
static json_int_t seconds_left(const tern_host *h, uint64_t until)
{
    uint64_t now = tern_now(h->stack);
    if (until == 0)
        return -1;
    return until > now ? (json_int_t)((until - now) / 1000000) : 0;
}

static json_t *links(const tern_host *h)
{
    tern_link_entry all[HOST_LINKS];
    char text[18];
    int n = tern_link_list(h->stack, all, HOST_LINKS);
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(
            list, json_pack("{s:i, s:s, s:b, s:I, s:I, s:b, s:b, s:s}", "id", all[i].link, "name",
                            tern_host_link_name(h, all[i].link), "up", (int)all[i].up, "mtu",
                            (json_int_t)all[i].info.mtu, "gso_max", (json_int_t)all[i].info.gso_max,
                            "tx_csum", (int)all[i].info.tx_csum, "gone",
                            (int)(h->links[all[i].link].gone != 0), "ethernet",
                            hw_text(all[i].info.ethernet, all[i].info.hw, text)));
    return list;
}

static json_t *addrs(const tern_host *h)
{
    static const char *const states[] = {"usable", "tentative", "duplicate"};
    tern_addr_entry all[MOST];
    int n = tern_addr_list(h->stack, all, MOST);
    json_t *list = json_array();
    char text[46];
    for (int i = 0; i < n; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:i, s:i, s:s, s:b, s:s, s:b, s:I, s:I}", "address",
                            tern_ip_text(&all[i].ip, text), "prefix_len", all[i].prefix_len, "link",
                            all[i].link, "link_name", tern_host_link_name(h, all[i].link), "deprecated",
                            (int)all[i].deprecated, "state", states[all[i].state % 3], "learned",
                            (int)all[i].learned, "valid_s", seconds_left(h, all[i].valid_us), "preferred_s",
                            seconds_left(h, all[i].preferred_us)));
    return list;
}

static bool is_none(const tern_ip *ip)
{
    static const tern_ip none;
    return memcmp(ip, &none, sizeof none) == 0;
}

static json_t *routes(const tern_host *h)
{
    tern_route_entry all[MOST];
    int n = tern_route_list(h->stack, all, MOST);
    json_t *list = json_array();
    char text[46], via[46];
    for (int i = 0; i < n; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:i, s:i, s:s, s:b, s:s, s:b, s:I}", "dst",
                                        tern_ip_text(&all[i].dst, text), "prefix_len", all[i].prefix_len,
                                        "link", all[i].link, "link_name", tern_host_link_name(h, all[i].link),
                                        "by_address", (int)all[i].by_addr, "via",
                                        is_none(&all[i].via) ? "" : tern_ip_text(&all[i].via, via), "learned",
                                        (int)all[i].learned, "valid_s", seconds_left(h, all[i].until_us)));
    return list;
}

static json_t *neighbour(const tern_host *h, const tern_neigh_entry *e)
{
    static const char *const states[] = {"", "INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED"};
    char text[46], hw[18];
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:I, s:b, s:i, s:i}", "address", tern_ip_text(&e->ip, text),
                     "ethernet", hw_text(e->known, e->hw, hw), "link", e->link, "link_name",
                     tern_host_link_name(h, e->link), "state", states[e->state % 7], "for_ms",
                     (json_int_t)((tern_now(h->stack) - e->since_us) / 1000), "router", (int)e->router,
                     "probes", e->probes, "waiting", e->waiting);
}

static json_t *neighbours(const tern_host *h)
{
    json_t *list = json_array();
    int n = tern_neigh_list(h->stack, NULL, 0);
    tern_neigh_entry *all = n > 0 ? calloc((size_t)n, sizeof *all) : NULL;
    if (all != NULL)
        n = tern_neigh_list(h->stack, all, n);
    for (int i = 0; all != NULL && i < n; i++)
        json_array_append_new(list, neighbour(h, &all[i]));
    free(all);
    return list;
}

/* --- changes ------------------------------------------------------------------------------------- */

/* "addr add 192.0.2.7/24 tern0", split; absent words are "". */
struct words {
    char text[CONTROL_LINE];
    const char *at[WORDS];
};

static void split(struct words *w, const char *line)
{
    char *rest;
    int n = 0;
    snprintf(w->text, sizeof w->text, "%s", line);
    for (char *word = strtok_r(w->text, " ", &rest); word && n < WORDS; word = strtok_r(NULL, " ", &rest))
        w->at[n++] = word;
    while (n < WORDS)
        w->at[n++] = "";
}

static bool is(const struct words *w, const char *kind, const char *verb)
{
    return strcmp(w->at[0], kind) == 0 && strcmp(w->at[1], verb) == 0;
}

/* The link named by a word: without one the only link there is, or 0 when `any` is fine. */
static int link_of(const tern_host *h, const char *word, bool any)
{
    tern_link_entry one;
    if (*word != '\0')
        return tern_host_link_id(h, word);
    if (any)
        return 0;
    return tern_link_list(h->stack, &one, 1) == 1 ? one.link : -TERN_EDESTADDRREQ;
}

static int change_addr(tern_host *h, const struct words *w)
{
    tern_ip ip;
    int len, link = link_of(h, w->at[3], !is(w, "addr", "add"));
    if (link < 0 || tern_cidr_parse(w->at[2], &ip, &len) < 0)
        return link < 0 ? link : -TERN_EINVAL;
    if (is(w, "addr", "add"))
        return tern_addr_add(h->stack, link, &ip, len);
    if (is(w, "addr", "remove"))
        return tern_addr_remove(h->stack, link, &ip);
    return tern_addr_deprecate(h->stack, link, &ip, is(w, "addr", "deprecate"));
}

static int change_route(tern_host *h, const struct words *w)
{
    tern_ip dst;
    int len, link = link_of(h, w->at[3], false);
    if (link < 0 || tern_cidr_parse(w->at[2], &dst, &len) < 0)
        return link < 0 ? link : -TERN_EINVAL;
    if (is(w, "route", "add"))
        return tern_route_add(h->stack, link, &dst, len);
    if (is(w, "route", "remove"))
        return tern_route_remove(h->stack, link, &dst, len);
    return tern_route_replace(h->stack, link, &dst, len);
}

static int change_via(tern_host *h, const struct words *w)
{
    tern_ip dst, via;
    int len, link = link_of(h, w->at[4], false);
    if (link < 0 || tern_cidr_parse(w->at[2], &dst, &len) < 0 || tern_ip_parse(w->at[3], &via) < 0)
        return link < 0 ? link : -TERN_EINVAL;
    return tern_route_add_via(h->stack, link, &dst, len, &via);
}

static int flush_neighbours(tern_host *h, const struct words *w)
{
    tern_ip ip;
    bool all = w->at[2][0] == '\0' || strcmp(w->at[2], "all") == 0;
    int link = link_of(h, w->at[3], true);
    if (link < 0 || (!all && tern_ip_parse(w->at[2], &ip) < 0))
        return link < 0 ? link : -TERN_EINVAL;
    int n = tern_neigh_flush(h->stack, link, all ? NULL : &ip);
    return n == 0 && !all ? -TERN_ENOENT : n;
}

static int change_mtu(tern_host *h, int link, const char *text)
{
    tern_link_entry all[HOST_LINKS];
    char *end;
    unsigned long mtu = strtoul(text, &end, 10);
    int n = tern_link_list(h->stack, all, HOST_LINKS), e = -TERN_ENODEV;
    if (*text < '0' || *text > '9' || *end != '\0' || mtu > 65535)
        return -TERN_EINVAL;
    for (int i = 0; i < n; i++)
        if (all[i].link == link) {
            all[i].info.mtu = (uint32_t)mtu;
            e = tern_link_set(h->stack, link, &all[i].info);
        }
    return e;
}

static int change_link(tern_host *h, const struct words *w)
{
    int link = link_of(h, w->at[2], false);
    if (link < 0)
        return link;
    if (is(w, "link", "mtu"))
        return change_mtu(h, link, w->at[3]);
    return tern_link_up(h->stack, link, is(w, "link", "up"));
}

static json_t *done(int e)
{
    if (e == -TERN_EDESTADDRREQ)
        return error("there are several links: name one of them");
    return e < 0 ? error(meaning(e)) : json_pack("{s:b}", "ok", 1);
}

json_t *control_net(tern_host *h, const char *line)
{
    static const struct {
        const char *kind, *verb;
        int (*change)(tern_host *h, const struct words *w);
    } changes[] = {
        {"addr", "add", change_addr},       {"addr", "remove", change_addr},
        {"addr", "deprecate", change_addr}, {"addr", "prefer", change_addr},
        {"route", "add", change_route},     {"route", "remove", change_route},
        {"route", "replace", change_route}, {"route", "via", change_via},
        {"neigh", "flush", flush_neighbours}, {"link", "up", change_link},
        {"link", "down", change_link},      {"link", "mtu", change_link},
    };
    struct words w;
    split(&w, line);
    if (strcmp(line, "net") == 0)
        return json_pack("{s:o, s:o, s:o, s:o}", "links", links(h), "addresses", addrs(h), "routes",
                         routes(h), "neighbours", neighbours(h));
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        if (is(&w, changes[i].kind, changes[i].verb))
            return done(changes[i].change(h, &w));
    return NULL;
}
