/* list.h - doubly linked lists of records: references instead of pointers, and no memory of their own.
 *
 *   list.head ─▶ [ ... next ─]─▶ [ ... next ─]─▶ [ ... next: 0 ]
 *           [ prev: 0 ... ] ◀─[─ prev ... ] ◀─[─ prev ... ] ◀─ list.tail
 *
 * A record carries a place for each list in which it can be; a call names which by the offset of that place
 * in the record. Whether the record is in the list now is its owner's to know.
 *
 * Invariants: (1) head and tail are 0 together, then the list is empty; (2) the neighbours of a place name
 * its record; (3) a place that is in no list is zero, when it was so before it came into one.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "arena.h"

struct list {
    ref_t head, tail; /* records; 0 = none */
};

/* A record's place in a list. */
struct place {
    ref_t next, prev; /* the neighbouring records; 0 = none */
};

static inline struct place *place_at(struct arena *a, ref_t r, size_t offset)
{
    return (struct place *)(void *)((uint8_t *)at(a, r) + offset);
}

/* Walk: for (ref_t r = l.head; r != 0; r = list_next(a, r, offset)). */
static inline ref_t list_next(const struct arena *a, ref_t r, size_t offset)
{
    return ((const struct place *)(const void *)((const uint8_t *)at_const(a, r) + offset))->next;
}

/* Record r comes to stand before `where` (0: behind all others). */
static inline void list_insert(struct arena *a, struct list *l, ref_t r, ref_t where, size_t offset)
{
    ref_t before = where != 0 ? place_at(a, where, offset)->prev : l->tail;
    *place_at(a, r, offset) = (struct place){.next = where, .prev = before};
    if (before != 0)
        place_at(a, before, offset)->next = r;
    else
        l->head = r;
    if (where != 0)
        place_at(a, where, offset)->prev = r;
    else
        l->tail = r;
}

static inline void list_append(struct arena *a, struct list *l, ref_t r, size_t offset)
{
    list_insert(a, l, r, 0, offset);
}

static inline void list_remove(struct arena *a, struct list *l, ref_t r, size_t offset)
{
    struct place *p = place_at(a, r, offset), was = *p;
    *p = (struct place){0};
    if (was.prev != 0)
        place_at(a, was.prev, offset)->next = was.next;
    else
        l->head = was.next;
    if (was.next != 0)
        place_at(a, was.next, offset)->prev = was.prev;
    else
        l->tail = was.prev;
}

/* All of `from` comes to stand behind all others, in its order; `from` is empty afterwards. */
static inline void list_join(struct arena *a, struct list *l, struct list *from, size_t offset)
{
    if (from->head == 0)
        return;
    place_at(a, from->head, offset)->prev = l->tail;
    if (l->tail != 0)
        place_at(a, l->tail, offset)->next = from->head;
    else
        l->head = from->head;
    l->tail = from->tail;
    *from = (struct list){0};
}

#endif
