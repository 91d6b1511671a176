/* Label keys and values: what Kubernetes takes for one, and its words when it does not. */
#pragma once

#include "../base/arena.h"

/* NULL: fine. Else the messages, joined by "; ", in the arena. */
const char *label_key_check(struct arena *a, const char *key);
const char *label_value_check(struct arena *a, const char *value);
/* A lower-case RFC 1123 subdomain of at most 253 bytes, or label of at most 63. */
bool is_dns1123_subdomain(const char *s);
bool is_dns1123_label(const char *s);
