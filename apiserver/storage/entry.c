/* Entries: one object of the cache, made from the bytes that etcd holds.
 *
 *      etcd   {"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-0",...
 *      entry  {"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"web-0",...
 *
 * A tree of a pod takes ten times the bytes of its text, so none is built: one pass over the text finds
 * where the resourceVersion goes, the labels and the selectable fields, and those are packed behind the
 * struct, in one allocation with the key.
 */
#include "entry.h"

#include <errno.h>
#include <stdio.h>

/* --- a scanner of JSON text --- */

struct scan {
        const char *p, *end;
        struct scan_want *want;
        size_t n;
        size_t left; /* wanted ones not yet found */
        unsigned depth;
};

static void skip_space(struct scan *s)
{
        while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
                s->p++;
}

/* Over a string that begins at s->p. */
static bool skip_string(struct scan *s)
{
        const char *p = s->p + 1;

        for (;;) {
                p = memchr(p, '"', (size_t)(s->end - p));
                if (!p)
                        return false;
                /* A quote behind an odd number of backslashes is a character. */
                size_t n = 0;

                while (p[-1 - (ssize_t)n] == '\\')
                        n++;
                p++;
                if (n % 2 == 0)
                        break;
        }
        s->p = p;
        return true;
}

/* Over an object or list that begins at s->p: only brackets outside strings count. */
static bool skip_nested(struct scan *s)
{
        static const unsigned char counts[256] = { ['"'] = 1, ['{'] = 1, ['['] = 1, ['}'] = 1, [']'] = 1 };
        unsigned open = 0;

        do {
                while (s->p < s->end && !counts[(unsigned char)*s->p])
                        s->p++;
                if (s->p == s->end)
                        return false;
                if (*s->p == '"') {
                        if (!skip_string(s))
                                return false;
                        continue;
                }
                open += *s->p == '{' || *s->p == '[' ? 1 : -1;
                s->p++;
        } while (open);
        return true;
}

static bool skip_value(struct scan *s)
{
        if (s->p == s->end)
                return false;
        switch (*s->p) {
        case '"':
                return skip_string(s);
        case '{':
        case '[':
                return skip_nested(s);
        case '}':
        case ']':
        case ',':
        case ':':
                return false;
        default:
                while (s->p < s->end && !strchr(",:{}[]\" \n\t\r", *s->p))
                        s->p++;
                return true;
        }
}

/* The members of the object at s->p. AT[i] is what is still to match of wanted path i, NULL: nothing here. */
static bool scan_object(struct scan *s, const char *const *at)
{
        const char *below[SCAN_MAX];

        if (s->depth++ > 8 || s->p == s->end || *s->p != '{')
                return false;
        s->p++;
        skip_space(s);
        if (s->p < s->end && *s->p == '}') {
                s->p++;
                s->depth--;
                return true;
        }
        for (;;) {
                const char *key = s->p + 1, *start;
                size_t len, hits = 0;
                bool enter = false, take[SCAN_MAX];

                if (s->p == s->end || *s->p != '"' || !skip_string(s))
                        return false;
                len = (size_t)(s->p - key - 1);
                skip_space(s);
                if (s->p == s->end || *s->p++ != ':')
                        return false;
                skip_space(s);
                for (size_t i = 0; i < s->n; i++) {
                        below[i] = NULL;
                        take[i] = false;
                        if (!at[i] || *at[i] != *key || strncmp(at[i], key, len) != 0)
                                continue;
                        if (at[i][len] == '\0') {
                                take[i] = true;
                                hits++;
                        } else if (at[i][len] == '.') {
                                below[i] = at[i] + len + 1;
                                enter = true;
                        }
                }
                start = s->p;
                if (enter && s->p < s->end && *s->p == '{') {
                        if (!scan_object(s, below))
                                return false;
                } else if (!skip_value(s)) {
                        return false;
                }
                for (size_t i = 0; hits && i < s->n; i++) {
                        if (!take[i])
                                continue;
                        s->left -= !s->want[i].found.p; /* a key may be there twice */
                        s->want[i].found = (struct bytes){ start, (size_t)(s->p - start) };
                }
                if (s->left == 0)
                        return true; /* an object around this one that is wanted would still be left */
                skip_space(s);
                if (s->p == s->end)
                        return false;
                if (*s->p == '}')
                        break;
                if (*s->p++ != ',')
                        return false;
                skip_space(s);
        }
        s->p++;
        s->depth--;
        return true;
}

int json_scan(struct bytes text, struct scan_want *want, size_t n)
{
        struct scan s = { .p = text.p, .end = text.p + text.len, .want = want, .n = n, .left = n };
        const char *at[SCAN_MAX];

        for (size_t i = 0; i < n; i++) {
                at[i] = want[i].path;
                want[i].found = (struct bytes){ NULL, 0 };
        }
        skip_space(&s);
        return scan_object(&s, at) ? 0 : -EINVAL;
}

static void append_utf8(struct strbuf *out, uint32_t c)
{
        if (c < 0x80) {
                strbuf_putc(out, (char)c);
        } else if (c < 0x800) {
                strbuf_putc(out, (char)(0xc0 | c >> 6));
                strbuf_putc(out, (char)(0x80 | (c & 0x3f)));
        } else if (c < 0x10000) {
                strbuf_putc(out, (char)(0xe0 | c >> 12));
                strbuf_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
                strbuf_putc(out, (char)(0x80 | (c & 0x3f)));
        } else {
                strbuf_putc(out, (char)(0xf0 | c >> 18));
                strbuf_putc(out, (char)(0x80 | (c >> 12 & 0x3f)));
                strbuf_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
                strbuf_putc(out, (char)(0x80 | (c & 0x3f)));
        }
}

static bool take_hex(const char *p, const char *end, uint32_t *ret)
{
        uint32_t v = 0;

        if (end - p < 4)
                return false;
        for (unsigned i = 0; i < 4; i++) {
                const char *digits = "0123456789abcdef", *d = strchr(digits, p[i] | 0x20);

                if (!p[i] || !d || !*d)
                        return false;
                v = v << 4 | (uint32_t)(d - digits);
        }
        *ret = v;
        return true;
}

void json_scan_string(struct strbuf *out, struct bytes value)
{
        const char *p = value.p, *end = value.p + value.len;

        if (value.len < 2 || *p != '"') {
                strbuf_append(out, value.p, value.len);
                return;
        }
        for (p++, end--; p < end; p++) {
                uint32_t c, low;

                if (*p != '\\') {
                        const char *escape = memchr(p, '\\', (size_t)(end - p));
                        size_t plain = (size_t)((escape ? escape : end) - p);

                        strbuf_append(out, p, plain);
                        p += plain - 1;
                        continue;
                }
                p++;
                if (*p == 'u' && take_hex(p + 1, end, &c)) {
                        p += 4;
                        if (c >= 0xd800 && c < 0xdc00 && end - p > 6 && p[1] == '\\' && p[2] == 'u' &&
                            take_hex(p + 3, end, &low)) {
                                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                                p += 6;
                        }
                        append_utf8(out, c);
                } else {
                        const char *from = "bfnrt", *at = strchr(from, *p);

                        strbuf_putc(out, *p && at ? "\b\f\n\r\t"[at - from] : *p);
                }
        }
}

/* --- where fields come from --- */

/* What upstream computes instead of reading the path of the label's name. */
static const struct {
        const char *resource, *label;
        struct field_source source;
} field_rules[] = {
        { "pods", "spec.hostNetwork", { "spec.hostNetwork", NULL, "false" } },
        { "pods", "spec.host", { "spec.nodeName", NULL, "" } },
        { "pods", "status.podIPs", { NULL, NULL, "" } },
        { "nodes", "spec.unschedulable", { "spec.unschedulable", NULL, "false" } },
        { "replicationcontrollers", "status.replicas", { "status.replicas", NULL, "0" } },
        { "jobs", "status.successful", { "status.succeeded", NULL, "0" } },
        { "events", "source", { "source.component", "reportingComponent", "" } },
        { "events", "reportingController", { "reportingComponent", NULL, "" } },
        { "events", "regarding.kind", { "involvedObject.kind", NULL, "" } },
        { "events", "regarding.namespace", { "involvedObject.namespace", NULL, "" } },
        { "events", "regarding.name", { "involvedObject.name", NULL, "" } },
        { "events", "regarding.uid", { "involvedObject.uid", NULL, "" } },
        { "events", "regarding.apiVersion", { "involvedObject.apiVersion", NULL, "" } },
        { "events", "regarding.resourceVersion", { "involvedObject.resourceVersion", NULL, "" } },
        { "events", "regarding.fieldPath", { "involvedObject.fieldPath", NULL, "" } },
};

void field_set_add(struct field_set *f, const char *resource, const char *label)
{
        struct field_source source = { label, NULL, "" };
        unsigned at;

        for (size_t i = 0; i < f->n_labels; i++)
                if (streq(f->labels[i].label, label))
                        return;
        if (streq(label, "metadata.name") || streq(label, "metadata.namespace"))
                return; /* the key says */
        for (size_t i = 0; i < ARRAY_SIZE(field_rules); i++)
                if (streq(field_rules[i].resource, resource) && streq(field_rules[i].label, label))
                        source = field_rules[i].source;
        for (at = 0; source.path && at < f->n_sources; at++)
                if (streq(f->sources[at].path, source.path) && streq(f->sources[at].second, source.second))
                        break;
        if (!source.path || f->n_sources + 4 >= SCAN_MAX) {
                at = UINT32_MAX;
        } else if (at == f->n_sources) {
                array_reserve(f->sources, f->cap_sources, f->n_sources + 1);
                f->sources[f->n_sources++] = source;
        }
        array_reserve(f->labels, f->cap_labels, f->n_labels + 1);
        f->labels[f->n_labels++] = (struct field_label){ label, at };
}

void field_set_deinit(struct field_set *f)
{
        free(f->sources);
        free(f->labels);
        *f = (struct field_set){ 0 };
}

/* --- entries --- */

/* The labels object's members as "key\0value\0"..., decoded. */
static uint32_t pack_labels(struct strbuf *out, struct bytes text)
{
        struct scan s = { .p = text.p, .end = text.p + text.len };
        uint32_t n = 0;

        if (text.len < 2 || *s.p++ != '{')
                return 0;
        for (skip_space(&s); s.p < s.end && *s.p == '"'; skip_space(&s)) {
                struct bytes key = { s.p, 0 }, value;

                if (!skip_string(&s))
                        return n;
                key.len = (size_t)(s.p - key.p);
                skip_space(&s);
                s.p++; /* the colon */
                skip_space(&s);
                value.p = s.p;
                if (s.p >= s.end || !skip_value(&s))
                        return n;
                value.len = (size_t)(s.p - value.p);
                json_scan_string(out, key);
                strbuf_putc(out, '\0');
                json_scan_string(out, value);
                strbuf_putc(out, '\0');
                n++;
                skip_space(&s);
                if (s.p < s.end && *s.p == ',')
                        s.p++;
        }
        return n;
}

static void pack_field(struct strbuf *out, const struct field_source *source, struct bytes first, struct bytes second)
{
        size_t before = out->len;

        if (first.p && !(first.len == 4 && memcmp(first.p, "null", 4) == 0))
                json_scan_string(out, first);
        if (out->len == before && second.p)
                json_scan_string(out, second);
        if (out->len == before)
                strbuf_puts(out, source->fallback);
        strbuf_putc(out, '\0');
}

/* VALUE with resourceVersion put in front of the other metadata. */
static struct buffer *insert_revision(struct bytes value, const char *at, uint64_t revision)
{
        static const char lead[] = "\"resourceVersion\":\"";
        bool empty = at < value.p + value.len && *at == '}';
        char text[64], *p = text + sizeof(text); /* from its end: printf would cost as much as the copies below */
        size_t n;

        size_t head = (size_t)(at - value.p);
        struct buffer *b;

        if (!empty)
                *--p = ',';
        *--p = '"';
        do
                *--p = (char)('0' + revision % 10);
        while (revision /= 10);
        p -= sizeof(lead) - 1;
        memcpy(p, lead, sizeof(lead) - 1);
        n = (size_t)(text + sizeof(text) - p);
        b = buffer_new(value.len + n);
        memcpy(b->data, value.p, head);
        memcpy(b->data + head, p, n);
        memcpy(b->data + head + n, at, value.len - head);
        b->data[b->len] = '\0';
        return b;
}

/* Without a resourceVersion that another writer left in the stored text. */
static struct buffer *strip_and_insert(struct bytes value, uint64_t revision)
{
        struct arena *a = arena_new(0);
        struct strbuf out = STRBUF_INIT;
        struct json *tree;
        struct buffer *b = NULL;
        struct scan_want want = { "metadata", { NULL, 0 } };

        if (json_parse(a, value.p, value.len, NULL, &tree, NULL) == 0) {
                json_path_del(tree, "metadata.resourceVersion");
                json_write(&out, tree);
                if (json_scan((struct bytes){ out.data, out.len }, &want, 1) == 0 && want.found.p)
                        b = insert_revision((struct bytes){ out.data, out.len }, want.found.p + 1, revision);
        }
        strbuf_deinit(&out);
        arena_free(a);
        return b;
}

static struct entry *entry_alloc(const struct store_kind *kind, const char *key, size_t key_len, size_t id_at,
                                 const char *packed, size_t packed_len)
{
        const char *id = key + id_at, *slash = memchr(id, '/', key_len - id_at);
        size_t ns_len = slash ? (size_t)(slash - id) : 0;
        struct entry *e = xmalloc(sizeof(*e) + key_len + 1 + ns_len + 1 + packed_len);
        char *p = (char *)(e + 1);

        memset(e, 0, sizeof(*e));
        e->refs = 1;
        e->kind = kind;
        memcpy(p, key, key_len);
        p[key_len] = '\0';
        e->key = p;
        e->name = p + id_at + (slash ? ns_len + 1 : 0);
        p += key_len + 1;
        memcpy(p, id, ns_len);
        p[ns_len] = '\0';
        e->namespace = p;
        p += ns_len + 1;
        memcpy(p, packed, packed_len);
        e->packed = p;
        return e;
}

/* The packed labels and fields of the object in TEXT. */
static void pack(struct strbuf *out, const struct store_kind *kind, struct bytes labels,
                 const struct scan_want *fields, uint32_t *ret_n_labels)
{
        const struct field_set *f = store_kind_fields(kind);

        *ret_n_labels = labels.p ? pack_labels(out, labels) : 0;
        for (size_t i = 0, j = 0; i < f->n_sources; i++) {
                struct bytes second = { NULL, 0 }, first = fields[j++].found;

                if (f->sources[i].second)
                        second = fields[j++].found;
                pack_field(out, &f->sources[i], first, second);
        }
}

int entry_new(const struct store_kind *kind, const char *key, size_t key_len, size_t id_at, struct bytes value,
              uint64_t revision, uint64_t create_revision, struct entry **ret)
{
        const struct field_set *f = store_kind_fields(kind);
        struct scan_want want[SCAN_MAX + 1] = { { "metadata", { NULL, 0 } }, { "metadata.labels", { NULL, 0 } },
                                                { "metadata.resourceVersion", { NULL, 0 } } };
        struct buffer *json;
        struct strbuf packed = STRBUF_INIT;
        struct entry *e;
        size_t n = 3;
        uint32_t n_labels;

        for (size_t i = 0; i < f->n_sources; i++) {
                want[n++].path = f->sources[i].path;
                if (f->sources[i].second)
                        want[n++].path = f->sources[i].second;
        }
        if (json_scan(value, want, n) < 0 || !want[0].found.p || *want[0].found.p != '{')
                return -EINVAL;
        json = want[2].found.p ? strip_and_insert(value, revision) :
                                 insert_revision(value, want[0].found.p + 1, revision);
        if (!json)
                return -EINVAL;
        pack(&packed, kind, want[1].found, want + 3, &n_labels);
        e = entry_alloc(kind, key, key_len, id_at, strbuf_str(&packed), packed.len);
        e->revision = revision;
        e->create_revision = create_revision;
        e->json = json;
        e->n_labels = n_labels;
        strbuf_deinit(&packed);
        *ret = e;
        return 0;
}

/* A string's characters, anything else as it is written. */
static void append_value(struct strbuf *out, const struct json *value)
{
        if (value->type == JSON_STRING)
                strbuf_append(out, value->str, value->len);
        else
                json_write(out, value);
}

static bool append_field(struct strbuf *out, const struct json *object, const char *path)
{
        const struct json *value = path ? json_path(object, path) : NULL;
        size_t before = out->len;

        if (value && value->type != JSON_NULL)
                append_value(out, value);
        return out->len != before;
}

struct entry *entry_new_written(const struct store_kind *kind, const char *key, size_t key_len, size_t id_at,
                                struct bytes value, size_t revision_at, const struct json *object, uint64_t revision,
                                uint64_t create_revision)
{
        const struct field_set *f = store_kind_fields(kind);
        _cleanup_strbuf_ struct strbuf packed = STRBUF_INIT;
        struct entry *e;
        uint32_t n_labels = 0;

        strbuf_reserve(&packed, 256);
        json_foreach_member(json_path(object, "metadata.labels"), m) {
                strbuf_append(&packed, m->key, m->key_len + 1);
                append_value(&packed, m->value);
                strbuf_putc(&packed, '\0');
                n_labels++;
        }
        for (size_t i = 0; i < f->n_sources; i++) {
                const struct field_source *source = &f->sources[i];

                if (!append_field(&packed, object, source->path) && !append_field(&packed, object, source->second))
                        strbuf_puts(&packed, source->fallback);
                strbuf_putc(&packed, '\0');
        }
        e = entry_alloc(kind, key, key_len, id_at, strbuf_str(&packed), packed.len);
        e->revision = revision;
        e->create_revision = create_revision;
        e->json = insert_revision(value, value.p + revision_at, revision);
        e->n_labels = n_labels;
        return e;
}

static size_t packed_len(const struct entry *e)
{
        const char *p = e->packed;

        for (size_t n = 2 * (size_t)e->n_labels + store_kind_fields(e->kind)->n_sources; n; n--)
                p += strlen(p) + 1;
        return (size_t)(p - e->packed);
}

static size_t id_at(const struct entry *e)
{
        const char *id = *e->namespace ? e->name - strlen(e->namespace) - 1 : e->name;

        return (size_t)(id - e->key);
}

struct entry *entry_new_at(const struct entry *e, uint64_t revision)
{
        /* The place of the resourceVersion: the first member of metadata, as entry_new() put it. */
        static const char lead[] = "\"metadata\":{\"resourceVersion\":\"";
        struct entry *copy = entry_alloc(e->kind, e->key, strlen(e->key), id_at(e), e->packed, packed_len(e));
        const char *at = memmem(e->json->data, e->json->len, lead, sizeof(lead) - 1), *tail;
        char digits[24];
        size_t head, n = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)revision), rest;

        copy->revision = revision;
        copy->create_revision = e->create_revision;
        copy->n_labels = e->n_labels;
        if (!at) { /* spaces in foreign JSON: the version stays that of the last state */
                copy->json = buffer_ref(e->json);
                return copy;
        }
        at += sizeof(lead) - 1;
        tail = strchr(at, '"');
        head = (size_t)(at - e->json->data);
        rest = e->json->len - (size_t)(tail - e->json->data);
        copy->json = buffer_new(head + n + rest);
        memcpy(copy->json->data, e->json->data, head);
        memcpy(copy->json->data + head, digits, n);
        memcpy(copy->json->data + head + n, tail, rest);
        copy->json->data[copy->json->len] = '\0';
        return copy;
}

struct entry *entry_new_kind(const struct entry *e, const struct store_kind *kind)
{
        const struct field_set *f = store_kind_fields(kind);
        struct scan_want want[SCAN_MAX + 1] = { { "metadata.labels", { NULL, 0 } } };
        struct strbuf packed = STRBUF_INIT;
        struct entry *copy;
        size_t n = 1;
        uint32_t n_labels;

        for (size_t i = 0; i < f->n_sources; i++) {
                want[n++].path = f->sources[i].path;
                if (f->sources[i].second)
                        want[n++].path = f->sources[i].second;
        }
        json_scan((struct bytes){ e->json->data, e->json->len }, want, n);
        pack(&packed, kind, want[0].found, want + 1, &n_labels);
        copy = entry_alloc(kind, e->key, strlen(e->key), id_at(e), strbuf_str(&packed), packed.len);
        copy->revision = e->revision;
        copy->create_revision = e->create_revision;
        copy->n_labels = n_labels;
        copy->json = buffer_ref(e->json);
        strbuf_deinit(&packed);
        return copy;
}

size_t entry_size(const struct entry *e)
{
        return sizeof(*e) + strlen(e->key) + strlen(e->namespace) + 2 + packed_len(e) + sizeof(*e->json) + e->json->len;
}

struct entry *entry_ref(struct entry *e)
{
        e->refs++;
        return e;
}

void entry_unref(struct entry *e)
{
        if (!e || --e->refs)
                return;
        buffer_unref(e->json);
        free(e);
}

const char *entry_label(const struct entry *e, const char *key)
{
        const char *p = e->packed;

        for (uint32_t i = 0; i < e->n_labels; i++) {
                const char *value = p + strlen(p) + 1;

                if (strcmp(p, key) == 0)
                        return value;
                p = value + strlen(value) + 1;
        }
        return NULL;
}

const char *entry_field(const struct entry *e, const char *field)
{
        const struct field_set *f = store_kind_fields(e->kind);

        if (streq(field, "metadata.name"))
                return e->name;
        if (streq(field, "metadata.namespace"))
                return e->namespace;
        for (size_t i = 0; i < f->n_labels; i++) {
                const char *p = e->packed;

                if (!streq(f->labels[i].label, field))
                        continue;
                if (f->labels[i].source == UINT32_MAX)
                        return "";
                for (size_t n = 2 * (size_t)e->n_labels + f->labels[i].source; n; n--)
                        p += strlen(p) + 1;
                return p;
        }
        return NULL;
}

static const char *get_label(const char *key, void *userdata)
{
        return entry_label(userdata, key);
}

static const char *get_field(const char *key, void *userdata)
{
        const char *value = entry_field(userdata, key);

        return value ? value : "";
}

bool entry_matches_labels(const struct entry *e, const struct selector *s)
{
        return !s || selector_matches_fn(s, get_label, (void *)e);
}

bool entry_matches_fields(const struct entry *e, const struct selector *s)
{
        return !s || selector_matches_fn(s, get_field, (void *)e);
}
