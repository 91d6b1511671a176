/* CustomResourceDefinitions compiled into the tables that all kinds are (schema.h).
 *
 * A definition becomes one struct resource a served version. Its structural schema becomes struct schema: with
 * it pruning, defaulting, apply, managed fields, discovery, OpenAPI and Tables follow as for built-in kinds. What
 * Go's types do for those (right types, no nulls) a custom resource has from its JSON schema instead: every
 * schema of a definition points to the JSON it came from (struct schema_crd), and crd_validate() walks that.
 */
#pragma once

#include "decode.h"
#include "field-error.h"

/* What only schemas of definitions have. */
struct schema_crd {
        const struct json *raw;      /* the JSONSchemaProps */
        const struct json *fallback; /* its default; NULL: none */
        bool nullable;
        const struct crd_rule *rules; /* x-kubernetes-validations, compiled */
        unsigned n_rules;
        bool has_rules;              /* here or below */
        bool root;                   /* of a resource: apiVersion, kind and metadata belong to it without saying */
};

/* What only versions of definitions have. */
struct crd_version {
        const struct crd *crd;
        const struct json *spec;     /* spec.versions[i] */
        const char *spec_replicas, *status_replicas, *selector; /* of /scale, as ".spec.replicas"; NULL: none */
};

struct crd {
        struct arena *arena;         /* all of it, the tree it was compiled from included */
        struct arena *state;         /* metadata and status of a later DEFINITION; NULL: it is the first one */
        unsigned refs;
        const struct json *definition; /* its spec stays, its metadata and status go with crd_renew() */
        const char *name, *uid;
        uint64_t revision;           /* the definition's resourceVersion */
        const struct resource **resources; /* the served versions, the preferred one first */
        size_t n_resources;
        const struct resource *stored;     /* the storage version (served or not) */
        bool terminating;            /* its instances are being deleted: no new ones */
};

/* Compiles DEFINITION's text (a valid one). -EINVAL: it cannot be. */
int crd_compile(const char *text, size_t len, uint64_t revision, struct crd **ret, struct error *reterr);
/* TEXT is a newer state of the same definition. True: all that C was compiled from is in it unchanged (labels and
 * conditions are not), and C stands for it from now on. False: C is as before, and a new one is needed. */
bool crd_renew(struct crd *c, const char *text, size_t len, uint64_t revision);
struct crd *crd_ref(struct crd *c);
void crd_unref(struct crd *c); /* NULL allowed */

/* A structural schema alone, in A: for checking defaults. */
const struct schema *crd_compile_schema(struct arena *a, const struct json *raw, bool root);

/* Prunes OBJ in place: what the schema does not know goes, and is told to STRICT (NULL: silently). Metadata, also of
 * embedded resources, is decoded as any kind's; numbers are written as Go does. -EINVAL with Go's text for bad metadata. */
int crd_decode(struct arena *a, const struct schema *s, struct json *obj, struct strict_errors *strict,
               struct error *reterr);
/* Numbers in *VALUE become what Go holds them in: a float64 where no int64 will do. The first that neither holds; NULL: all are well. */
const struct json *crd_rewrite(struct arena *a, struct json **value);
/* The parts of it: whether something went; what is wrong with embedded resources, at most one. */
bool crd_prune(struct arena *a, const struct schema *s, struct json *v);
void crd_coerce(struct arena *a, const struct schema *s, struct json *v, struct field_errors *errs);
/* Fills in defaults, and takes nulls away where the schema allows none. */
void crd_default(struct arena *a, const struct schema *s, struct json *obj);
/* Puts back into TO, which was made of FROM, the nulls that crd_default() dropped where none may be: what a client applies is
 * refused for them, what it sends otherwise is not. */
void crd_keep_nulls(struct arena *a, const struct schema *s, const struct json *from, struct json *to);

/* What is wrong with OBJ. OLD: the stored object, NULL on create: what did not change is not complained
 * about again (ratcheting). PATH: "" or where the value stands. */
void crd_validate(const struct schema *s, const struct json *obj, const struct json *old, const char *path,
                  struct field_errors *errs);
/* The parts of it, in upstream's order, with the numbers of /scale after the first. Stored lists with duplicates may have
 * others. */
/* Of an object whose status alone was written: errors stand below "status", and their texts call it the root, as upstream's do. */
void crd_validate_status(const struct schema *s, const struct json *obj, const struct json *old, struct field_errors *errs);
/* The same of a default: an integer or a string may be anything. */
void crd_validate_default(const struct schema *s, const struct json *value, struct field_errors *errs);
void crd_validate_values(const struct schema *s, const struct json *obj, const struct json *old, const char *path,
                         struct field_errors *errs);
void crd_validate_scale(const struct crd_version *v, const struct json *obj, bool spec, struct field_errors *errs);
void crd_validate_embedded(const struct schema *s, const struct json *obj, const char *path, struct field_errors *errs);
void crd_validate_lists(const struct schema *s, const struct json *obj, const struct json *old, const char *path,
                        struct field_errors *errs);
/* The items of OLD, a list of maps of schema S, by their keys; empty where items cannot be told apart. */
struct crd_keyed_list {
        struct arena *arena;
        const struct schema *schema;
        struct crd_keyed {
                uint64_t hash;
                size_t i;
                const struct json *keys, *item;
        } *items;
        size_t n;
};
void crd_keyed_init(struct crd_keyed_list *l, struct arena *a, const struct schema *s, const struct json *old);
/* The one that ITEM is a newer state of, or NULL. */
const struct json *crd_keyed_find(const struct crd_keyed_list *l, const struct json *item);

/* CEL rules (crd-rules.c). Compiles those of S and below; whether there are any. */
bool crd_attach_rules(struct arena *a, const struct schema *s);
/* Judges OBJ by them, after crd_validate(): adds to ERRS. WARN (may be NULL) is told of what fails, but was let in before. */
void crd_judge(const struct schema *s, const struct json *obj, const struct json *old, struct field_errors *errs,
               void (*warn)(const char *text, void *userdata), void *userdata);
/* A value against a raw schema alone (defaults, the parts of allOf and so on). */
bool crd_value_valid(struct arena *a, const struct json *raw, const struct json *value);

/* --- formats and patterns --- */
/* Whether VALUE is of FORMAT; true for formats that are not checked. */
bool crd_format_valid(const char *format, const char *value);
bool crd_format_known(const char *type, const char *format);
/* Go's regular expressions (lib/meta/regexp.h). -1: the pattern cannot be compiled
 * (*RET_WHY, may be NULL, in A); 0: no match; 1: match. */
int crd_pattern_match(struct arena *a, const char *pattern, const char *value, const char **ret_why);

/* A value that Go has no type for: whether it holds a float64, what %T and %v say of it. */
bool crd_is_float(const struct json *v);
const char *crd_go_type(const struct json *v);
const char *crd_go_print(struct arena *a, const struct json *v);

/* --- definitions themselves --- */
/* A group of Kubernetes' own, whose definitions need an approval. */
bool crd_group_protected(const char *group);
/* Adds what is wrong with a definition (defaulted); OLD: the stored one, NULL on create. WARN is told of what is
 * odd but let in; it may be NULL. */
void crd_validate_definition(const struct json *crd, const struct json *old, struct field_errors *errs,
                             void (*warn)(const char *text, void *userdata), void *userdata);
/* The same of its status alone. */
void crd_validate_definition_status(const struct json *crd, struct field_errors *errs);
