/* Validation with upstream's texts, in the order of upstream's checks.
 *
 * What is data stands in rule tables (validation/rules), which a small interpreter walks over the
 * object; what is not is a C function that a rule names.
 */
#pragma once

#include "../request.h"

/* Adds to ERRS what is wrong with OBJ, a decoded and defaulted object in RES's version. OLD: the
 * stored one, NULL on create. SUB: "" or the subresource that is written ("status", "ephemeralcontainers",
 * "resize", "approval", ...). R may be NULL where only the object matters (tests, templates). */
void validate_object(struct api_request *r, const struct resource *res, const struct json *obj,
                     const struct json *old, const char *sub, struct field_errors *errs);
/* Whether X and Y, of type S, are the same to upstream: apiequality.Semantic.DeepEqual(). S may be NULL: as JSON. */
bool semantic_equal(const struct schema *s, const struct json *x, const struct json *y);
/* Of what was found valid: adds warnings to R. */
void validation_warn(struct api_request *r, const struct resource *res, const struct json *obj, const struct json *old,
                     const char *sub);
/* Addresses and families of a Service that has some, as far as it says: asked before any are given to it. */
void validate_service_addresses(struct field_errors *errs, const struct json *svc, const struct json *old);
/* Of an embedded resource of schema S; PREFIX: of paths ("spec.template."). */
void metadata_validate_embedded(const struct schema *s, const struct json *obj, const char *prefix, struct field_errors *errs);
