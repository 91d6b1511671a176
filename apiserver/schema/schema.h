/* Kinds as data: the tables that the whole API server reads.
 *
 * apiserver/kinds/<group>.<Kind>.yaml is compiled at build time into constant tables of these
 * structs; a CustomResourceDefinition is compiled into the same structs at run time (in an arena that
 * lives as long as the definition). Discovery, OpenAPI, decoding, defaulting, pruning, patches, apply,
 * protobuf, Tables and the documentation's list of kinds all follow from them.
 */
#pragma once

#include "../../lib/json/json.h"

enum schema_type {
        SCHEMA_STRING,
        SCHEMA_BOOLEAN,
        SCHEMA_INT32,
        SCHEMA_INT64,
        SCHEMA_DOUBLE,
        SCHEMA_BYTES,         /* base64 on the wire */
        SCHEMA_TIME,          /* metav1.Time */
        SCHEMA_MICRO_TIME,    /* metav1.MicroTime */
        SCHEMA_DURATION,      /* metav1.Duration */
        SCHEMA_QUANTITY,      /* resource.Quantity */
        SCHEMA_INT_OR_STRING, /* intstr.IntOrString */
        SCHEMA_ANY,           /* any JSON: RawExtension, JSON, FieldsV1 */
        SCHEMA_ARRAY,
        SCHEMA_MAP,           /* string keys */
        SCHEMA_STRUCT,
};

enum schema_list { SCHEMA_LIST_ATOMIC, SCHEMA_LIST_SET, SCHEMA_LIST_MAP };

struct schema_field;
struct arena;

/* How a type travels in protobuf where its JSON form does not say it. */
enum schema_wire {
        SCHEMA_WIRE_PLAIN,
        SCHEMA_WIRE_RAW,        /* message { bytes raw = 1; } that holds JSON */
        SCHEMA_WIRE_ITEMS,      /* a list as message { repeated items = 1; }: values of a map */
        SCHEMA_WIRE_OR_LIST,    /* JSONSchemaPropsOrArray: elem, or a list of them */
        SCHEMA_WIRE_OR_BOOL,    /* JSONSchemaPropsOrBool */
        SCHEMA_WIRE_OR_STRINGS, /* JSONSchemaPropsOrStringArray */
};

/* A defaulting rule (schema/default.c): fills in what depends on other fields. OBJ is of the type. */
typedef void schema_rule(struct arena *a, struct json *obj);

/* A type. Types of the built-in kinds are shared and may be recursive (JSONSchemaProps). */
struct schema {
        const char *name;          /* "io.k8s.api.core.v1.Container"; NULL for anonymous ones */
        const char *description;   /* a line of our own; may be NULL */
        const char *group_version; /* of a type that is a body by itself ("apps/v1", "v1"); else NULL */
        const char *go_type;       /* as Go names it in its errors ("v1.ResourceList"); NULL: follows from the rest */
        enum schema_type type;
        enum schema_wire wire;
        /* ARRAY and MAP; the schema inside an SCHEMA_WIRE_OR_... */
        const struct schema *elem;
        enum schema_list list_type;
        bool list_declared;           /* the list type is said, not just assumed */
        const char *const *list_keys; /* NULL-terminated; of SCHEMA_LIST_MAP */
        bool atomic;                  /* a map or struct that apply treats as one value */
        /* STRUCT: sorted by name */
        const struct schema_field *fields;
        unsigned n_fields;
        /* A perfect hash of the fields' tags, in built-in tables: the number of the field, or 255, at
         * json_tag() * MULTIPLIER >> SHIFT; NULL: none. */
        const unsigned char *slots;
        uint32_t multiplier;
        unsigned char shift;
        /* Numbers of the fields that are written even where they are absent, and of those that have defaults, or below. */
        const unsigned char *written, *defaulted;
        unsigned n_written, n_defaulted;
        bool preserve_unknown;        /* unknown fields are kept (CRDs) */
        bool embedded_resource;       /* x-kubernetes-embedded-resource */
        /* constraints that data can say; 0 or NULL: none */
        const char *const *enums;     /* NULL-terminated */
        const char *format;           /* "int32", "date-time", "byte"; as OpenAPI publishes it */
        const char *openapi;          /* members that OpenAPI shows beside the rest, as JSON text; NULL: none */
        const struct schema_crd *crd; /* what only CRD schemas have (pattern, oneOf, CEL rules ...) */
        /* defaulting */
        schema_rule *const *rules;    /* NULL-terminated; run after the fields' own defaults; may be NULL */
        bool has_defaults;            /* here or below: else defaulting need not look */
        bool defaults_absent;         /* defaults are due even where the object itself was left out (a struct by value in Go) */
};

enum schema_gated { GATED_NOT, GATED_FIELD, GATED_PARENT /* and the object around it when nothing else is there */ };
struct schema_field {
        const char *name;          /* of built-in types: "f:" stands before it, as managed fields write it */
        uint32_t len, tag;         /* of the name: json_tag() */
        const char *description;   /* may be NULL */
        const struct schema *type;
        const char *patch_merge_key;      /* strategic merge; NULL: none */
        bool patch_merge, patch_replace, patch_retain_keys; /* patchStrategy */
        bool required;
        bool presence;             /* a pointer in Go: an explicit zero differs from absence */
        bool emit_empty;           /* written even when empty */
        enum schema_gated gated;   /* its feature is off: published and known, but what clients send is dropped */
        const char *empty_as;      /* JSON text written for an absent one ("{}", "null", "0"); NULL: none */
        const char *fallback;      /* default value as JSON text; NULL: none */
        bool published;            /* OpenAPI shows that default */
        bool bare;                 /* upstream has no words for it: OpenAPI v3 shows nothing but the reference */
        unsigned short proto;      /* protobuf number; 0: none */
        unsigned char proto_outer[2]; /* the message fields it is nested in, outermost first, or 0: JSON flattens them */
        const char *embed;         /* Go's name of that embedded struct, for its errors; NULL: none */
        unsigned short order;      /* where its type declares it, counted from 0: in that order Go prints it */
};

struct table_column {
        const char *name, *type, *format, *description;
        int priority;
        /* How the cell is made: ".spec.nodeName | <none>", "age .metadata.creationTimestamp", "pod-ready":
         * see the head of schema/table.c. */
        const char *cell;
};

struct subresource {
        const char *name;          /* "status", "scale", "exec" */
        const char *group, *version, *kind; /* of its body */
        const char *const *verbs;  /* NULL-terminated */
};

struct strategy; /* registry/strategy.h: the few hooks that data cannot say */

/* One resource at one version: what a URL names. */
struct resource {
        const char *group;         /* "" is core */
        const char *version;
        const char *name;          /* "deployments" */
        const char *singular;
        const char *kind;          /* "Deployment" */
        const char *list_kind;
        const char *const *short_names, *const *categories; /* NULL-terminated, may be NULL */
        bool namespaced;
        const char *const *verbs;
        const struct subresource *subresources;
        unsigned n_subresources;
        const struct schema *schema;
        const struct table_column *columns;
        unsigned n_columns;
        /* Selectable fields besides metadata.name and metadata.namespace: paths as clients write them. */
        const char *const *field_selectors;
        /* Where it is stored: "/registry/" storage_prefix "/" [namespace "/"] name */
        const char *storage_prefix; /* "deployments", "services/specs" */
        /* The resource whose objects these are, in another version or group (events.k8s.io events are
         * core events, autoscaling/v1 HPAs are v2's); NULL: itself. */
        const char *storage_group, *storage_version;
        /* generation: how metadata.generation moves */
        bool generation;                    /* 1 on create (see generation_start), +1 when one of generation_paths changes */
        bool status_subresource;
        bool create_on_update, unconditional_update;
        bool delete_returns_object;         /* else a Status */
        bool no_namespace_selector;         /* metadata.namespace is refused as a field selector */
        bool stored;                        /* it has objects (verbs get, list, watch ...); else a review, a binding */
        unsigned char generation_start;     /* 1, or 0 for kinds that begin without one */
        /* Top-level fields and paths; "*" is everything but metadata (and status, where it is a subresource).
         * Built-in kinds always say; NULL is "*". */
        const char *const *generation_paths;
        const char *const *reset_on_create; /* paths removed from what a create sends ("status") */
        const char *const *reset_on_update; /* paths that a plain update takes from the stored object; what apply does not own */
        const char *const *reset_on_status; /* the same for /status; "metadata" is all of it but managedFields */
        const char *const *immutable;       /* paths that an update must not change */
        const struct strategy *strategy;    /* NULL: data says it all. Built-in kinds: see registry/ */
        const struct crd_version *crd;      /* NULL: built in */
        const char *deprecated;             /* the warning that every answer about it carries; NULL: none */
        const char *storage_hash;           /* storageVersionHash of discovery; NULL: none */
        const struct json *openapi;         /* a CRD version's openAPIV3Schema as written; NULL: built in, or none */
};

/* --- the built-in tables, generated --- */
extern const struct resource *const builtin_resources[];
extern const unsigned n_builtin_resources;
/* All named types, sorted by name. */
extern const struct schema builtin_schemas[];
extern const unsigned n_builtin_schemas;
/* Changes whenever the tables do: 128 upper-case hexadecimal digits. */
extern const char builtin_hash[];
const struct resource *builtin_resource(const char *group, const char *version, const char *name);
const struct resource *builtin_kind(const char *group, const char *version, const char *kind);
const struct schema *builtin_schema(const char *name); /* "io.k8s.api.core.v1.Pod" */
/* The type of a body: ("policy/v1", "Eviction"), ("v1", "DeleteOptions"); options are found under any group version. */
const struct schema *builtin_body(const char *group_version, const char *kind);
/* Each group's versions in order of preference are the order of these. */
struct api_group {
        const char *name;
        const char *const *versions; /* NULL-terminated */
        int32_t priority;            /* spec.groupPriorityMinimum of its APIServices */
        int32_t version_priorities[4]; /* spec.versionPriority of each */
};
extern const struct api_group builtin_groups[]; /* in discovery order, core first */
extern const unsigned n_builtin_groups;

/* The field NAME of a struct type, by binary search; NULL: unknown. */
const struct schema_field *schema_field(const struct schema *s, const char *name);
/* The default that OpenAPI v3 shows, and that keys of lists have: Go's zero value where it is always written, else one that the
 * type declares. As JSON; NULL: none. */
const char *schema_published_default(const struct schema_field *f);
const struct schema_field *schema_fieldn(const struct schema *s, const char *name, size_t len); /* no NUL in it */
/* The same for those that have the name's json_tag(). Quickest where NAME is the field's own, as schema_decode() leaves it. */
const struct schema_field *schema_search(const struct schema *s, const char *name, size_t len);
static inline const struct schema_field *schema_find(const struct schema *s, const char *name, size_t len, uint32_t tag)
{
        const struct schema_field *f;
        unsigned number;

        if (!s->slots)
                return schema_search(s, name, len);
        number = s->slots[tag * s->multiplier >> s->shift];
        f = &s->fields[number];
        return number != 255 && f->tag == tag && f->len == len && json_same_key(f->name, name, len) ? f : NULL;
}
static inline const struct schema_field *schema_member(const struct schema *s, const struct json_member *m)
{
        return schema_find(s, m->key, m->key_len, m->tag);
}
/* The value that OBJ has for F. */
static inline struct json *schema_get(const struct json *obj, const struct schema_field *f)
{
        return json_find(obj, f->name, f->len, f->tag);
}
