/* JSON as a tree in an arena.
 *
 * A tree belongs to the arena it was made in and is freed with it: nodes are never freed one by
 * one. Subtrees may be shared between trees as long as nobody changes them: what may be shared is
 * passed as const. Objects keep the order of their members. Numbers keep the text they came in, so
 * nothing is lost between a client's 1e3 or 18446744073709551615 and etcd.
 *
 * Most questions to an object are for what it does not have. So each member has a tag, the length and three
 * letters of its key, and each object a set of bits, one for each tag it ever had: an absent member costs one test,
 * a present one a look along the tags. Above 32 members there is an index.
 */
#pragma once

#include "../base/arena.h"
#include "../base/error.h"
#include "../base/strbuf.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_member;

struct json {
        uint8_t type; /* enum json_type */
        bool boolean;
        uint32_t len; /* bytes of a string or number, items of an array, members of an object */
        uint32_t cap; /* of items or members */
        uint32_t names; /* of an object: json_tag_bit() of each member, and maybe of some that are gone */
        union {
                const char *str; /* string or number text; NUL-terminated (may hold NULs inside) */
                struct json **items;
                struct json_member *members;
        };
        uint32_t *index; /* of large objects: open-addressing table, or NULL */
};

struct json_member {
        const char *key; /* NUL-terminated */
        uint32_t key_len;
        uint32_t tag;       /* json_tag() of it */
        struct json *value; /* never NULL */
};

/* What tells most keys apart. Of a literal the compiler knows it. */
static inline uint32_t json_tag(const char *key, size_t len)
{
        if (!len)
                return 0;
        return (uint32_t)(len & 0xff) | (uint32_t)(unsigned char)key[0] << 8 |
               (uint32_t)(unsigned char)key[len / 2] << 16 | (uint32_t)(unsigned char)key[len - 1] << 24;
}

static inline uint32_t json_tag_bit(uint32_t tag)
{
        return UINT32_C(1) << (tag * UINT32_C(0x9e3779b1) >> 27);
}

/* Whether two keys of the same tag are the same; of three letters the tag says all. */
static inline bool json_same_key(const char *x, const char *y, size_t len)
{
        if (x == y || len <= 3)
                return true;
        if (len <= 8)
                return memcmp(x, y, 4) == 0 && memcmp(x + len - 4, y + len - 4, 4) == 0; /* two words: no call */
        if (len <= 16)
                return memcmp(x, y, 8) == 0 && memcmp(x + len - 8, y + len - 8, 8) == 0;
        return memcmp(x, y, len) == 0;
}

/* Members and objects that live on the stack. */
static inline struct json_member json_member_of(const char *key, struct json *value)
{
        size_t len = strlen(key);

        return (struct json_member){ .key = key, .key_len = (uint32_t)len, .tag = json_tag(key, len), .value = value };
}

static inline struct json json_object_of(struct json_member *only)
{
        return (struct json){ .type = JSON_OBJECT, .len = 1, .cap = 1, .names = json_tag_bit(only->tag), .members = only };
}

/* --- making --- */
struct json *json_new_null(struct arena *a);
struct json *json_new_bool(struct arena *a, bool b);
struct json *json_new_int(struct arena *a, int64_t i);
struct json *json_new_double(struct arena *a, double d);
struct json *json_new_number(struct arena *a, const char *text, size_t len); /* text of a number */
struct json *json_new_string(struct arena *a, const char *s);                /* copies; NULL gives null */
struct json *json_new_stringn(struct arena *a, const char *s, size_t len);   /* copies */
struct json *json_new_stringf(struct arena *a, const char *fmt, ...) printf_like(2, 3);
struct json *json_new_array(struct arena *a);
struct json *json_new_object(struct arena *a);
struct json *json_clone(struct arena *a, const struct json *j);         /* deep */
struct json *json_clone_shallow(struct arena *a, const struct json *j); /* shares members or items */

/* --- asking: each takes NULL, and a node of any type --- */
static inline bool json_is(const struct json *j, enum json_type t)
{
        return j && j->type == t;
}
#define json_is_object(j) json_is((j), JSON_OBJECT)
#define json_is_array(j) json_is((j), JSON_ARRAY)
#define json_is_string(j) json_is((j), JSON_STRING)
#define json_is_number(j) json_is((j), JSON_NUMBER)
#define json_is_bool(j) json_is((j), JSON_BOOL)
#define json_is_null(j) json_is((j), JSON_NULL)
#define json_is_true(j) (json_is((j), JSON_BOOL) && (j)->boolean)

size_t json_len(const struct json *j); /* items or members; 0 of anything else */
struct json *json_getn(const struct json *obj, const char *key, size_t key_len); /* NULL: absent, or no object */
struct json *json_find(const struct json *obj, const char *key, size_t key_len, uint32_t tag); /* the same */
static inline struct json *json_get(const struct json *obj, const char *key)
{
        if (__builtin_constant_p(*key)) /* the compiler knows its tag */
                return json_find(obj, key, strlen(key), json_tag(key, strlen(key)));
        return json_getn(obj, key, strlen(key));
}
struct json *json_at(const struct json *arr, size_t i);           /* NULL: out of range, or no array */
struct json *json_path(const struct json *j, const char *path);   /* "spec.template.spec"; keys hold no dots */
const char *json_string(const struct json *j);                    /* NULL unless a string */
const char *json_find_string(const struct json *obj, const char *key, size_t key_len, uint32_t tag);
static inline const char *json_get_string(const struct json *obj, const char *key) /* NULL: absent or no string */
{
        return json_find_string(obj, key, strlen(key), json_tag(key, strlen(key)));
}
const char *json_path_string(const struct json *j, const char *path);
/* The number as an integer; 1e3 and 5.0 are integers. -EINVAL: no number or a fraction; -ERANGE. */
int json_to_int(const struct json *j, int64_t *ret);
double json_to_double(const struct json *j, double otherwise);
int64_t json_get_int(const struct json *obj, const char *key, int64_t otherwise);
int64_t json_path_int(const struct json *j, const char *path, int64_t otherwise);
bool json_get_bool(const struct json *obj, const char *key, bool otherwise);
bool json_path_bool(const struct json *j, const char *path, bool otherwise);
/* Deep equality; members in any order; numbers equal when their values are. NULL equals only NULL. */
bool json_equal(const struct json *x, const struct json *y);

/* --- changing: A is the arena that the tree lives in --- */
void json_setn(struct arena *a, struct json *obj, const char *key, size_t len, struct json *value); /* copies the key */
/* KEY outlives the tree; TAG is its json_tag(). */
void json_put(struct arena *a, struct json *obj, const char *key, size_t len, uint32_t tag, struct json *value);
void json_set_copied(struct arena *a, struct json *obj, const char *key, struct json *value);
#define json_set(a, obj, key, value) /* a literal stays where it is, other keys are copied */       \
        (__builtin_constant_p(key) ? json_put(a, obj, key, strlen(key), json_tag(key, strlen(key)), value) : \
                                     json_set_copied(a, obj, key, value))
void json_set_string(struct arena *a, struct json *obj, const char *key, const char *s); /* NULL: deletes */
void json_set_int(struct arena *a, struct json *obj, const char *key, int64_t i);
void json_set_bool(struct arena *a, struct json *obj, const char *key, bool b);
/* Sets at a dotted path, making the objects on the way. */
void json_path_set(struct arena *a, struct json *obj, const char *path, struct json *value);
/* Finds or makes the object member KEY. */
struct json *json_ensure_object(struct arena *a, struct json *obj, const char *key);
struct json *json_ensure_array(struct arena *a, struct json *obj, const char *key);
bool json_del(struct json *obj, const char *key); /* true: it was there; order is kept */
bool json_path_del(struct json *obj, const char *path);
void json_append(struct arena *a, struct json *arr, struct json *value);
void json_insert(struct arena *a, struct json *arr, size_t at, struct json *value);
void json_remove(struct json *arr, size_t at);

/* --- walking --- */
/* OBJ and ARR are evaluated once. */
static inline struct json_member *json_members(const struct json *obj, struct json_member **ret_end)
{
        if (!json_is_object(obj) || !obj->len)
                return NULL;
        *ret_end = obj->members + obj->len;
        return obj->members;
}
#define json_foreach_member(obj, m)                                                                \
        for (struct json_member *_end_##m = NULL, *m = json_members(obj, &_end_##m); m < _end_##m; m++)
/* IT is a struct json *; the index is IT_i. break and continue do as in any loop. */
#define json_foreach_item(arr, it)                                                                 \
        for (size_t it##_i = 0, _of_##it = (size_t)(arr),                                          \
                    _len_##it = json_is_array((const struct json *)_of_##it) ? ((const struct json *)_of_##it)->len : 0, _go_##it = 1; \
             _go_##it && it##_i < _len_##it; it##_i++)                                             \
                for (struct json *it = (_go_##it = 0, ((const struct json *)_of_##it)->items[it##_i]); !_go_##it; _go_##it = 1)

/* --- text --- */
/* No kind needs a hundred levels, and who walks a tree recursively must have room on a fiber's stack. What is nested deeper
 * is checked, and kept as it was written: a node that passes for a number, whose text it is. Go's own limit ends it. */
#define JSON_MAX_DEPTH 512
#define JSON_GO_DEPTH 10000
#define JSON_INDEX_FROM 32 /* larger objects have an index */
struct json_limits {
        size_t max_depth;   /* nested arrays and objects, then it is an error; 0: JSON_GO_DEPTH, see there */
        size_t max_nodes;   /* 0: no limit */
        /* Called for a key that its object already has, with the path to it ("spec.replicas",
         * "spec.containers[0].name"). The last one wins, as in Go. NULL: duplicates pass silently. */
        void (*on_duplicate)(const char *path, void *userdata);
        void *userdata;
};

/* Parses all of TEXT; only white space may follow the value. TEXT need not outlive the call.
 * -EINVAL with Go's encoding/json text in reterr ("invalid character 'x' looking for beginning of
 * value", "unexpected end of JSON input"); -E2BIG past a limit. LIMITS may be NULL. */
int json_parse(struct arena *a, const char *text, size_t len, const struct json_limits *limits,
               struct json **ret, struct error *reterr);
/* For TEXT that was written from a tree: nobody looks for duplicate keys. */
int json_parse_written(struct arena *a, const char *text, size_t len, struct json **ret);
/* Compact; HTML characters are escaped as Go's encoder does (\u003c \u003e \u0026, U+2028/9). */
void json_write(struct strbuf *out, const struct json *j);
void json_write_pretty(struct strbuf *out, const struct json *j, unsigned indent);
void json_write_string(struct strbuf *out, const char *s, size_t len); /* with quotes */
char *json_print(struct arena *a, const struct json *j); /* compact, in the arena */
/* The first number in J that no float64 holds (1e400); NULL: there is none. */
const struct json *json_beyond_double(const struct json *j);
/* Members of objects, here and below, in the order of their keys: what has been a map in Go. */
void json_sort_keys(struct json *j);
/* FNV-1a over the canonical form: members sorted by key. */
uint64_t json_hash(const struct json *j);
