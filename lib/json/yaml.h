/* YAML to JSON, by libyaml, with the rules of sigs.k8s.io/yaml: YAML 1.1 booleans (yes, on) are not
 * booleans, only true/false are by YAML 1.2's core schema as Kubernetes reads them; anchors are
 * expanded within a bound (alias bombs end with -E2BIG); duplicate keys are errors when asked.
 */
#pragma once

#include "json.h"

/* One document. -EINVAL with go-yaml's text as far as it can be had ("yaml: line 3: ..."). */
int yaml_parse(struct arena *a, const char *text, size_t len, const struct json_limits *limits,
               struct json **ret, struct error *reterr);
/* All documents of a stream, as a JSON array; empty documents are left out. */
int yaml_parse_all(struct arena *a, const char *text, size_t len, struct json **ret_array,
                   struct error *reterr);
