/* What changed between two values, as upstream shows it below "... may not change": both as indented JSON, and of that a
 * unified diff with three lines around each change. Which lines belong together is found as Python's difflib does, whose
 * port upstream uses: the longest run of equal lines first, then to its left and right; among many lines those that are
 * there often start no run. */
#include "rules.h"

#include <stdlib.h>

#define CONTEXT 3
#define MANY 200          /* lines, from which on those that recur are passed over */
#define STEPS 5000000     /* of comparing, so that no client can keep the server at it; what is left then counts as changed */

struct text {
        struct line {
                const char *s;
                size_t len;
                unsigned id;      /* the same for equal lines */
        } *lines;
        unsigned n, cap;
};

struct matcher {
        struct text a, b;
        unsigned *first, *next;   /* where in B a line stands: by its id, then from place to place; NOWHERE ends */
        unsigned *run, *new_run;  /* by place in B, plus one: how many equal lines end there */
        struct block {
                unsigned a, b, n;
        } *blocks;
        unsigned n_blocks, cap;
        unsigned long steps;
};
#define NOWHERE (~0u)

struct change {
        char tag; /* ' ' or '!' */
        unsigned a, a_end, b, b_end;
};

/* --- lines --- */

static void add_line(struct text *t, const char *s, size_t len)
{
        if (t->n == t->cap) {
                t->cap = t->cap ? t->cap * 2 : 256;
                t->lines = xrealloc(t->lines, t->cap * sizeof(*t->lines));
        }
        t->lines[t->n++] = (struct line){ s, len, 0 };
}

static const char *string_end(const char *p)
{
        for (p++; *p && *p != '"'; p++)
                if (*p == '\\' && p[1])
                        p++;
        return *p ? p + 1 : p;
}

static void new_line(struct strbuf *b, unsigned depth)
{
        strbuf_putc(b, '\n');
        for (unsigned i = 0; i < depth; i++)
                strbuf_putc(b, ' ');
}

/* Go's MarshalIndent() with one space. */
static void indent(struct strbuf *b, const char *p)
{
        unsigned depth = 0;

        while (*p) {
                const char *end = *p == '"' ? string_end(p) : p + 1;

                if (*p == '}' || *p == ']')
                        new_line(b, --depth);
                strbuf_append(b, p, (size_t)(end - p));
                if ((*p == '{' || *p == '[') && (*end == '}' || *end == ']'))
                        strbuf_putc(b, *end++);
                else if (*p == '{' || *p == '[')
                        new_line(b, ++depth);
                else if (*p == ',')
                        new_line(b, depth);
                else if (*p == ':')
                        strbuf_putc(b, ' ');
                p = end;
        }
}

static void split(struct arena *a, struct text *t, const char *json)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *p, *end;

        indent(&b, json);
        p = arena_strndup(a, strbuf_str(&b), b.len);
        for (; p; p = *end ? end + 1 : NULL) {
                end = strchrnul(p, '\n');
                add_line(t, p, (size_t)(end - p));
        }
}

static int by_text(const void *x, const void *y)
{
        const struct line *a = *(const struct line *const *)x, *b = *(const struct line *const *)y;
        int order = memcmp(a->s, b->s, MIN(a->len, b->len));

        return order ?: (a->len > b->len) - (a->len < b->len);
}

/* Gives equal lines equal ids; returns how many there are. */
static unsigned number_lines(struct text *a, struct text *b)
{
        unsigned n = a->n + b->n, ids = 0;
        struct line **all = xmalloc(n * sizeof(*all));

        for (unsigned i = 0; i < n; i++)
                all[i] = i < a->n ? &a->lines[i] : &b->lines[i - a->n];
        qsort(all, n, sizeof(*all), by_text);
        for (unsigned i = 0; i < n; i++) {
                ids += i && by_text(&all[i - 1], &all[i]) != 0;
                all[i]->id = ids;
        }
        free(all);
        return ids + 1;
}

/* --- what belongs together --- */

static void index_lines(struct matcher *m)
{
        unsigned ids = number_lines(&m->a, &m->b), n = m->b.n, *count = xcalloc(ids, sizeof(*count));

        m->first = xmalloc(ids * sizeof(*m->first));
        m->next = xmalloc((n + 1) * sizeof(*m->next));
        m->run = xcalloc(n + 1, sizeof(*m->run));
        m->new_run = xcalloc(n + 1, sizeof(*m->new_run));
        for (unsigned i = 0; i < ids; i++)
                m->first[i] = NOWHERE;
        for (unsigned j = n; j-- > 0;) {
                unsigned id = m->b.lines[j].id;

                m->next[j] = m->first[id];
                m->first[id] = j;
                count[id]++;
        }
        for (unsigned i = 0; i < ids && n >= MANY; i++)
                if (count[i] > n / 100 + 1)
                        m->first[i] = NOWHERE;
        free(count);
}

static void forget_runs(struct matcher *m, unsigned *runs, unsigned i)
{
        for (unsigned j = m->first[m->a.lines[i].id]; j != NOWHERE; j = m->next[j])
                runs[j + 1] = 0;
}

static bool equal_at(const struct matcher *m, unsigned i, unsigned j)
{
        return m->a.lines[i].id == m->b.lines[j].id;
}

static struct block longest(struct matcher *m, unsigned alo, unsigned ahi, unsigned blo, unsigned bhi)
{
        struct block best = { alo, blo, 0 };
        unsigned *swap, i;

        for (i = alo; i < ahi && m->steps < STEPS; i++, m->steps++) {
                for (unsigned j = m->first[m->a.lines[i].id]; j != NOWHERE && j < bhi; j = m->next[j], m->steps++) {
                        unsigned k;

                        if (j < blo)
                                continue;
                        k = m->new_run[j + 1] = m->run[j] + 1;
                        if (k > best.n)
                                best = (struct block){ i + 1 - k, j + 1 - k, k };
                }
                if (i > alo)
                        forget_runs(m, m->run, i - 1);
                swap = m->run;
                m->run = m->new_run;
                m->new_run = swap;
        }
        if (i > alo)
                forget_runs(m, m->run, i - 1);
        while (best.a > alo && best.b > blo && equal_at(m, best.a - 1, best.b - 1))
                best = (struct block){ best.a - 1, best.b - 1, best.n + 1 };
        while (best.a + best.n < ahi && best.b + best.n < bhi && equal_at(m, best.a + best.n, best.b + best.n))
                best.n++;
        return best;
}

static void add_block(struct matcher *m, struct block k)
{
        struct block *last = m->n_blocks ? &m->blocks[m->n_blocks - 1] : NULL;

        if (last && last->a + last->n == k.a && last->b + last->n == k.b) {
                last->n += k.n;
                return;
        }
        if (m->n_blocks == m->cap) {
                m->cap = m->cap ? m->cap * 2 : 32;
                m->blocks = xrealloc(m->blocks, m->cap * sizeof(*m->blocks));
        }
        m->blocks[m->n_blocks++] = k;
}

/* DEPTH: each level takes a part of the stack. */
static void match(struct matcher *m, unsigned alo, unsigned ahi, unsigned blo, unsigned bhi, unsigned depth)
{
        struct block k;

        for (; depth < 1000; alo = k.a + k.n, blo = k.b + k.n) {
                k = longest(m, alo, ahi, blo, bhi);
                if (!k.n)
                        return;
                if (alo < k.a && blo < k.b)
                        match(m, alo, k.a, blo, k.b, depth + 1);
                add_block(m, k);
                if (k.a + k.n >= ahi || k.b + k.n >= bhi)
                        return;
        }
}

/* --- how it is shown --- */

static void print_range(struct strbuf *b, char side, unsigned from, unsigned to)
{
        unsigned n = to - from;

        if (n == 1)
                strbuf_printf(b, "%c%u", side, from + 1);
        else
                strbuf_printf(b, "%c%u,%u", side, n ? from + 1 : from, n);
}

static void print_lines(struct strbuf *b, char mark, const struct text *t, unsigned from, unsigned to)
{
        for (; from < to; from++) {
                strbuf_putc(b, mark);
                strbuf_append(b, t->lines[from].s, t->lines[from].len);
                strbuf_putc(b, '\n');
        }
}

static void print_group(struct strbuf *b, const struct matcher *m, const struct change *group, unsigned n)
{
        strbuf_puts(b, "@@ ");
        print_range(b, '-', group[0].a, group[n - 1].a_end);
        strbuf_putc(b, ' ');
        print_range(b, '+', group[0].b, group[n - 1].b_end);
        strbuf_puts(b, " @@\n");
        for (unsigned i = 0; i < n; i++) {
                const struct change *c = &group[i];

                if (c->tag == ' ')
                        print_lines(b, ' ', &m->a, c->a, c->a_end);
                else {
                        print_lines(b, '-', &m->a, c->a, c->a_end);
                        print_lines(b, '+', &m->b, c->b, c->b_end);
                }
        }
}

static void print_changes(struct strbuf *b, struct matcher *m)
{
        struct change *group = xmalloc((2 * m->n_blocks + 4) * sizeof(*group));
        unsigned n = 0, a = 0, at = 0, before = 0;

        add_block(m, (struct block){ m->a.n, m->b.n, 0 }); /* the end, where it does not belong to the last */
        for (unsigned i = 0; i < m->n_blocks; i++) {
                const struct block *k = &m->blocks[i];
                bool changed = k->a > a || k->b > at, last = i + 1 == m->n_blocks || m->blocks[i + 1].n == 0;
                unsigned skip = !before && !changed ? k->n - MIN(k->n, CONTEXT) : 0;

                if (changed)
                        group[n++] = (struct change){ '!', a, k->a, at, k->b };
                before |= changed;
                a = k->a + k->n;
                at = k->b + k->n;
                last &= a == m->a.n && at == m->b.n;
                if (skip || !before) { /* what is equal at the very beginning */
                        if (k->n)
                                group[n++] = (struct change){ ' ', k->a + skip, a, k->b + skip, at };
                } else if (last && k->n) {
                        group[n++] = (struct change){ ' ', k->a, MIN(a, k->a + CONTEXT), k->b, MIN(at, k->b + CONTEXT) };
                } else if (k->n > 2 * CONTEXT) {
                        group[n++] = (struct change){ ' ', k->a, k->a + CONTEXT, k->b, k->b + CONTEXT };
                        print_group(b, m, group, n);
                        n = 0;
                        group[n++] = (struct change){ ' ', a - CONTEXT, a, at - CONTEXT, at };
                } else if (k->n) {
                        group[n++] = (struct change){ ' ', k->a, a, k->b, at };
                }
        }
        if (n > 1 || (n && group[0].tag != ' '))
                print_group(b, m, group, n);
        free(group);
}

const char *go_diff(struct arena *a, const char *was, const char *is)
{
        struct matcher m = { .n_blocks = 0 };
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        split(a, &m.a, was);
        split(a, &m.b, is);
        index_lines(&m);
        match(&m, 0, m.a.n, 0, m.b.n, 0);
        print_changes(&b, &m);
        free(m.a.lines);
        free(m.b.lines);
        free(m.first);
        free(m.next);
        free(m.run);
        free(m.new_run);
        free(m.blocks);
        return arena_strndup(a, strbuf_str(&b), b.len);
}
