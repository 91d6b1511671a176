/* Tables and partial objects (table.h).
 *
 * A column's cell is a recipe, in one of two forms:
 *
 *      .spec.nodeName | <none>      a path, and what stands for an absent or empty value
 *      age .metadata.creationTimestamp
 *      join .spec.containers[].name a function and its arguments (table-cells.c)
 *
 * A path alone takes the value as it is: numbers stay numbers in integer columns and are printed
 * into strings in string columns ("int .path" keeps them numbers there too, as upstream has it in places).
 * Custom resources' columns are "jsonpath .spec.foo": null where there is nothing.
 */
#include "table.h"

#include <errno.h>
#include <stdio.h>

#include "../../lib/base/base.h"
#include "../../lib/base/time.h"
#include "../../lib/json/skim.h"
#include "table-cells.h"

static const struct table_column default_columns[] = {
        { "Name", "string", "name", NULL, 0, ".metadata.name" },
        { "Created At", "date", "", NULL, 0, ".metadata.creationTimestamp" },
};

static const struct table_column scale_columns[] = {
        { "Name", "string", "", NULL, 0, ".metadata.name" },
        { "Desired", "integer", "", NULL, 0, ".spec.replicas" },
        { "Available", "integer", "", NULL, 0, ".status.replicas" },
        { "Age", "string", "", NULL, 0, "age .metadata.creationTimestamp" },
};
/* Of custom resources, whose columns' format is named. */
static const struct table_column custom_scale_columns[] = {
        { "Name", "string", "name", NULL, 0, ".metadata.name" },
        { "Desired", "integer", "", NULL, 0, ".spec.replicas" },
        { "Available", "integer", "", NULL, 0, ".status.replicas" },
        { "Age", "date", "", NULL, 0, "age .metadata.creationTimestamp" },
};
const struct resource table_custom_scale = {
        .group = "autoscaling",
        .version = "v1",
        .name = "scale",
        .kind = "Scale",
        .columns = custom_scale_columns,
        .n_columns = ARRAY_SIZE(custom_scale_columns),
};
const struct resource table_scale = {
        .group = "autoscaling",
        .version = "v1",
        .name = "scale",
        .kind = "Scale",
        .columns = scale_columns,
        .n_columns = ARRAY_SIZE(scale_columns),
};

static const struct table_column *columns_of(const struct resource *res, unsigned *ret_n)
{
        if (res->n_columns) {
                *ret_n = res->n_columns;
                return res->columns;
        }
        *ret_n = ARRAY_SIZE(default_columns);
        return default_columns;
}

int table_include_parse(const char *s, enum table_include *ret)
{
        static const struct {
                const char *name;
                enum table_include include;
        } names[] = { { "", TABLE_METADATA }, { "Metadata", TABLE_METADATA }, { "None", TABLE_NONE }, { "Object", TABLE_OBJECT } };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(s ? s : "", names[i].name)) {
                        *ret = names[i].include;
                        return 0;
                }
        return -EINVAL;
}

/* What a column is about, where its kind does not say: the tables would repeat it a hundred times. */
static const char *column_description(const struct table_column *c)
{
        if (c->description)
                return c->description;
        if (streq(c->name, "Name"))
                return "Name of the object, unique among those of its kind in its namespace.";
        if (streq(c->name, "Age"))
                return "Time since the object was created.";
        if (streq(c->name, "Created At"))
                return "When the object was created.";
        return c->cell[0] == '.' ? c->cell + 1 : "";
}

static void write_column(struct strbuf *out, const struct table_column *c)
{
        const char *about = column_description(c);

        strbuf_puts(out, "{\"name\":");
        json_write_string(out, c->name, strlen(c->name));
        strbuf_printf(out, ",\"type\":\"%s\",\"format\":\"%s\",\"description\":", c->type, c->format ? c->format : "");
        json_write_string(out, about, strlen(about));
        strbuf_printf(out, ",\"priority\":%d}", c->priority);
}

void table_begin(struct strbuf *out, const struct resource *res, const char *version, const struct json *list_meta,
                 bool columns)
{
        unsigned n;
        const struct table_column *c = columns_of(res, &n);

        strbuf_printf(out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/%s\",\"metadata\":", version);
        if (list_meta)
                json_write(out, list_meta);
        else
                strbuf_puts(out, "{}");
        strbuf_puts(out, ",\"columnDefinitions\":");
        if (!columns)
                strbuf_puts(out, "[");
        for (unsigned i = 0; columns && i < n; i++) {
                strbuf_putc(out, i ? ',' : '[');
                write_column(out, &c[i]);
        }
        strbuf_puts(out, "],\"rows\":");
}

/* "Completed" tells kubectl which pods and jobs are through. */
static void write_conditions(struct strbuf *out, const struct resource *res, const struct json *obj)
{
        const char *phase = json_path_string(obj, "status.phase");

        if (!streq(res->kind, "Pod") || res->group[0])
                return;
        if (streq(phase, "Succeeded"))
                strbuf_puts(out, ",\"conditions\":[{\"type\":\"Completed\",\"status\":\"True\",\"reason\":\"Succeeded\","
                                 "\"message\":\"The pod has completed successfully.\"}]");
        else if (streq(phase, "Failed"))
                strbuf_puts(out, ",\"conditions\":[{\"type\":\"Completed\",\"status\":\"True\",\"reason\":\"Failed\","
                                 "\"message\":\"The pod failed.\"}]");
}

/* A column's recipe, read. */
struct recipe {
        const struct cell_function *f; /* NULL: a path */
        const char *args;              /* of the function; the path */
        size_t path_len;
        const char *otherwise;         /* for an absent or empty value at the path; NULL: the value as it is */
        const char *written;           /* that as JSON, where many rows are made; NULL: not yet */
};

static struct recipe read_recipe(const struct table_column *column)
{
        const char *text = column->cell, *bar = strstr(text, " | ");
        size_t n = strcspn(text, " ");

        if (text[0] == '.')
                return (struct recipe){ .args = text, .path_len = bar ? (size_t)(bar - text) : strlen(text),
                                        .otherwise = bar ? bar + 3 : NULL };
        return (struct recipe){ .f = cell_function(text, n), .args = text + n + (text[n] == ' ') };
}

static void write_cell(struct cell *c, const struct recipe *r)
{
        const struct json *v;

        c->args = r->args;
        if (r->f) {
                r->f->fn(c);
                return;
        }
        v = cell_path(c->obj, r->args, r->path_len);
        if (!r->otherwise || (v && !json_is_null(v) && !(json_is_string(v) && !v->len)))
                cell_value(c, v);
        else if (r->written)
                strbuf_puts(c->out, r->written);
        else if (streq(c->column->type, "boolean"))
                strbuf_puts(c->out, r->otherwise);
        else
                cell_string(c, r->otherwise);
}

static const char *written_otherwise(struct arena *a, const struct recipe *r, const struct table_column *column)
{
        if (!r->otherwise || streq(column->type, "boolean"))
                return NULL;
        return json_print(a, json_new_string(a, r->otherwise));
}

static void partial_begin(struct strbuf *out, const char *version)
{
        strbuf_puts(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/");
        strbuf_puts(out, version);
        strbuf_puts(out, "\",\"metadata\":");
}

void partial_object_metadata(struct strbuf *out, const struct json *obj, const char *version)
{
        const struct json *meta = json_get(obj, "metadata");

        partial_begin(out, version);
        if (meta)
                json_write(out, meta);
        else
                strbuf_puts(out, "{}");
        strbuf_putc(out, '}');
}

static void partial_of(struct strbuf *out, const char *metadata, size_t len, const char *version)
{
        partial_begin(out, version);
        strbuf_append(out, metadata, len);
        strbuf_putc(out, '}');
}

bool partial_object_text(struct strbuf *out, const char *text, size_t len, const char *version)
{
        struct json_skim s = { text, text + len };
        struct json_skimmed key;

        json_skim_space(&s);
        for (int r = json_skim_begin(&s, '}'); r > 0 && json_skim_key(&s, &key); r = json_skim_next(&s, '}')) {
                const char *value = s.p;

                if (!json_skim_value(&s))
                        return false;
                if (key.len == strlen("metadata") && memcmp(key.p, "metadata", key.len) == 0) {
                        partial_of(out, value, (size_t)(s.p - value), version);
                        return true;
                }
        }
        return false;
}

/* A DaemonSet's template generation is an annotation only in what is stored: Tables are made from what upstream
 * holds inside. *RET is freed by the caller; it may stay NULL. */
static const struct json *without_shadow(const struct resource *res, const struct json *obj, struct arena **ret)
{
        static const char generation[] = "deprecated.daemonset.template.generation";
        struct json *copy, *notes;

        if (!streq(res->kind, "DaemonSet") || !json_get(json_path(obj, "metadata.annotations"), generation))
                return obj;
        *ret = arena_new(0);
        copy = json_clone(*ret, obj);
        notes = json_path(copy, "metadata.annotations");
        json_del(notes, generation);
        if (!json_len(notes))
                json_path_del(copy, "metadata.annotations");
        return copy;
}

/* A row up to its object. RECIPES: of the columns; NULL: they are read here. */
static void row_begin(struct strbuf *out, const struct resource *res, const struct recipe *recipes, const struct json *obj,
                      int64_t now, bool first)
{
        unsigned n;
        const struct table_column *columns = columns_of(res, &n);
        struct pod_summary pod;
        struct cell c = { .out = out, .obj = obj, .args = "", .now = now, .pod = &pod };

        pod.of = NULL;
        strbuf_puts(out, first ? "[{\"cells\":" : ",{\"cells\":");
        for (unsigned i = 0; i < n; i++) {
                struct recipe recipe = recipes ? recipes[i] : read_recipe(&columns[i]);

                strbuf_putc(out, i ? ',' : '[');
                c.column = &columns[i];
                write_cell(&c, &recipe);
        }
        strbuf_putc(out, ']');
        write_conditions(out, res, obj);
        strbuf_puts(out, ",\"object\":");
}

void table_row(struct strbuf *out, const struct resource *res, const struct json *obj, enum table_include include,
               const char *version, int64_t now, bool first)
{
        struct arena *shadow = NULL;

        row_begin(out, res, NULL, obj, now, first);
        if (include == TABLE_NONE)
                strbuf_puts(out, "null");
        else if (include == TABLE_OBJECT)
                json_write(out, obj);
        else
                partial_object_metadata(out, without_shadow(res, obj, &shadow), version);
        arena_free(shadow);
        strbuf_putc(out, '}');
}

/* --- rows from text --- */

/* A recipe's path; the places in lists that it may name are left out. */
static void want_path(struct arena *a, struct json_want *want, const char *path, size_t len)
{
        char plain[256];
        size_t n = 0;

        for (size_t i = 1; i < len && n < sizeof(plain); i++)
                if (path[i] == '[')
                        i += strcspn(path + i, "]");
                else
                        plain[n++] = path[i];
        json_want_path(a, want, plain, n < sizeof(plain) ? n : 0);
}

static void want_cell(struct arena *a, struct json_want *want, const struct recipe *recipe)
{
        struct cell c = { .args = recipe->args };
        const char *word;
        size_t n;

        if (!recipe->f) {
                want_path(a, want, recipe->args, recipe->path_len);
                return;
        }
        for (unsigned i = 0; cell_word(&c, i, &word, &n); i++)
                if (*word == '.')
                        want_path(a, want, word, n);
        c.args = recipe->f->reads ? recipe->f->reads : "";
        for (unsigned i = 0; cell_word(&c, i, &word, &n); i++)
                json_want_path(a, want, word, n);
        if (!recipe->f->reads)
                json_want_path(a, want, "", 0);
}

struct table_reader {
        const struct resource *res;
        enum table_include include;
        const char *version;
        struct json_want want;
        const struct json_want *metadata;
        struct recipe recipes[];
};

struct table_reader *table_reader_new(struct arena *a, const struct resource *res, enum table_include include,
                                      const char *version)
{
        unsigned n;
        const struct table_column *columns = columns_of(res, &n);
        struct table_reader *t = arena_calloc(a, sizeof(*t) + n * sizeof(*t->recipes));

        t->res = res;
        t->include = include;
        t->version = version;
        json_want_path(a, &t->want, "metadata.name", strlen("metadata.name")); /* metadata are looked at in any case */
        json_want_path(a, &t->want, "status.phase", strlen("status.phase"));   /* write_conditions() */
        for (unsigned i = 0; i < n; i++) {
                t->recipes[i] = read_recipe(&columns[i]);
                t->recipes[i].written = written_otherwise(a, &t->recipes[i], &columns[i]);
                want_cell(a, &t->want, &t->recipes[i]);
        }
        if (include == TABLE_METADATA && streq(res->kind, "DaemonSet"))
                json_want_path(a, &t->want, "", 0); /* without_shadow() */
        t->metadata = json_want_member(&t->want, "metadata", strlen("metadata"));
        return t;
}

bool table_row_text(struct strbuf *out, struct table_reader *t, const char *text, size_t len, int64_t now, bool first)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *obj;

        if (!json_select(a, text, len, &t->want, &obj))
                return false;
        if (t->include == TABLE_METADATA && (t->want.all || !t->metadata->text)) {
                table_row(out, t->res, obj, t->include, t->version, now, first);
                return true;
        }
        row_begin(out, t->res, t->recipes, obj, now, first);
        if (t->include == TABLE_METADATA)
                partial_of(out, t->metadata->text, t->metadata->text_len, t->version);
        else if (t->include == TABLE_OBJECT)
                strbuf_append(out, text, len);
        else
                strbuf_puts(out, "null");
        strbuf_putc(out, '}');
        return true;
}

void table_end(struct strbuf *out, const struct resource *res, size_t n_rows)
{
        if (n_rows)
                strbuf_puts(out, "]}");
        else
                strbuf_puts(out, res->n_columns ? "[]}" : "null}");
}

/* --- durations --- */

char *cell_digits(char *to, int64_t n)
{
        char digits[24], *p = digits + sizeof(digits);
        uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;
        size_t len;

        do
                *--p = (char)('0' + left % 10);
        while (left /= 10);
        if (n < 0)
                *--p = '-';
        len = (size_t)(digits + sizeof(digits) - p);
        memcpy(to, p, len);
        return to + len;
}

static char *two_units(char *buf, int64_t big, char big_unit, int64_t small, char small_unit)
{
        char *p = cell_digits(buf, big);

        *p++ = big_unit;
        if (small) {
                p = cell_digits(p, small);
                *p++ = small_unit;
        }
        *p = '\0';
        return buf;
}

char *human_duration(int64_t ns, char *buf)
{
        int64_t s = ns / NS_PER_SEC, minutes = s / 60, hours = s / 3600, days = hours / 24, years = days / 365;

        if (s < -1) {
                snprintf(buf, 32, "<invalid>");
                return buf;
        }
        if (s < 0)
                return two_units(buf, 0, 's', 0, 0);
        if (s < 120)
                return two_units(buf, s, 's', 0, 0);
        if (minutes < 10)
                return two_units(buf, minutes, 'm', s % 60, 's');
        if (minutes < 3 * 60)
                return two_units(buf, minutes, 'm', 0, 0);
        if (hours < 8)
                return two_units(buf, hours, 'h', minutes % 60, 'm');
        if (hours < 48)
                return two_units(buf, hours, 'h', 0, 0);
        if (hours < 8 * 24)
                return two_units(buf, days, 'd', hours % 24, 'h');
        if (hours < 2 * 365 * 24)
                return two_units(buf, days, 'd', 0, 0);
        if (hours < 8 * 365 * 24)
                return two_units(buf, years, 'y', days % 365, 'd');
        return two_units(buf, years, 'y', 0, 0);
}
