/* SPDX-License-Identifier: Apache-2.0 */
/* A doubly linked circular list with the links inside the members. The head is a link too. */
#pragma once
#include "base/base.h"

struct list {
    struct list *next;
    struct list *prev;
};

#define LIST_INIT(name)  \
    (struct list)        \
    {                    \
        &(name), &(name) \
    }

static inline void list_init(struct list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

/* A link that was zeroed or removed is in no list. */
static inline bool list_is_linked(const struct list *link)
{
    return link->next != NULL && link->next != link;
}

static inline void list_insert_(struct list *link, struct list *prev, struct list *next)
{
    link->prev = prev;
    link->next = next;
    prev->next = link;
    next->prev = link;
}

/* Insert LINK as HEAD's last (or, given a member instead of the head, before that member). */
static inline void list_add_tail(struct list *head, struct list *link)
{
    list_insert_(link, head->prev, head);
}

static inline void list_add_head(struct list *head, struct list *link)
{
    list_insert_(link, head, head->next);
}

/* Take LINK out of its list; harmless for a link in no list. */
static inline void list_remove(struct list *link)
{
    if (link->next == NULL)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Append all of FROM to HEAD and leave FROM empty. */
static inline void list_splice_tail(struct list *head, struct list *from)
{
    if (list_is_empty(from))
        return;
    struct list *first = from->next;
    struct list *last = from->prev;
    first->prev = head->prev;
    head->prev->next = first;
    last->next = head;
    head->prev = last;
    list_init(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_last(head, type, member) list_entry((head)->prev, type, member)
#define list_first_or_null(head, type, member) \
    (list_is_empty(head) ? NULL : list_first(head, type, member))

/* The link of POS, which may be the head and no member at all: reached without naming a struct
 * there. */
#define list_link_(pos, member) \
    ((struct list *)(void *)((char *)(pos) + offsetof(__typeof__(*(pos)), member)))

#define list_for_each(pos, head, member)                           \
    for (pos = list_entry((head)->next, __typeof__(*pos), member); \
         list_link_(pos, member) != (head);                        \
         pos = list_entry(pos->member.next, __typeof__(*pos), member))

/* Safe against removal of POS itself in the body. */
#define list_for_each_safe(pos, tmp, head, member)                                 \
    for (pos = list_entry((head)->next, __typeof__(*pos), member),                 \
        tmp = list_entry(list_link_(pos, member)->next, __typeof__(*pos), member); \
         list_link_(pos, member) != (head);                                        \
         pos = tmp, tmp = list_entry(list_link_(tmp, member)->next, __typeof__(*tmp), member))
