/* What a webhook or an admission policy means: rules and selectors (admissionregistration.k8s.io/v1). */
#pragma once

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
/* A MatchResources: rules, rules that exclude, selectors. Without rules it is about everything, if EMPTY_IS_ALL. */
bool match_resources(struct admission_attributes *at, const struct json *match, bool empty_is_all);
/* The namespace of the request, as stored; NULL: it has none. */
struct json *match_namespace(struct admission_attributes *at);
