/* The bridge from the watch cache to a table of our own: scan once, then follow. */
#include "feed.h"

static void on_event(const struct store_event *ev, void *userdata)
{
        struct feed *f = userdata;

        if (ev->type == STORE_DELETED)
                f->del(ev->entry, f->userdata);
        else
                f->put(ev->entry, f->userdata);
}

static void on_cut(void *userdata)
{
        struct feed *f = userdata;

        f->live = false; /* the next feed_ensure() begins again */
        if (f->cut)
                f->cut(f->userdata);
}

static bool on_entry(struct entry *e, void *userdata)
{
        struct feed *f = userdata;

        f->put(e, f->userdata);
        return true;
}

static bool start(struct feed *f, struct store *s)
{
        static const struct store_watch_ops ops = { .event = on_event, .cut = on_cut };
        const struct resource *res = builtin_resource(f->group, f->version, f->resource);
        _cleanup_free_ char *prefix = NULL;

        if (!res || !store_ready(s))
                return false;
        store_watch_free(f->watch);
        f->watch = NULL;
        f->clear(f->userdata);
        prefix = xasprintf("/registry/%s/", res->storage_prefix);
        store_scan(s, prefix, NULL, on_entry, f);
        f->live = store_watch_new(s, prefix, store_revision(s), &ops, f, &f->watch) == 0;
        return f->live;
}

bool feed_ensure(struct feed *f, struct store *s)
{
        return f->live || start(f, s);
}

void feed_stop(struct feed *f)
{
        store_watch_free(f->watch);
        f->watch = NULL;
        f->live = false;
}
