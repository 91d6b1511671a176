/* What changed, for people: the lines at the end of some messages. Upstream prints both values as indented JSON and compares the
 * lines as Python's difflib does (and go-difflib after it): the longest stretch of lines that both have, then the longest on
 * either side of it, and so on; what is left between is told, with three lines around. The lines are what difflib makes of it, so
 * its shortcut is here too: in 200 lines and more, those that come often are not where a stretch begins. */
#include "../schema/field-error.h"
#include "rules.h"

#define CONTEXT 3
#define MANY_LINES 200

struct lines {
        const char **text;
        size_t n;
};

struct block {
        size_t a, b, n; /* N lines of both: from line A of the old ones, from line B of the new */
};

struct diff {
        struct arena *arena;
        struct lines a, b;
        bool *popular;    /* lines of B that are too common to look for */
        size_t *run, *at; /* how long a stretch ends at a line of B: for the line of A at hand, and for the one before */
        struct block *blocks;
        size_t n_blocks;
};

static void newline(struct strbuf *b, unsigned depth)
{
        strbuf_putc(b, '\n');
        while (depth--)
                strbuf_putc(b, ' ');
}

/* Compact JSON, with each member and item on a line of its own, one space a level. */
static char *indented(struct arena *a, const char *text)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        bool quoted = false;
        unsigned depth = 0;

        for (const char *p = text; *p; p++) {
                bool closes = !quoted && (*p == '}' || *p == ']');

                if (closes && p[-1] != (*p == '}' ? '{' : '['))
                        newline(&b, --depth);
                else if (closes)
                        depth--;
                strbuf_putc(&b, *p);
                if (quoted && *p == '\\' && p[1])
                        strbuf_putc(&b, *++p);
                else if (*p == '"')
                        quoted = !quoted;
                else if (quoted)
                        continue;
                else if (*p == ':')
                        strbuf_putc(&b, ' ');
                else if (*p == ',')
                        newline(&b, depth);
                else if ((*p == '{' || *p == '[') && ++depth && p[1] != '}' && p[1] != ']')
                        newline(&b, depth);
        }
        return arena_strndup(a, strbuf_str(&b), b.len);
}

static struct lines split(struct arena *a, char *text)
{
        struct lines out = { .n = 1 };
        char *save = NULL;

        for (const char *p = text; *p; p++)
                out.n += *p == '\n';
        out.text = arena_alloc(a, out.n * sizeof(*out.text));
        out.n = 0;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                out.text[out.n++] = line;
        return out;
}

static void find_popular(struct diff *d)
{
        d->popular = arena_calloc(d->arena, d->b.n * sizeof(*d->popular) + 1);
        for (size_t i = 0; d->b.n >= MANY_LINES && i < d->b.n; i++) {
                size_t times = 0;

                for (size_t k = 0; k < d->b.n; k++)
                        times += streq(d->b.text[i], d->b.text[k]);
                d->popular[i] = times > d->b.n / 100 + 1;
        }
}

/* The first of the longest stretches within these lines. */
static struct block longest(struct diff *d, size_t a, size_t a_end, size_t b, size_t b_end)
{
        struct block best = { a, b, 0 };

        memset(d->at, 0, (d->b.n + 1) * sizeof(*d->at));
        for (size_t i = a; i < a_end; i++) {
                size_t *before = d->at;

                memset(d->run, 0, (d->b.n + 1) * sizeof(*d->run));
                for (size_t j = b; j < b_end; j++) {
                        if (d->popular[j] || !streq(d->a.text[i], d->b.text[j]))
                                continue;
                        d->run[j + 1] = (j > b ? before[j] : 0) + 1;
                        if (d->run[j + 1] > best.n)
                                best = (struct block){ i + 1 - d->run[j + 1], j + 1 - d->run[j + 1], d->run[j + 1] };
                }
                d->at = d->run;
                d->run = before;
        }
        for (; best.a > a && best.b > b && streq(d->a.text[best.a - 1], d->b.text[best.b - 1]); best.n++) {
                best.a--;
                best.b--;
        }
        while (best.a + best.n < a_end && best.b + best.n < b_end && streq(d->a.text[best.a + best.n], d->b.text[best.b + best.n]))
                best.n++;
        return best;
}

/* All stretches, in order; neighbours become one. */
static void match(struct diff *d, size_t a, size_t a_end, size_t b, size_t b_end)
{
        struct block found = longest(d, a, a_end, b, b_end), *last;

        if (!found.n)
                return;
        if (a < found.a && b < found.b)
                match(d, a, found.a, b, found.b);
        last = d->n_blocks ? &d->blocks[d->n_blocks - 1] : NULL;
        if (last && last->a + last->n == found.a && last->b + last->n == found.b)
                last->n += found.n;
        else
                d->blocks[d->n_blocks++] = found;
        if (found.a + found.n < a_end && found.b + found.n < b_end)
                match(d, found.a + found.n, a_end, found.b + found.n, b_end);
}

static void print_range(struct strbuf *out, char sign, size_t start, size_t end)
{
        size_t n = end - start;

        if (n == 1)
                strbuf_printf(out, "%c%zu", sign, start + 1);
        else
                strbuf_printf(out, "%c%zu,%zu", sign, n ? start + 1 : start, n);
}

static void print_lines(struct strbuf *out, char sign, const struct lines *lines, size_t start, size_t end)
{
        for (size_t i = start; i < end; i++)
                strbuf_printf(out, "%c%s\n", sign, lines->text[i]);
}

/* What changed between block I and the next, and what follows as long as no more than twice the context is between. Returns where
 * it ended. The first block begins and the last one ends where both texts do, if with no lines of its own. */
static size_t print_group(struct strbuf *out, const struct diff *d, size_t i)
{
        const struct block *k = &d->blocks[i];
        size_t context = MIN(k->n, (size_t)CONTEXT), last = i + 1;
        size_t a = k->a + k->n - context, b = k->b + k->n - context, end;

        while (last + 1 < d->n_blocks && d->blocks[last].n <= 2 * CONTEXT)
                last++;
        end = MIN(d->blocks[last].n, (size_t)CONTEXT);
        strbuf_puts(out, "@@ ");
        print_range(out, '-', a, d->blocks[last].a + end);
        strbuf_putc(out, ' ');
        print_range(out, '+', b, d->blocks[last].b + end);
        strbuf_puts(out, " @@\n");
        print_lines(out, ' ', &d->a, a, a + context);
        for (; i < last; i++) {
                const struct block *from = &d->blocks[i], *to = from + 1;

                print_lines(out, '-', &d->a, from->a + from->n, to->a);
                print_lines(out, '+', &d->b, from->b + from->n, to->b);
                print_lines(out, ' ', &d->a, to->a, to->a + (i + 1 == last ? end : to->n));
        }
        return last;
}

const char *go_diff(struct arena *a, const char *was, const char *is)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        struct diff d = { .arena = a, .a = split(a, indented(a, was)), .b = split(a, indented(a, is)) };
        const struct block *last;

        d.run = arena_calloc(a, (d.b.n + 1) * sizeof(*d.run));
        d.at = arena_calloc(a, (d.b.n + 1) * sizeof(*d.at));
        d.blocks = arena_calloc(a, (MIN(d.a.n, d.b.n) + 2) * sizeof(*d.blocks));
        find_popular(&d);
        d.n_blocks = 1;
        match(&d, 0, d.a.n, 0, d.b.n);
        last = &d.blocks[d.n_blocks - 1];
        if (last->a + last->n < d.a.n || last->b + last->n < d.b.n)
                d.blocks[d.n_blocks++] = (struct block){ d.a.n, d.b.n, 0 };
        for (size_t i = 0; i + 1 < d.n_blocks;)
                i = print_group(&out, &d, i);
        return arena_strndup(a, strbuf_str(&out), out.len);
}
