/* Intrusive doubly linked list with a sentinel head. */
#pragma once

#include "base.h"

struct list {
        struct list *next, *prev;
};

#define LIST_INIT(l)                                                                               \
        {                                                                                          \
                &(l), &(l)                                                                         \
        }

static inline void list_init(struct list *l)
{
        l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
        return l->next == l;
}
static inline void list_insert_before(struct list *at, struct list *e)
{
        e->prev = at->prev;
        e->next = at;
        at->prev->next = e;
        at->prev = e;
}
#define list_push_back(head, e) list_insert_before((head), (e))
static inline void list_push_front(struct list *head, struct list *e)
{
        list_insert_before(head->next, e);
}
/* Unlinks; the element is then a list of its own, so removing twice is harmless. */
static inline void list_remove(struct list *e)
{
        e->prev->next = e->next;
        e->next->prev = e->prev;
        list_init(e);
}
#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_foreach(head, it) for (struct list *it = (head)->next; it != (head); it = it->next)
/* The element at hand may be removed or freed. */
#define list_foreach_safe(head, it, tmp)                                                           \
        for (struct list *it = (head)->next, *tmp = it->next; it != (head);                        \
             it = tmp, tmp = it->next)
