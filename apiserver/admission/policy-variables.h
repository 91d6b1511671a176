/* What an admission policy's expressions see: object, oldObject, request, params, namespaceObject, variables and
 * authorizer, each made when it is first asked for. */
#pragma once

#include "../../lib/cel/cel.h"
#include "internal.h"

#define POLICY_OVER_BUDGET "validation failed due to running out of cost budget, no further validation rules will be run"

struct policy_variables;

/* In the request's arena. PARAMS may be NULL. */
struct policy_variables *policy_variables_new(struct admission_attributes *at, const struct json *policy,
                                              const struct json *params);
/* The request was made for RES, another version of what AT shows: `request` and `authorizer` say so. */
void policy_variables_asked(struct policy_variables *v, const struct resource *res);
/* Of TEXT; a CEL_ERROR also when it does not compile, or (POLICY_OVER_BUDGET) when what all expressions may cost is spent. */
struct cel_value policy_eval(struct policy_variables *v, const char *text);
/* Of a match condition: those see no namespace. */
struct cel_value policy_match(struct policy_variables *v, const char *text);
/* The variable `request`: what an AdmissionRequest says, but for its objects, with RES (at->res, or another version of
 * it) as the resource. */
struct json *policy_request(struct admission_attributes *at, const struct resource *res);
/* The object was changed: variables that hang on it are made again. */
void policy_object_changed(struct policy_variables *v);
