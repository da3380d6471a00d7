/* parse.c - a line of a script to a segment with absolute numbers. The grammar is in lab.h. */
#include "lab/lab.h"

#include <ctype.h>

struct cursor {
    struct lab *l;
    const char *p;
};

static void blanks(struct cursor *c)
{
    while (*c->p == ' ')
        c->p++;
}

/* Whether the word stands here; steps over it and the blanks behind. */
static bool word(struct cursor *c, const char *w)
{
    size_t n = strlen(w);
    if (strncmp(c->p, w, n) != 0 || isalnum((unsigned char)c->p[n]))
        return false;
    c->p += n;
    blanks(c);
    return true;
}

static bool is_number(const struct cursor *c)
{
    return isdigit((unsigned char)*c->p) || *c->p == '-' || *c->p == '=';
}

static int64_t number(struct cursor *c)
{
    char *end;
    long long v = strtoll(c->p, &end, 10);
    if (end == c->p)
        lab_fail(c->l, "the script is wrong: a number is missing at \"%s\"", c->p);
    c->p = end;
    return v;
}

/* A sequence number: relative to `base`, or absolute after `=`. */
static uint32_t seqno(struct cursor *c, uint32_t base)
{
    bool absolute = *c->p == '=';
    c->p += absolute;
    uint32_t v = (uint32_t)number(c) + (absolute ? 0 : base);
    return v;
}

static uint64_t unit(struct cursor *c)
{
    static const struct {
        const char *name;
        uint64_t us;
    } units[] = {{"us", 1}, {"ms", MS}, {"s", SEC}, {"min", 60 * SEC}, {"h", 3600 * SEC}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t n = strlen(units[i].name);
        if (strncmp(c->p, units[i].name, n) == 0 && !isalpha((unsigned char)c->p[n])) {
            c->p += n;
            return units[i].us;
        }
    }
    return 0;
}

/* A time like 1.5s in us; without a unit that of what follows (0 in *u: none). */
static uint64_t duration(struct cursor *c, uint64_t *u)
{
    int64_t whole = 0, part = 0, scale = 1;
    while (isdigit((unsigned char)*c->p))
        whole = whole * 10 + (*c->p++ - '0');
    if (*c->p == '.' && isdigit((unsigned char)c->p[1]))
        for (c->p++; isdigit((unsigned char)*c->p); c->p++)
            part = part * 10 + (*c->p - '0'), scale *= 10;
    *u = unit(c);
    uint64_t by = *u ? *u : 1;
    return (uint64_t)whole * by + (uint64_t)part * by / (uint64_t)scale;
}

static void timing(struct cursor *c, struct lab_line *out)
{
    uint64_t unit_lo, unit_hi;
    if (*c->p != '+')
        return;
    c->p++;
    out->timed = true;
    if (word(c, "any")) {
        out->hi = LAB_NEVER;
        out->until_any = true;
        return;
    }
    out->lo = out->hi = duration(c, &unit_lo);
    if (strncmp(c->p, "..", 2) == 0) {
        c->p += 2;
        out->hi = duration(c, &unit_hi);
        out->lo *= unit_lo ? 1 : unit_hi;
    }
    blanks(c);
}

static void flags(struct cursor *c, struct lab_line *out)
{
    static const char letters[] = "FSRPAUEW";
    while (*c->p && *c->p != ' ') {
        const char *at = strchr(letters, *c->p);
        if (at)
            out->seg.flags |= (uint8_t)(1 << (at - letters));
        else if (*c->p == 'p')
            out->no_psh = true;
        else if (*c->p != '-')
            lab_fail(c->l, "the script is wrong: no flag is called '%c'", *c->p);
        c->p++;
    }
    out->psh = (out->seg.flags & F_PSH) != 0;
    blanks(c);
}

static void sack_blocks(struct cursor *c, struct segment *s, uint32_t base)
{
    while (is_number(c) && s->opt.n_sack < MAX_SACK) {
        struct sack_block *b = &s->opt.sack[s->opt.n_sack++];
        b->left = seq(seqno(c, base));
        c->p += *c->p == ':';
        b->right = seq(seqno(c, base));
        blanks(c);
    }
}

static void timestamps(struct cursor *c, struct lab_line *out, const struct lab_flow *f)
{
    bool in = out->dir == '<';
    struct segment *s = &out->seg;
    s->opt.ts = true;
    s->opt.ts_ecr = in && (s->flags & F_ACK) ? f->ts_last : 0;
    out->any_ts = !is_number(c);
    if (!out->any_ts)
        s->opt.ts_val = seqno(c, in ? 0 : f->ts_first);
    blanks(c);
    if (word(c, "ecr")) {
        out->has_ecr = true;
        s->opt.ts_ecr = seqno(c, in ? f->ts_first : 0);
    }
}

static bool option(struct cursor *c, struct lab_line *out, const struct lab_flow *f)
{
    struct tcp_opts *o = &out->seg.opt;
    if (word(c, "mss")) {
        out->any_mss = *c->p == '*';
        o->mss = out->any_mss ? (c->p++, (uint16_t)1) : (uint16_t)number(c);
    } else if (word(c, "wscale")) {
        out->any_wscale = *c->p == '*';
        o->wscale = out->any_wscale ? (c->p++, (uint8_t)0) : (uint8_t)number(c);
    } else if (word(c, "sackOK")) {
        o->sack_ok = true;
    } else if (word(c, "nots")) {
        out->no_ts = true;
    } else if (word(c, "ts")) {
        timestamps(c, out, f);
    } else if (word(c, "sack")) {
        sack_blocks(c, &out->seg, out->dir == '<' ? f->iss : f->peer_iss);
    } else {
        return false;
    }
    return true;
}

static void options(struct cursor *c, struct lab_line *out, const struct lab_flow *f)
{
    out->has_opts = true;
    for (c->p++; *c->p && *c->p != '>'; c->p += *c->p == ',') {
        blanks(c);
        if (*c->p == '>')
            return;
        if (!option(c, out, f))
            lab_fail(c->l, "the script is wrong: no option at \"%s\"", c->p);
        blanks(c);
    }
}

static bool word_behind(struct cursor *c, struct lab_line *out, uint32_t ack_base)
{
    static const char *const ecn[] = {"notect", "ect1", "ect0", "ce"};
    struct segment *s = &out->seg;
    for (uint8_t i = 0; i < 4; i++)
        if (word(c, ecn[i])) {
            out->has_tos_ecn = true;
            s->tos = (uint8_t)((s->tos & 0xfc) | i);
            return true;
        }
    if (word(c, "ack"))
        out->has_ack = true, s->ack = seq(seqno(c, ack_base));
    else if (word(c, "win"))
        out->has_win = true, out->win = (uint32_t)number(c);
    else if (word(c, "urg"))
        out->has_up = true, s->up = (uint16_t)number(c);
    else if (word(c, "ttl"))
        out->has_ttl = true, s->ttl = (uint8_t)number(c);
    else if (word(c, "dscp"))
        out->has_dscp = true, s->tos = (uint8_t)((s->tos & 3) | number(c) << 2);
    else
        return false;
    return true;
}

static void parse_segment(struct cursor *c, struct lab_line *out)
{
    struct lab_flow *f = &c->l->flow[out->flow];
    uint32_t base = out->dir == '<' ? f->peer_iss : f->iss;
    uint32_t ack_base = out->dir == '<' ? f->iss : f->peer_iss;
    struct segment *s = &out->seg;
    s->opt.wscale = WSCALE_NONE;
    flags(c, out);
    s->seq = seq(seqno(c, base));
    if (*c->p == ':') {
        c->p++;
        s->len = seqno(c, base) - s->seq.v;
        if (*c->p == '(')
            while (*c->p && *c->p++ != ')')
                continue;
    }
    blanks(c);
    while (*c->p) {
        if (*c->p == '<') {
            options(c, out, f);
            c->p += *c->p == '>';
        } else if (!word_behind(c, out, ack_base)) {
            lab_fail(c->l, "the script is wrong: at \"%s\"", c->p);
        }
        blanks(c);
    }
}

void lab_parse(struct lab *l, const char *text, struct lab_line *out)
{
    struct cursor c = {.l = l, .p = text};
    memset(out, 0, sizeof(*out));
    blanks(&c);
    if (isdigit((unsigned char)*c.p))
        out->flow = *c.p++ - '0';
    blanks(&c);
    timing(&c, out);
    out->dir = *c.p && strchr("<>=?", *c.p) ? *c.p++ : 'c';
    if (out->dir == '<' && *c.p == '+')
        out->batch = true, c.p++;
    blanks(&c);
    out->rest = c.p;
    if (out->dir == '>' && word(&c, "none"))
        out->none = true;
    else if (out->dir == '<' || out->dir == '>')
        parse_segment(&c, out);
}
