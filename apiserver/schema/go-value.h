/* JSON values as Go prints what it makes of them: maps, slices, int64 and float64 in an interface{}. */
#pragma once

#include "../../lib/json/json.h"

void go_print(struct strbuf *out, const struct json *j);        /* %v: map[a:1 b:[x y]] */
void go_print_syntax(struct strbuf *out, const struct json *j); /* %#v: map[string]interface {}{"a":1} */
/* As structured-merge-diff shows values in paths: "a", 1, [1,2], and of a map a=1b=2. */
void go_print_path_value(struct strbuf *out, const struct json *j);
