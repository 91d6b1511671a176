/* Claims and transactions: see ruleset.h.
 *
 * Of what the kernel has only a hash is kept, not the text: the text is needed when it is sent, and
 * what is sent is what is wanted. Only of lists the text is kept too, to send what differs. The order within a transaction follows from what may refer to
 * what: rules refer to sets and chains, elements to chains. So first everything new is there by
 * name, then all that goes away loses its content, then comes the new content, and names go last.
 */
#include "ruleset.h"

#include <stdio.h>

#include "../lib/base/map.h"

struct claim {
        const struct owner *owner;
        char *body;
};

struct thing {
        enum rule_kind kind;
        char *name;
        struct claim *claims; /* by owner's name */
        size_t n, cap;
        uint64_t applied, sent; /* hash of the body in the kernel; 0: not there */
        char *applied_text, *sent_text; /* of a list */
        unsigned stamp;
        bool dirty;
};

struct owner {
        char *name;
        struct thing **things;
        size_t n, cap;
};

struct ruleset {
        char *table, *frame;
        struct map things; /* by "KNAME", K the kind as a letter */
        struct map owners;
        struct thing **dirty, **in_flight;
        size_t n_dirty, cap_dirty, n_in_flight;
        unsigned stamp;
};

static uint64_t hash_body(const char *s)
{
        uint64_t h = 0xcbf29ce484222325u;

        for (; *s; s++)
                h = (h ^ (unsigned char)*s) * 0x100000001b3u;
        return h ? h : 1;
}

struct ruleset *ruleset_new(const char *table, const char *frame)
{
        struct ruleset *rs = new0(struct ruleset);

        rs->table = xstrdup(table);
        rs->frame = xstrdup(frame);
        map_init(&rs->things);
        map_init(&rs->owners);
        return rs;
}

static void thing_free(struct thing *t)
{
        for (size_t i = 0; i < t->n; i++)
                free(t->claims[i].body);
        free(t->claims);
        free(t->name);
        free(t->applied_text);
        free(t->sent_text);
        free(t);
}

static void owner_free(struct owner *o)
{
        free(o->name);
        free(o->things);
        free(o);
}

void ruleset_free(struct ruleset *rs)
{
        struct map_entry *e;

        if (!rs)
                return;
        map_foreach(&rs->things, e)
                thing_free(e->value);
        map_foreach(&rs->owners, e)
                owner_free(e->value);
        map_deinit(&rs->things);
        map_deinit(&rs->owners);
        free(rs->dirty);
        free(rs->in_flight);
        free(rs->table);
        free(rs->frame);
        free(rs);
}

static char *thing_key(enum rule_kind kind, const char *name)
{
        return xasprintf("%c%s", "SCEL"[kind], name);
}

/* NULL: it is not wanted. */
static const char *wanted(const struct thing *t)
{
        return t->n ? t->claims[0].body : NULL;
}

static void touch(struct ruleset *rs, struct thing *t)
{
        if (t->dirty)
                return;
        t->dirty = true;
        array_reserve(rs->dirty, rs->cap_dirty, rs->n_dirty + 1);
        rs->dirty[rs->n_dirty++] = t;
}

/* --- claims --- */

static struct thing *thing_get(struct ruleset *rs, enum rule_kind kind, const char *name)
{
        _cleanup_free_ char *key = thing_key(kind, name);
        struct thing *t = map_get(&rs->things, key);

        if (!t) {
                t = new0(struct thing);
                t->kind = kind;
                t->name = xstrdup(name);
                map_put(&rs->things, key, t);
        }
        return t;
}

static void claim(struct ruleset *rs, struct thing *t, const struct owner *owner, const char *body)
{
        size_t at = 0;

        for (size_t i = 0; i < t->n; i++) {
                if (t->claims[i].owner != owner)
                        continue;
                if (streq(t->claims[i].body, body))
                        return;
                free(t->claims[i].body);
                t->claims[i].body = xstrdup(body);
                if (i == 0)
                        touch(rs, t);
                return;
        }
        if (t->n == t->cap) /* nearly all have one */
                t->claims = xrealloc(t->claims, (t->cap = t->cap ? t->cap * 2 : 1) * sizeof(*t->claims));
        while (at < t->n && strcmp(t->claims[at].owner->name, owner->name) < 0)
                at++;
        memmove(&t->claims[at + 1], &t->claims[at], (t->n - at) * sizeof(*t->claims));
        t->claims[at] = (struct claim){ owner, xstrdup(body) };
        t->n++;
        if (at == 0)
                touch(rs, t);
}

static void unclaim(struct ruleset *rs, struct thing *t, const struct owner *owner)
{
        for (size_t i = 0; i < t->n; i++) {
                if (t->claims[i].owner != owner)
                        continue;
                free(t->claims[i].body);
                memmove(&t->claims[i], &t->claims[i + 1], (t->n - i - 1) * sizeof(*t->claims));
                t->n--;
                if (i == 0)
                        touch(rs, t);
                return;
        }
}

static struct owner *owner_get(struct ruleset *rs, const char *name)
{
        struct owner *o = map_get(&rs->owners, name);

        if (!o) {
                o = new0(struct owner);
                o->name = xstrdup(name);
                map_put(&rs->owners, name, o);
        }
        return o;
}

void ruleset_set(struct ruleset *rs, const char *name, const struct rules *rules)
{
        struct owner *o = owner_get(rs, name);
        struct thing **now = xcalloc((rules ? rules->n : 0) + 1, sizeof(struct thing *));
        size_t n = 0;

        rs->stamp++;
        for (size_t i = 0; rules && i < rules->n; i++) {
                struct thing *t = thing_get(rs, rules->items[i].kind, rules->items[i].name);

                if (t->stamp == rs->stamp) /* named twice */
                        continue;
                t->stamp = rs->stamp;
                claim(rs, t, o, rules->items[i].body);
                now[n++] = t;
        }
        for (size_t i = 0; i < o->n; i++)
                if (o->things[i]->stamp != rs->stamp)
                        unclaim(rs, o->things[i], o);
        free(o->things);
        o->things = xrealloc(now, (n + 1) * sizeof(struct thing *));
        o->n = n;
        if (!n) {
                map_del(&rs->owners, o->name);
                owner_free(o);
        }
}

bool ruleset_dirty(const struct ruleset *rs)
{
        return rs->n_dirty > 0;
}

size_t ruleset_size(const struct ruleset *rs)
{
        return rs->things.n;
}

/* --- transactions --- */

/* By kind, then by name: elements of one map are neighbours. */
static int by_name(const void *x, const void *y)
{
        const struct thing *a = *(struct thing *const *)x, *b = *(struct thing *const *)y;

        return a->kind != b->kind ? (int)a->kind - (int)b->kind : strcmp(a->name, b->name);
}

static bool is_new(const struct thing *t)
{
        return !t->applied && t->sent;
}

static bool is_gone(const struct thing *t)
{
        return t->applied && !t->sent;
}

static bool is_changed(const struct thing *t)
{
        return t->applied && t->sent && t->applied != t->sent;
}

static void each_name(struct ruleset *rs, struct strbuf *out, const char *verb, enum rule_kind kind,
                      bool (*which)(const struct thing *))
{
        for (size_t i = 0; i < rs->n_in_flight; i++) {
                const struct thing *t = rs->in_flight[i];

                if (t->kind != kind || !which(t))
                        continue;
                strbuf_printf(out, "%s %s ip %s %s", verb, kind == RULE_SET ? "set" : "chain", rs->table, t->name);
                if (kind == RULE_SET && which == is_new)
                        strbuf_printf(out, " { %s }", wanted(t));
                strbuf_putc(out, '\n');
        }
}

static void add_rules(struct ruleset *rs, struct strbuf *out)
{
        for (size_t i = 0; i < rs->n_in_flight; i++) {
                const struct thing *t = rs->in_flight[i];

                if (t->kind != RULE_CHAIN || (!is_new(t) && !is_changed(t)))
                        continue;
                for (const char *line = wanted(t), *end; *line; line = end + 1) {
                        end = strchr(line, '\n');
                        strbuf_printf(out, "add rule ip %s %s ", rs->table, t->name);
                        strbuf_append(out, line, end - line + 1);
                }
        }
}

/* Gathers the elements of a map into one command. */
struct element_writer {
        struct ruleset *rs;
        struct strbuf *out;
        const char *verb;
        const char *map; /* of the command that is open; its name ends at a space */
};

/* NAME: "map key". NUMBER < 0: the key is complete. VALUE: LEN bytes, may be none. */
static void write_element(struct element_writer *w, const char *name, long number, const char *value, size_t len)
{
        size_t map_len = strcspn(name, " ");

        if (!w->map || strncmp(w->map, name, map_len + 1) != 0) {
                strbuf_printf(w->out, "%s%s element ip %s ", w->map ? " }\n" : "", w->verb, w->rs->table);
                strbuf_append(w->out, name, map_len);
                strbuf_puts(w->out, " { ");
                w->map = name;
        } else {
                strbuf_puts(w->out, ",\n");
        }
        strbuf_puts(w->out, name + map_len + 1);
        if (number >= 0)
                strbuf_printf(w->out, " . %ld", number);
        if (len) {
                strbuf_puts(w->out, " : ");
                strbuf_append(w->out, value, len);
        }
}

/* The lines of X that Y does not have at the same place. */
static void write_list(struct element_writer *w, const char *name, const char *x, const char *y, bool with_values)
{
        for (long i = 0; *x; i++) {
                size_t x_len = strcspn(x, "\n"), y_len = strcspn(y, "\n");

                if (x_len != y_len || memcmp(x, y, x_len) != 0)
                        write_element(w, name, i, x, with_values ? x_len : 0);
                x += x_len + 1;
                y += y_len + (y[y_len] == '\n');
        }
}

static const char *text_or_empty(const char *s)
{
        return s ? s : "";
}

static void each_element(struct ruleset *rs, struct strbuf *out, bool adding)
{
        struct element_writer w = { rs, out, adding ? "add" : "delete", NULL };

        for (size_t i = 0; i < rs->n_in_flight; i++) {
                const struct thing *t = rs->in_flight[i];
                const char *old = text_or_empty(t->applied_text), *new = text_or_empty(t->sent_text);

                if (t->kind == RULE_LIST)
                        write_list(&w, t->name, adding ? new : old, adding ? old : new, adding);
                if (t->kind == RULE_ELEMENT && (is_changed(t) || (adding ? is_new(t) : is_gone(t))))
                        write_element(&w, t->name, -1, adding ? wanted(t) : "", adding ? strlen(wanted(t)) : 0);
        }
        if (w.map)
                strbuf_puts(out, " }\n");
}

static void take_all(struct ruleset *rs)
{
        struct map_entry *e;

        map_foreach(&rs->things, e) {
                struct thing *t = e->value;

                t->applied = 0;
                free(steal_ptr(t->applied_text));
                touch(rs, t);
        }
}

void ruleset_begin(struct ruleset *rs, bool full, struct strbuf *out)
{
        if (full)
                take_all(rs);
        rs->in_flight = rs->dirty;
        rs->n_in_flight = rs->n_dirty;
        rs->dirty = NULL;
        rs->n_dirty = rs->cap_dirty = 0;
        for (size_t i = 0; i < rs->n_in_flight; i++) {
                struct thing *t = rs->in_flight[i];

                t->dirty = false;
                t->sent = wanted(t) ? hash_body(wanted(t)) : 0;
                if (t->kind == RULE_LIST && wanted(t))
                        t->sent_text = xstrdup(wanted(t));
        }
        if (rs->n_in_flight)
                qsort(rs->in_flight, rs->n_in_flight, sizeof(*rs->in_flight), by_name);
        if (full) /* the first line makes it exist, so that the second cannot fail */
                strbuf_printf(out, "add table ip %s\ndelete table ip %s\n%s", rs->table, rs->table, rs->frame);
        each_name(rs, out, "add", RULE_SET, is_new);
        each_name(rs, out, "add", RULE_CHAIN, is_new);
        each_name(rs, out, "flush", RULE_CHAIN, is_changed);
        each_name(rs, out, "flush", RULE_CHAIN, is_gone);
        each_element(rs, out, false);
        add_rules(rs, out);
        each_element(rs, out, true);
        each_name(rs, out, "delete", RULE_CHAIN, is_gone);
        each_name(rs, out, "delete", RULE_SET, is_gone);
}

void ruleset_end(struct ruleset *rs, bool ok)
{
        for (size_t i = 0; i < rs->n_in_flight; i++) {
                struct thing *t = rs->in_flight[i];

                if (ok) {
                        t->applied = t->sent;
                        free(t->applied_text);
                        t->applied_text = steal_ptr(t->sent_text);
                } else {
                        free(steal_ptr(t->sent_text));
                        touch(rs, t);
                }
                if (!t->n && !t->applied && !t->dirty) {
                        _cleanup_free_ char *key = thing_key(t->kind, t->name);

                        map_del(&rs->things, key);
                        thing_free(t);
                }
        }
        free(rs->in_flight);
        rs->in_flight = NULL;
        rs->n_in_flight = 0;
}
