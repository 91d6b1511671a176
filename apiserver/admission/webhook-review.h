/* What a webhook is asked and what it says: AdmissionReview of admission.k8s.io v1 and v1beta1. No I/O. */
#pragma once

#include "matching.h"

struct webhook_verdict {
        const struct status *denied;  /* NULL: let in */
        const struct json *patch;     /* a JSON patch; NULL: none */
        const char *trouble;          /* why its patch cannot be carried out: as if it had not been reached; NULL: none */
        const struct json *warnings;  /* an array, or NULL */
};

/* The first of the versions that WEBHOOK understands and we speak; NULL: none. */
const char *webhook_version(const struct json *webhook);
/* The question: OBJECT and OLD (either may be NULL) in the words of AS, at->res or another version of it. */
struct json *webhook_review(struct admission_attributes *at, const struct resource *as, const struct json *object,
                            const struct json *old, const char *version, const char *uid);
/* What Go's decoder says of an answer that is no review of this version, "v1" or "v1beta1"; NULL: it is one. */
const char *webhook_undecodable(struct arena *a, const struct json *answer, const char *version);
/* The answer to it. NULL: *ret is filled in; else upstream's words for what is wrong with it. */
const char *webhook_verdict(struct arena *a, const struct json *webhook, const struct json *answer, const char *version,
                            const char *uid, bool mutating, struct webhook_verdict *ret);
