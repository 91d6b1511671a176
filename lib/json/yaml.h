/* YAML to JSON, by libyaml, with the rules of sigs.k8s.io/yaml (go-yaml v2): plain scalars follow
 * YAML 1.1 (yes, on and y are true; 0644 and 0x1F are numbers; 1_000 is 1000), dates are strings,
 * keys become strings, "<<" merges, anchors are expanded within a bound (alias bombs end with
 * -E2BIG), and duplicate keys are reported when asked: the last one wins.
 */
#pragma once

#include "json.h"

/* The first document; null when there is none. -EINVAL with go-yaml's text ("yaml: line 3: ...").
 * limits->on_duplicate is called with go-yaml's words instead of a path:
 * `line 5: key "a" already set in map`. */
int yaml_parse(struct arena *a, const char *text, size_t len, const struct json_limits *limits,
               struct json **ret, struct error *reterr);
/* All documents of a stream, as a JSON array; empty documents are left out. */
int yaml_parse_all(struct arena *a, const char *text, size_t len, struct json **ret_array,
                   struct error *reterr);
