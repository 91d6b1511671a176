/* Rules as generate.py compiles them from validation/rules/, and what their C functions see.
 *
 * A rule is one check on one field. The interpreter (engine.c) walks them in order over an object and
 * its schema at once: the schema says what an absent field is worth (Go's zero value), so that a rule
 * need not.
 */
#pragma once

#include "names.h"
#include "validate.h"

enum step_kind { STEP_END, STEP_FIELD, STEP_ITEMS, STEP_ENTRIES, STEP_UP, STEP_ROOT };
struct step {
        enum step_kind kind;
        unsigned bare;     /* FIELD: see struct at */
        const char *name;
        uint32_t len, tag; /* of the name: json_tag() */
        const char *shown; /* FIELD: what errors call it, ".": nothing; NULL: its name */
};

struct at;
struct check;

enum cond_op {
        COND_TRUE, COND_NOT, COND_AND, COND_OR,
        COND_SET,     /* present and not null */
        COND_EMPTY,   /* absent, "", 0, false, [], {} */
        COND_CHANGED, /* differs from the stored object */
        COND_CREATE,
        COND_EQ, COND_NE, COND_LT, COND_LE, COND_GT, COND_GE,
        COND_IN,
        COND_PREFIX,
        COND_CONTAINS,
        COND_LONGER,  /* more bytes, items or entries than VALUE */
        COND_AMONG,   /* equal to one of the places that OTHER names */
        COND_FN,
};
struct cond {
        enum cond_op op;
        const struct step *path;
        bool was;                  /* of the stored object */
        const struct step *other;  /* a place to compare with, instead of TEXT */
        const char *text;          /* what to compare with */
        bool number;               /* TEXT is one: compare sizes */
        long long value;
        const char *const *words;
        const struct cond *x, *y;
        bool (*fn)(struct check *c, const struct at *at);
};

enum rule_op {
        RULE_END,
        RULE_BLOCK,      /* body at path: every item of a list, every entry of a map */
        RULE_IF,         /* cond: body, else: other */
        RULE_USE,        /* the rules of a type here */
        RULE_CALL,       /* fn */
        RULE_REQUIRED, RULE_REQUIRED_HERE, RULE_INVALID_GO, RULE_INVALID, RULE_FORBIDDEN, RULE_NOT_SUPPORTED, RULE_DUPLICATE, RULE_NOT_FOUND, RULE_TOO_LONG, RULE_TOO_MANY,
        RULE_INVALID_AS, /* NAME's text is shown as the value */
        RULE_NAME,       /* name rule */
        RULE_RANGE,      /* lo to hi, detail */
        RULE_ENUM,       /* words */
        RULE_IMMUTABLE,
        RULE_UNIQUE,     /* no earlier sibling has the same value here; with a detail that is Invalid, else Duplicate */
        RULE_QUANTITY,   /* not negative */
        RULE_WARN, RULE_WARN_PLAIN,
        RULE_MAX_ITEMS, RULE_MAX_BYTES,
        RULE_ONCE,       /* of a list: no item, or no field DETAIL of it, is there twice */
};
struct rule {
        enum rule_op op;
        const struct step *path;
        bool optional;             /* an empty value passes */
        bool stop;                 /* once this one failed, the rest of its block is skipped */
        const char *detail;
        const char *text;          /* INVALID_AS */
        enum name_rule name;
        long long lo, hi;
        const char *const *words;
        const struct cond *cond;
        const struct rule *body, *other;
        const struct rule_type *use;
        void (*fn)(struct check *c, const struct at *at);
};

/* A type of the rule files. */
struct rule_type {
        const char *name;
        const struct rule *rules;
};
extern const struct rule_type validation_types[]; /* sorted by name */
extern const unsigned n_validation_types;

struct kind_rules {
        const char *group, *kind;
        enum name_rule name;       /* of metadata.name */
        const struct rule *body;
        /* What the kind checks of metadata on update: changes, changes and all of it, all of it but no changes, all and then changes, nothing
         * (then it is checked as that of any kind, and on create only where there is no other error). */
        enum { KIND_UPDATE_PLAIN, KIND_UPDATE_FULL, KIND_UPDATE_FULL_ONLY, KIND_UPDATE_FULL_TWICE, KIND_UPDATE_FULL_FIRST, KIND_UPDATE_BARE } on_update;
        const char *sub;           /* of the subresource that the rules are about; NULL: none */
};
extern const struct kind_rules validation_kinds[];
extern const unsigned n_validation_kinds;
extern const struct kind_rules validation_subresources[];
extern const unsigned n_validation_subresources;
/* What is let in with a warning. */
extern const struct kind_rules validation_warnings[];
extern const unsigned n_validation_warnings;
/* A place in the object: a chain from the root. */
struct at {
        const struct at *up;
        const struct json *j;      /* never NULL: an absent value is Go's zero value, or null */
        const struct json *old;    /* what the stored object has here; NULL: nothing, or on create */
        const struct schema *s;    /* NULL: unknown */
        bool pointer;              /* Go has a pointer here: absent is nil, not a zero value */
        enum { AT_ROOT, AT_FIELD, AT_ITEM, AT_ENTRY } kind;
        const char *name;          /* of a field or an entry */
        const char *shown;         /* what errors call a field; NULL: its name */
        unsigned bare;             /* FIELD of an item: errors leave out the index (1), and the list too (2) */
        size_t index;              /* of an item */
};

/* The text there; "" where there is none, as Go has it. */
static inline const char *text_at(const struct at *at)
{
        return json_string(at->j) ?: "";
}

struct check {
        struct api_request *r;     /* may be NULL */
        const struct resource *res;
        struct arena *a;
        struct field_errors *errs;
        const struct json *obj, *old; /* OLD: NULL on create */
        const char *sub;
        const struct at *root;
        bool strict;               /* the kind's own rule for names does not tell prefixes from names */
        const char *prefix;        /* of all paths ("" or "spec.template.") */
        const struct json *volumes;    /* of the pod at hand: those that are well and may be mounted */
        struct at *room;               /* for places that C functions ask for, N_ROOM of them */
        unsigned n_room;
};

/* --- engine.c: for the C functions --- */
/* The place of field NAME ("a.b" too) of AT, in the arena. Absent pointers are null. Upstream names some
 * fields of items without the item's index ("-a"), or without the list as well ("--a"). */
const struct at *at_path_of(struct check *c, const struct at *at, const char *path);
const struct at *at_name(struct check *c, const struct at *at, const char *name, size_t len, uint32_t tag); /* just a name */
static inline const struct at *at_field(struct check *c, const struct at *at, const char *path)
{
        if (__builtin_constant_p(*path) && *path != '-' && !strchr(path, '.')) /* the compiler knows its tag */
                return at_name(c, at, path, strlen(path), json_tag(path, strlen(path)));
        return at_path_of(c, at, path);
}
const struct at *at_item(struct check *c, const struct at *list, size_t i);
const struct at *at_entry(struct check *c, const struct at *map, const struct json_member *m);
const char *at_path(struct check *c, const struct at *at);
bool at_empty(const struct at *at);
/* What errors show of AT: its value, but an empty list or map as the client sent it, where it was left out of the object. */
const struct json *at_shown(struct check *c, const struct at *at);
/* What the client sent there, before anything was left out of it; NULL: nothing, or it is not known (bodies that are no JSON). */
const struct json *at_sent(struct check *c, const struct at *at);
static inline bool at_set(const struct at *at)
{
        return !json_is_null(at->j);
}
void rules_run(struct check *c, const struct rule *rules, const struct at *at);
/* Rules of a type of the rule files, by name, a literal. */
void rules_use(struct check *c, const char *type, const struct at *at);
void check_required(struct check *c, const struct at *at, const char *detail);
void check_invalid(struct check *c, const struct at *at, const char *fmt, ...) printf_like(3, 4);
void check_forbidden(struct check *c, const struct at *at, const char *fmt, ...) printf_like(3, 4);
/* The value of AT as Go prints the internal struct: {"Type":"Foo","RollingUpdate":null}. */
const char *go_struct(struct check *c, const struct at *at);
const char *go_value(struct check *c, const struct schema *s, const struct json *j);
/* SENT tells lists and maps that came empty from none, as at_sent() gives it. */
const char *go_value_sent(struct check *c, const struct schema *s, const struct json *j, const struct json *sent);
/* Of a volume's spec, what the volume is: one of its sources, and null for all others. */
const char *go_volume_source(struct check *c, const struct schema *s, const struct json *spec, const struct json *sent);
/* Lines that tell how WAS became IS, both printed as above; upstream's, to the letter. */
const char *go_diff(struct arena *a, const char *was, const char *is);
/* Whether that differs from its JSON. */
bool go_differs(const struct at *at);
/* "path: text" as a warning. */
void check_warn(struct check *c, const struct at *at, const char *fmt, ...) printf_like(3, 4);
void check_enum(struct check *c, const struct at *at, const char *const *words);
void check_name(struct check *c, const struct at *at, enum name_rule rule);
void check_immutable(struct check *c, const struct at *at);

#define ERR_IMMUTABLE "field is immutable"
