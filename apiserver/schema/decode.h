/* What a client sent -> what the API server works with, as the decoders of kube-apiserver v1.36 do.
 *
 *      text --json_parse--> tree --schema_decode--> tree that holds known fields of the right types
 *           --schema_default--> (default.h) --schema_canonicalise--> as it is stored and answered
 *
 * schema_decode() checks and repairs in place: unknown fields are collected and removed, nulls
 * vanish, numbers, times, durations and quantities get their canonical text. schema_canonicalise()
 * does the rest of Go's round trip: empty optional fields go, fields that are always written come.
 */
#pragma once

#include "schema.h"

/* Strict decoding errors: `unknown field "spec.foo"`, `duplicate field "spec.bar"`, in the arena. */
struct strict_errors {
        struct arena *arena;
        const char **list;
        size_t n, cap;
        size_t n_yaml;             /* the first ones are YAML's: `line 5: key "a" already set in map` */
};
/* For json_limits.on_duplicate, with a struct strict_errors * as userdata: of JSON, and of YAML. */
void strict_errors_duplicate(const char *path, void *strict_errors);
void strict_errors_yaml(const char *text, void *strict_errors);
/* What YAML's are called in one error: "yaml: unmarshal errors:\n  line 5: ...". NULL: there are none. */
const char *strict_errors_of_yaml(struct arena *a, const struct strict_errors *errs);
void strict_errors_add(struct strict_errors *errs, const char *fmt, ...) printf_like(2, 3);
/* `strict decoding error: unknown field "a", unknown field "b"`: what follows
 * `X in version "v1" cannot be handled as a X: ` in the 400. */
char *strict_errors_print(struct arena *a, const struct strict_errors *errs);

/* Decodes OBJ (in arena A, changed in place) against S. STRICT collects unknown fields (NULL: they are
 * just dropped). Kinds that preserve unknown fields keep them.
 * -EINVAL: a value of the wrong type, with Go's text in reterr:
 * `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`,
 * or a quantity's or time's own text. The caller puts `X in version "v1" cannot be handled as a X: `
 * before it. */
int schema_decode(struct arena *a, const struct schema *s, struct json *obj, struct strict_errors *strict,
                  struct error *reterr);

/* What Go's round trip leaves, in place: optional fields with empty values (and no presence) go,
 * emit_empty and empty_as fields are filled in. Members keep their order. Idempotent.
 * OBJ was decoded before. Custom resources are left alone. */
void schema_canonicalise(struct arena *a, const struct schema *s, struct json *obj);

/* Go's zero value of a type as JSON (null items of lists are it); a struct is empty. */
struct json *schema_zero_value(struct arena *a, const struct schema *s);
/* Whether V is what a field that keeps no presence cannot tell from its absence. */
bool schema_is_zero(const struct json *v);
/* Go's base64.StdEncoding: where the first illegal byte is, or -1. Line breaks are skipped. */
ssize_t base64_bad(const char *s, size_t len);
