/* fifo.h - records of one size in order of arrival: added behind, taken from the front.
 *
 * For what all lasts equally long: the front is the next to go, and finding it costs nothing. A record may go
 * early and leaves a hole; a page in which nothing lives goes back at once, also from the middle.
 */
#ifndef BASE_FIFO_H
#define BASE_FIFO_H

#include "list.h"

/* A record begins with a uint32_t that is its owner's and never 0 while it lives. */
struct fifo {
    uint32_t size;       /* bytes of a record, a multiple of GRAIN */
    uint32_t number;     /* its pages are of kind PAGE_POOL0 + number */
    struct list chain;   /* pages, oldest first */
    uint32_t live;       /* records in use */
    uint32_t pages;
};

void fifo_init(struct fifo *f, uint32_t number, uint32_t size);

/* One more record behind all others, zeroed; its owner sets the first word before the next call. On a page of
 * its own when `turn`. 0 = refused. */
ref_t fifo_append(struct arena *a, struct fifo *f, bool turn, enum mem_prio prio);

void fifo_remove(struct arena *a, struct fifo *f, ref_t r);

/* The oldest record; 0 = none. */
ref_t fifo_front(const struct arena *a, const struct fifo *f);

/* The record n places behind r in the same page; 0 = there is none, or none that lives. */
ref_t fifo_behind(const struct arena *a, const struct fifo *f, ref_t r, uint32_t n);

/* Walk from the oldest to the newest: start with *r = 0; returns false at the end. */
bool fifo_next(const struct arena *a, const struct fifo *f, ref_t *r);

/* The live record behind `r` in one page (r = 0: the first); 0 = the page's end. */
ref_t fifo_in_page(const struct arena *a, const struct fifo *f, ref_t page, ref_t r);

/* A number for each page, the owner's; 0 on a new one. r: a record in it. */
uint64_t *fifo_note(struct arena *a, ref_t r);

/* Records that the pages have room for: more than live, when many went early. */
uint64_t fifo_room(const struct arena *a, const struct fifo *f);

#endif
