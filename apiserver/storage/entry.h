/* How an object becomes an entry: private to the store. */
#pragma once

#include "etcd-wire.h"
#include "store.h"

/* A value that is looked for in JSON text, by a dotted path of at most 7 keys. */
struct scan_want {
        const char *path;
        struct bytes found; /* the text of the value, quotes included; p NULL: absent */
};
#define SCAN_MAX 24
/* One pass over TEXT, until all of WANT (at most SCAN_MAX) are found. Arrays are not entered. -EINVAL unless TEXT is
 * a JSON object as far as it has to be read. */
int json_scan(struct bytes text, struct scan_want *want, size_t n);
/* The characters of a JSON string's text (with its quotes), unescaped; anything else as it stands. */
void json_scan_string(struct strbuf *out, struct bytes value);

/* Where selectable fields come from. */
struct field_source {
        const char *path;     /* in the stored JSON */
        const char *second;   /* taken when the first is absent or empty; may be NULL */
        const char *fallback; /* when all is absent */
};
struct field_label {
        const char *label;    /* as clients write it */
        unsigned source;      /* which of the sources; UINT32_MAX: always "" */
};
struct field_set {
        struct field_source *sources;
        struct field_label *labels;
        size_t n_sources, cap_sources, n_labels, cap_labels;
};
void field_set_add(struct field_set *f, const char *resource, const char *label); /* once for equal ones */
void field_set_deinit(struct field_set *f);

/* One kind of the cache needs to say only this to its entries. */
const struct field_set *store_kind_fields(const struct store_kind *k);

/* Makes an entry from what etcd holds. -EINVAL: VALUE is no object. ID_AT: where in KEY "namespace/name"
 * begins. */
int entry_new(const struct store_kind *kind, const char *key, size_t key_len, size_t id_at, struct bytes value,
              uint64_t revision, uint64_t create_revision, struct entry **ret);
/* The same of what this server wrote itself, which has its tree still: VALUE is OBJECT as text, REVISION_AT the place in it
 * behind `"metadata":{`. Nothing has to be looked for in the text. */
struct entry *entry_new_written(const struct store_kind *kind, const char *key, size_t key_len, size_t id_at,
                                struct bytes value, size_t revision_at, const struct json *object, uint64_t revision,
                                uint64_t create_revision);
/* The same object with another resourceVersion: what a deletion shows. */
struct entry *entry_new_at(const struct entry *e, uint64_t revision);
/* The same bytes with the fields of KIND drawn anew. */
struct entry *entry_new_kind(const struct entry *e, const struct store_kind *kind);
size_t entry_size(const struct entry *e); /* bytes of memory, its JSON included */
