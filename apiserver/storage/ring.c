/* The ring of a kind's recent events: what lets a watch resume where it was cut.
 *
 * It keeps at least MIN events. A full one grows while its oldest event is young (a client that was cut
 * a minute ago shall find its place) and what it alone keeps alive is not too much; else the oldest goes.
 */
#include "store-internal.h"

static struct ring_event *ring_at(const struct ring *r, size_t i)
{
        return &r->events[(r->head + i) % r->cap];
}

static void ring_drop(struct ring *r)
{
        struct ring_event *e = ring_at(r, 0);

        r->floor = e->event.revision;
        r->bytes -= e->bytes;
        entry_unref(e->event.entry);
        entry_unref(e->event.before);
        r->head = (r->head + 1) % r->cap;
        r->n--;
}

static void ring_grow(struct ring *r, size_t cap)
{
        struct ring_event *events = xcalloc(cap, sizeof(*events));

        for (size_t i = 0; i < r->n; i++)
                events[i] = *ring_at(r, i);
        free(r->events);
        r->events = events;
        r->head = 0;
        r->cap = cap;
}

void ring_push(struct ring *r, const struct store_event *ev, int64_t now, size_t min, size_t max_bytes)
{
        struct ring_event e = { .event = *ev, .at = now };

        /* What this event takes out of the cache lives on here only. */
        if (ev->before)
                e.bytes = entry_size(ev->before);
        if (ev->type == STORE_DELETED) { /* labels and fields are those of the last state: one object says both */
                e.bytes = entry_size(ev->entry);
                entry_unref(e.event.before);
                e.event.before = entry_ref(ev->entry);
        }
        while (r->n > RING_LEAST && r->bytes + e.bytes > max_bytes)
                ring_drop(r);
        while (r->n > min && now - ring_at(r, 0)->at > RING_YOUNG)
                ring_drop(r);
        if (r->n == r->cap) {
                bool worth = r->n < min || now - ring_at(r, 0)->at <= RING_YOUNG;

                if (worth && r->cap < MAX(min, RING_MAX))
                        ring_grow(r, r->cap ? r->cap * 2 : 16);
                else
                        ring_drop(r);
        }
        *ring_at(r, r->n++) = e;
        r->bytes += e.bytes;
}

size_t ring_after(const struct ring *r, uint64_t revision)
{
        size_t low = 0, high = r->n;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (ring_at(r, mid)->event.revision <= revision)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

void ring_reset(struct ring *r, uint64_t floor)
{
        while (r->n)
                ring_drop(r);
        r->floor = floor;
}

void ring_deinit(struct ring *r)
{
        ring_reset(r, 0);
        free(r->events);
        *r = (struct ring){ 0 };
}
