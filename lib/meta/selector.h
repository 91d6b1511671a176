/* Label selectors, field selectors, and labels.LabelSelector objects, parsed once and matched often. */
#pragma once

#include "../json/json.h"

enum selector_op {
        SELECTOR_IN,         /* also = and == (one value) */
        SELECTOR_NOT_IN,     /* also != */
        SELECTOR_EXISTS,
        SELECTOR_NOT_EXISTS,
        SELECTOR_GT,
        SELECTOR_LT,
};
struct selector_requirement {
        const char *key;
        enum selector_op op;
        bool equals; /* written with =, == or != */
        const char **values;
        size_t n_values;
};
struct selector {
        struct selector_requirement *reqs;
        size_t n;
        bool nothing; /* matches no object (a nil LabelSelector) */
};

/* "a=b,c in (d,e),!f". In the arena. -EINVAL with upstream's text. */
int selector_parse(struct arena *a, const char *text, struct selector *ret, struct error *reterr);
/* "metadata.name=x,status.phase!=Running" */
int field_selector_parse(struct arena *a, const char *text, struct selector *ret, struct error *reterr);
/* A metav1.LabelSelector object (matchLabels, matchExpressions); NULL matches nothing, {} everything. */
int selector_from_object(struct arena *a, const struct json *sel, struct selector *ret, struct error *reterr);
/* A plain map (Service.spec.selector). An empty one matches everything: check before. */
void selector_from_map(struct arena *a, const struct json *map, struct selector *ret);
/* LABELS is an object of strings, or NULL for none. */
bool selector_matches(const struct selector *s, const struct json *labels);
/* One value by key; NULL from GET: the object has no such key. (A field that it could have is "" instead:
 * "spec.nodeName=" finds unscheduled pods.) */
bool selector_matches_fn(const struct selector *s, const char *(*get)(const char *key, void *userdata), void *userdata);
/* Canonical text: sorted by key, as labels.Selector.String(). */
char *selector_print(struct arena *a, const struct selector *s);
