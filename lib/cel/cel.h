/* CEL, the Common Expression Language (github.com/google/cel-spec), as Kubernetes speaks it: the standard macros and
 * functions, optionals, comprehensions with two variables, the strings and sets extensions, and Kubernetes' own
 * libraries (lists, regex, URLs, IP, CIDR, quantities, semver, formats). Errors are in the words of cel-go.
 *
 *      cel_compile(a, "object.spec.replicas <= 3", names, &program, &err);
 *      struct cel_run run = { .arena = a, .resolve = resolve, .userdata = me, .limit = 1000000 };
 *      struct cel_value v = cel_eval(program, &run);
 *
 * Compiling resolves names and overloads of what is known at that time; what comes from JSON is dynamic, and is
 * judged when it is evaluated. Nothing here blocks; time and memory are bounded by `limit`.
 *
 * Limits: time zones are "UTC" or a fixed offset ("+02:00").
 */
#pragma once

#include "../json/json.h"
#include "../meta/quantity.h"

enum cel_type {
        CEL_ERROR, /* str: what went wrong; only ever a result */
        CEL_NULL,
        CEL_BOOL,
        CEL_INT,
        CEL_UINT,
        CEL_DOUBLE,
        CEL_STRING,
        CEL_BYTES,
        CEL_LIST,
        CEL_MAP,
        CEL_TYPE,      /* str: its name */
        CEL_TIMESTAMP, /* time */
        CEL_DURATION,  /* i: nanoseconds */
        CEL_OPTIONAL,  /* inner; NULL: none */
        CEL_QUANTITY,
        CEL_IP,
        CEL_CIDR,
        CEL_URL,
        CEL_SEMVER,
        CEL_FORMAT, /* str: its name */
        CEL_OBJECT, /* the caller's own */
        CEL_DYN,    /* of expressions, never of values: not known before they are evaluated */
        CEL_PARAM,  /* of expressions: a type that is still looked for */
};

/* What is known of an expression before it is evaluated: its type, the types within, and how large it may become.
 * Shapes of CEL_OBJECT are the same if they are the same struct. */
struct cel_shape {
        enum cel_type type;
        const struct cel_shape *of[2];    /* items; keys and values; the type of a CEL_TYPE, or NULL */
        const char *name;                 /* of a CEL_OBJECT: shown in errors */
        const struct cel_member *members; /* of a CEL_OBJECT, by name; NULL: nothing is known of them */
        size_t n_members;
        bool open;       /* a CEL_OBJECT that may have any member, of any type */
        uint64_t max;    /* how many items, entries, bytes there can be: what an estimate rests on */
        uint32_t min;    /* bytes that the shortest value has as JSON */
        enum { CEL_LIST_ATOMIC, CEL_LIST_SET, CEL_LIST_MAP } list; /* of lists that are JSON: what is equal, what "+" does */
        const struct json *keys;                                   /* of a CEL_LIST_MAP */
        uint32_t weight; /* shapes within it, for a limit */
        uint32_t param;
};

struct cel_member {
        const char *name;  /* as expressions write it: "a__dash__b" */
        const char *field; /* as JSON has it: "a-b" */
        const struct cel_shape *shape;
};

extern const struct cel_shape cel_shapes[CEL_PARAM]; /* the simple ones, by type */
/* Where schemas that refer to others by "$ref" find them. */
struct cel_schemas {
        const struct json *(*find)(void *userdata, const char *ref); /* NULL: there is none */
        void *userdata;
};
/* Of values that SCHEMA describes, an object's name being NAME. RESOURCE: its type and its metadata's name are there
 * without being said. SCHEMAS may be NULL. NULL: expressions see nothing of it. */
const struct cel_shape *cel_schema_shape(struct arena *a, const struct json *schema, bool resource, const char *name,
                                         const struct cel_schemas *schemas);
/* Of the variables "request" and "namespaceObject" of admission policies. */
extern const struct cel_shape cel_request_shape, cel_namespace_shape;
/* Of Kubernetes' authorizer, whose functions are known. */
const struct cel_shape *cel_authorizer_shape(void);

struct cel_variable {
        const char *name;
        const struct cel_shape *shape;
};

struct cel_env {
        const struct cel_variable *variables;
        size_t n;
        bool patches; /* Object{} and JSONPatch{} are there, and jsonpatch.escapeKey() */
        /* Estimates what it may cost; sizes are looked up below this shape (of whatever variable). NULL: it does not. */
        const struct cel_shape *estimate;
};

struct cel_value;
struct cel_run;

struct cel_string {
        const char *s; /* UTF-8 or bytes; may hold NULs, need not end with one */
        size_t len;
};

struct cel_list {
        struct cel_value *items;
        size_t n;
        const struct cel_shape *shape; /* of a set or a list with keys; NULL: it has an order */
};

struct cel_map {
        struct cel_entry *entries;
        size_t n;
        const char *type_name; /* of a message that was written out ("Object.spec"), or NULL */
};

struct cel_address {
        bool v6;
        uint8_t bytes[16]; /* 4 of v4 */
        int prefix;        /* of a CIDR */
};

struct cel_url {
        struct cel_string scheme, host, path, query; /* as they stand in the text */
};

struct cel_semver {
        uint64_t major, minor, patch;
        struct cel_string pre, build; /* without their - and + */
};

/* What a caller brings along: an authorizer, variables that are evaluated when they are first asked for. */
struct cel_class {
        const char *type_name;
        /* A field; CEL_ERROR "no such key: NAME" when there is none. NULL: it has none. */
        struct cel_value (*field)(struct cel_run *run, void *data, const char *name);
        /* A member function with its arguments (without the object itself). NULL: it has none. */
        struct cel_value (*call)(struct cel_run *run, void *data, const char *function, size_t n,
                                 const struct cel_value *args);
};

struct cel_value {
        enum cel_type type;
        bool lazy; /* a list or map that is still JSON */
        union {
                bool b;
                int64_t i;
                uint64_t u;
                double d;
                struct cel_string str;
                const struct cel_list *list;
                const struct cel_map *map;
                struct { /* if lazy */
                        const struct json *json;
                        const struct cel_shape *shape; /* of it; NULL: not known */
                };
                struct {
                        int64_t seconds; /* since 1970 */
                        int32_t nanos;
                } time;
                const struct cel_value *inner;
                const struct quantity *quantity;
                const struct cel_address *address;
                const struct cel_url *url;
                const struct cel_semver *semver;
                struct {
                        const struct cel_class *class;
                        void *data;
                } object;
        };
};

struct cel_entry {
        struct cel_value key, value;
};

struct cel_run {
        struct arena *arena; /* values live in it */
        /* The value of a variable that was declared. */
        struct cel_value (*resolve)(struct cel_run *run, void *userdata, const char *name);
        void *userdata;
        uint64_t limit; /* cost units, as upstream counts them; 0: none */
        uint64_t cost;  /* spent so far; may be carried from one evaluation to the next */
};

struct cel_program;

/* TEXT by the variables of ENV, whose shapes are kept. -EINVAL: reterr says "compilation failed: ERROR: <input>:1:5: ..."
 * with the line and a mark below it. */
int cel_compile_in(struct arena *a, const char *text, const struct cel_env *env, struct cel_program **ret, struct error *reterr);
/* The same where types are not known. VARIABLES: the names that may be used, NULL-ended; "request.name" says that request has a field of that name, and none
 * that is not said ("request." alone: it has none). The program lives in A and keeps TEXT. */
int cel_compile(struct arena *a, const char *text, const char *const *variables, struct cel_program **ret,
                struct error *reterr);
/* What can never be evaluated, since a constant cannot be converted ("int('x')"): the error; NULL: nothing. Upstream finds
 * it after the type of the result, and says "program instantiation failed: ...". */
const char *cel_program_trouble(const struct cel_program *p);
/* What it will return: CEL_DYN if that is not known. */
enum cel_type cel_program_type(const struct cel_program *p);
const struct cel_shape *cel_program_shape(const struct cel_program *p);
/* "list(string)"; what errors call it, which differs for a few: "duration", "google.protobuf.Duration" if FULL. */
const char *cel_shape_text(struct arena *a, const struct cel_shape *s, bool full);
/* The most it may cost, if the environment asked for it; UINT64_MAX: no limit is known. */
uint64_t cel_program_cost(const struct cel_program *p);
struct cel_shape *cel_shape_list(struct arena *a, const struct cel_shape *item, uint64_t max);
struct cel_shape *cel_shape_map(struct arena *a, const struct cel_shape *key, const struct cel_shape *value, uint64_t max);
struct cel_shape *cel_shape_optional(struct arena *a, const struct cel_shape *of);
/* Whether a variable is used. */
bool cel_program_uses(const struct cel_program *p, const char *variable);

/* May be a CEL_ERROR: "no such key: x", "no such overload", "operation cancelled: actual cost limit exceeded". */
struct cel_value cel_eval(const struct cel_program *p, struct cel_run *run);

/* TEXT as Go's net/url.Parse takes it, a URL or a reference, with who is named before the host and what stands behind a #.
 * What comes back is NULL, or Go's error. */
const char *cel_parse_reference(struct arena *a, const char *text, struct cel_url *ret, struct cel_string *ret_user,
                                struct cel_string *ret_fragment);

/* --- values --- */

struct cel_value cel_error(struct arena *a, const char *fmt, ...) printf_like(2, 3);
struct cel_value cel_bool(bool b);
struct cel_value cel_int(int64_t i);
struct cel_value cel_string(const char *s); /* kept, not copied */
struct cel_value cel_object(const struct cel_class *class, void *data);
/* OF NULL: none. */
struct cel_value cel_optional(struct arena *a, const struct cel_value *of);
/* Kept, not copied: J must outlive the value. NULL is null. */
struct cel_value cel_from_json(const struct json *j);
/* The same of a value that has SHAPE: a number is a double, a string with a format a timestamp, if it says so. */
struct cel_value cel_from_json_as(const struct json *j, const struct cel_shape *shape);
/* NULL: a value that JSON cannot say (bytes become base64; objects and types cannot). */
struct json *cel_to_json(struct arena *a, const struct cel_value *v);
/* Of an error or a string, with a NUL, in the arena. */
const char *cel_text(struct arena *a, const struct cel_value *v);
const char *cel_type_name(const struct cel_value *v);
bool cel_equal(const struct cel_value *a, const struct cel_value *b);
