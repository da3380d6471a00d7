/* capture.c - every packet that the stack meets, into a file, with what the stack decided.
 *
 * A packet bears the number of the first trace record that was written when its turn came. So its records
 * are known exactly, whatever else lies in the ring:
 *
 *     records:   7   8   9  10  11  12  13          what happened between the packets (calls, timers) has
 *               ├───┤├──────────┤├──────┤           numbers before the first one, and explains what is sent
 *               note  packet: 8   packet: 11        later
 *
 * When the ring was overwritten the numbers show that too, and the comment says so.
 *
 * A capture is taken where the stack meets its links: with a bad path (tern_link_impair) in between, what is
 * sent is seen before it and what is received behind it. Super-segments are cut as the wire would carry them,
 * checksums complete, so a reader finds nothing strange; the comment stands with the first piece. Times are
 * those of the stack's clock, moved to the time of day as it was when the file began: so they never go back.
 */
#include "host/capture.h"
#include "host/capture_file.h"
#include "host/capture_text.h"
#include "host/host_internal.h"
#include "host/pcapng.h"
#include "host/wall.h"
#include "link/packet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WRITE_AT = 256 << 10, /* bytes of blocks that are written at once */
    FILES_DEFAULT = 10,
    FILES_MAX = 1000,
    SIZE_MIN = 64 << 10,
    NAMED = 50,      /* connections that are named at the beginning of a file */
    LOOKED_AT = 4096, /* records looked at for that: a turn is not to be long */
};

struct capture {
    tern_host *host;
    uint64_t file_size;
    uint32_t files, snap;
    struct capture_file file;
    struct pcapng out;
    int64_t to_wall_us;              /* added to the stack's clock */
    uint32_t interface[HOST_LINKS];  /* + 1: number of the link's interface in this file; 0 = none yet */
    uint32_t interfaces;             /* in this file */
    bool has_packets;                /* this file */
    int err;                         /* -errno of the write that ended it; 0 = it goes on */
    struct capture_notes notes;
    tern_trace_record *records;      /* of the present call */
    uint32_t n, room;
    uint64_t first;                  /* number of records[0] */
    /* of the packet that is being written */
    const char *comment;
    uint32_t link, piece, pieces;
    uint64_t t_us;
    enum pcapng_way way;
};

/* --- the file ----------------------------------------------------------------------------------- */

static void give_up(struct capture *c, int err)
{
    c->err = err;
    snprintf(c->host->trouble, sizeof c->host->trouble,
             "the capture %s ends here: it cannot be written (%s); everything else goes on", c->file.path,
             strerror(-err));
    capture_file_close(&c->file);
}

static void write_out(struct capture *c)
{
    int rc = 0;
    if (c->err == 0 && c->out.len > 0)
        rc = capture_file_write(&c->file, c->out.bytes, c->out.len);
    if (c->err == 0 && c->out.failed)
        rc = -ENOMEM;
    c->out.len = 0;
    if (rc < 0)
        give_up(c, rc);
}

static void section(struct capture *c)
{
    char application[64];
    snprintf(application, sizeof application, "tern %s", tern_version());
    c->to_wall_us = tern_wall_us() - (int64_t)tern_host_now();
    c->interfaces = 0;
    c->has_packets = false;
    memset(c->interface, 0, sizeof c->interface);
    pcapng_section(&c->out, application,
                   "Packets as tern met them; each comment says what it decided, and why.");
}

/* Whether this much more fits into the file; if not, the next one is begun. */
static void make_room(struct capture *c, size_t more)
{
    if (c->file_size == 0 || !c->has_packets || c->file.at + c->out.len + more <= c->file_size)
        return;
    write_out(c);
    int rc = c->err == 0 ? capture_file_rotate(&c->file, c->files) : 0;
    if (rc < 0)
        give_up(c, rc);
    section(c);
}

/* --- interfaces --------------------------------------------------------------------------------- */

/* "Open when this file began: connection 3 is 192.0.2.1:80 with 192.0.2.2:4711 in ESTABLISHED; ..." */
static void name_connections(const struct capture *c, char *text, size_t len)
{
    tern_info info;
    uint64_t cursor = 0;
    size_t n = 0;
    uint32_t looked = 0, named = 0;
    bool more;
    while ((more = tern_walk(c->host->stack, &cursor, &info)) && looked++ < LOOKED_AT && named < NAMED) {
        char local[64], remote[64];
        if (info.listener || info.state == TERN_TIME_WAIT || n + 200 > len)
            continue;
        n += (size_t)snprintf(text + n, len - n, "%s connection %llu is %s with %s in %s",
                              named++ ? ";" : "Open when this file began:", (unsigned long long)info.conn,
                              capture_place(&info.local.ip, info.local.port, local),
                              capture_place(&info.remote.ip, info.remote.port, remote),
                              tern_state_name((enum tern_state)info.state));
    }
    if (named > 0)
        snprintf(text + n, len - n, more ? "; and perhaps others." : ".");
}

/* The number of a link's interface; described when it is needed first. */
static uint32_t interface_of(struct capture *c, uint32_t link)
{
    char name[64], description[200], connections[8192] = "";
    const tern_link *l = c->host->links[link].link;
    if (c->interface[link] > 0)
        return c->interface[link] - 1;
    if (l && l->device)
        snprintf(name, sizeof name, "%s", l->device);
    else
        snprintf(name, sizeof name, "%s%u", l ? l->ops->name : "link", link);
    snprintf(description, sizeof description, "link %u (%s, MTU %u) of tern in process %d", link,
             l ? l->ops->name : "gone", l ? l->info.mtu : 0, (int)getpid());
    name_connections(c, connections, sizeof connections);
    pcapng_interface(&c->out, name, description, connections, l && l->info.ethernet);
    c->interface[link] = ++c->interfaces;
    return c->interfaces - 1;
}

/* --- packets ------------------------------------------------------------------------------------ */

/* tern_segment gives the packets of the wire one by one. */
static void write_piece(void *ctx, const uint8_t *data, uint32_t len)
{
    struct capture *c = ctx;
    char text[CAPTURE_TEXT + 80];
    c->piece++;
    if (c->pieces <= 1)
        snprintf(text, sizeof text, "%s", c->comment);
    else if (c->piece == 1)
        snprintf(text, sizeof text, "%s First of %u pieces of one super-segment.", c->comment, c->pieces);
    else
        snprintf(text, sizeof text, "%.*s Piece %u of %u of a super-segment: the first one says why.",
                 (int)strcspn(c->comment, ".") + 1, c->comment, c->piece, c->pieces);
    uint32_t kept = c->snap > 0 && c->snap < len ? c->snap : len;
    make_room(c, kept + strlen(text) + 64);
    pcapng_packet(&c->out, &(struct pcapng_packet){
                               .interface = interface_of(c, c->link),
                               .t_us = (uint64_t)((int64_t)c->t_us + c->to_wall_us),
                               .data = data,
                               .len = kept,
                               .whole = len,
                               .way = c->way,
                               .comment = text,
                           });
    c->has_packets = true;
    if (c->out.len >= WRITE_AT)
        write_out(c);
}

static void write_packet(struct capture *c, const tern_tx_packet *pkt, const char *comment)
{
    uint32_t payload = pkt->len - pkt->hdr_len;
    bool cut = pkt->gso_size > 0 && pkt->gso_size < payload;
    c->comment = comment;
    c->link = pkt->link % HOST_LINKS;
    c->piece = 0;
    c->pieces = cut ? (payload + pkt->gso_size - 1) / pkt->gso_size : 1;
    tern_segment(pkt, write_piece, c);
}

/* --- records ------------------------------------------------------------------------------------ */

void capture_record(struct capture *c, uint64_t number, const tern_trace_record *r)
{
    if (c->err != 0)
        return;
    if (c->n == c->room) {
        uint32_t room = c->room ? c->room * 2 : 256;
        tern_trace_record *bigger = realloc(c->records, room * sizeof *r);
        if (!bigger) {
            give_up(c, -ENOMEM);
            return;
        }
        c->records = bigger;
        c->room = room;
    }
    if (c->n == 0)
        c->first = number;
    c->records[c->n++] = *r;
}

/* Place of the record with this number (its low 32 bits) behind the first one that is there: 0..n; negative:
 * it was overwritten. */
static int32_t place_of(const struct capture *c, uint32_t number)
{
    int32_t i = (int32_t)(number - (uint32_t)c->first);
    if (c->n == 0)
        return 0;
    return i < 0 || (uint32_t)i < c->n ? i : (int32_t)c->n;
}

/* The records of one packet. */
struct share {
    const tern_trace_record *records;
    uint32_t n;
    bool whole; /* none was overwritten */
};

/* From a packet's number to the next packet's; NULL: to the end. */
static struct share share_of(const struct capture *c, uint32_t number, const uint32_t *next)
{
    int32_t from = place_of(c, number), to = next != NULL ? place_of(c, *next) : (int32_t)c->n;
    uint32_t first = from < 0 ? 0 : (uint32_t)from, end = to < 0 ? 0 : (uint32_t)to;
    return (struct share){c->records + first, end - first, from >= 0};
}

/* What lies before the first packet's records happened between packets. */
static void note_before(struct capture *c, uint32_t number)
{
    int32_t end = place_of(c, number);
    for (int32_t i = 0; i < end; i++)
        capture_note(&c->notes, &c->records[i]);
}

void capture_received(struct capture *c, uint64_t now, const tern_rx_packet *pkts, int n)
{
    char text[CAPTURE_TEXT];
    tern_tx_packet pkt;
    c->t_us = now;
    c->way = PCAPNG_IN;
    if (n > 0 && c->err == 0)
        note_before(c, pkts[0].trace);
    for (int i = 0; i < n && c->err == 0; i++) {
        struct share s = share_of(c, pkts[i].trace, i + 1 < n ? &pkts[i + 1].trace : NULL);
        capture_say_received(text, &pkts[i], s.records, s.n, s.whole);
        packet_from_rx(&pkts[i], &pkt);
        write_packet(c, &pkt, text);
    }
    c->n = 0;
}

void capture_sent(struct capture *c, uint64_t now, const tern_tx_packet *pkts, int n, uint64_t refused)
{
    char text[CAPTURE_TEXT];
    static const char not_taken[] = " The link did not take it: it is lost here.";
    c->t_us = now;
    c->way = PCAPNG_OUT;
    if (n > 0 && c->err == 0)
        note_before(c, pkts[0].trace);
    for (int i = 0; i < n && c->err == 0; i++) {
        struct share s = share_of(c, pkts[i].trace, i + 1 < n ? &pkts[i + 1].trace : NULL);
        capture_say_sent(text, &c->notes, s.records, s.n, s.whole);
        if (refused >> i & 1)
            memcpy(text + strnlen(text, CAPTURE_TEXT - sizeof not_taken), not_taken, sizeof not_taken);
        write_packet(c, &pkts[i], text);
    }
    c->n = 0;
}

void capture_flush(struct capture *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        capture_note(&c->notes, &c->records[i]);
    c->n = 0;
    write_out(c);
}

/* --- beginning and end -------------------------------------------------------------------------- */

static int begin(struct capture *c, const tern_capture_config *cfg)
{
    c->file_size = cfg->file_size > 0 && cfg->file_size < SIZE_MIN ? SIZE_MIN : cfg->file_size;
    c->files = cfg->files > 0 ? cfg->files : FILES_DEFAULT;
    c->files = c->files < FILES_MAX ? c->files : FILES_MAX;
    c->snap = cfg->snap;
    int rc = capture_file_open(&c->file, cfg->file);
    if (rc < 0)
        return rc;
    section(c);
    write_out(c);
    return c->err;
}

int tern_host_capture(tern_host *h, const tern_capture_config *cfg, char *err, size_t err_len)
{
    if (h->capture)
        capture_end(h->capture);
    h->capture = NULL;
    if (!cfg)
        return 0;
    if (!h->ring) {
        snprintf(err, err_len, "a capture needs the trace: set tern_host_config.trace_records");
        return -EINVAL;
    }
    struct capture *c = calloc(1, sizeof *c);
    int rc = c ? 0 : -ENOMEM;
    if (c) {
        c->host = h;
        rc = begin(c, cfg);
    }
    if (rc < 0) {
        snprintf(err, err_len, "the file %s cannot be written (%s)", cfg->file, strerror(-rc));
        h->trouble[0] = '\0'; /* said here already */
        if (c)
            capture_end(c);
        return rc;
    }
    h->capture = c;
    return 0;
}

const char *tern_host_trouble(tern_host *h)
{
    if (h->trouble[0] == '\0')
        return NULL;
    memcpy(h->trouble_said, h->trouble, sizeof h->trouble_said);
    h->trouble[0] = '\0';
    return h->trouble_said;
}

void capture_end(struct capture *c)
{
    capture_flush(c);
    capture_file_close(&c->file);
    pcapng_free(&c->out);
    free(c->records);
    free(c);
}
