/* What a webhook or an admission policy means: rules and selectors (admissionregistration.k8s.io/v1). */
#pragma once

#include "../auth/internal.h"
#include "internal.h"

#define REGISTRATION "admissionregistration.k8s.io"

/* "CREATE", "UPDATE", "DELETE", "CONNECT" */
const char *operation_name(enum admission_op op);
/* Whether one of RULES (operations, apiGroups, apiVersions, resources, scope, resourceNames) is about this request: the
 * resource that it names, NULL if none. That is at->res itself where it can be, else, unless EXACT, the same objects in
 * another version or group (matchPolicy Equivalent). */
const struct resource *match_rules(const struct admission_attributes *at, const struct json *rules, bool exact);
/* WHO's namespaceSelector and objectSelector take in the request's namespace, and its object, old or new. */
bool match_selectors(struct admission_attributes *at, const struct json *who);
/* A MatchResources: selectors, rules that exclude, rules. Without rules it is about everything, if EMPTY_IS_ALL. The resource
 * that it names, as match_rules() has it. */
const struct resource *match_resources(struct admission_attributes *at, const struct json *match, bool empty_is_all);
/* May park. OBJ of the request's resource as AS has it (or, BACK, the other way round): a copy, or OBJ itself where they are the
 * same, or where a subresource has a kind of its own. NULL with *ret_st: it could not be converted. */
struct json *match_convert(struct admission_attributes *at, const struct resource *as, const struct json *obj, bool back,
                           const struct status **ret_st);
/* The namespace of the request, as stored; NULL: it has none. */
struct json *match_namespace(struct admission_attributes *at);

/* Why match conditions could not be judged: ERRORS, from strings_new(), takes each text once. As one text: "a", or "[a, b]"; NULL: none. */
void match_error_add(const char **errors, const char *text);
const char *match_errors(struct arena *a, const char *const *errors);
