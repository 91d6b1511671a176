/* Inside of the interpreter: what its files share of values. Not for others; see cel.h. */
#pragma once

#include "cel.h"

static inline bool cel_is_error(struct cel_value v)
{
        return v.type == CEL_ERROR;
}

struct cel_value cel_stringn(const char *s, size_t len);
struct cel_value cel_no_overload(void);
struct cel_value cel_typed(const char *name); /* a CEL_TYPE */
const char *cel_type_word(enum cel_type t);   /* "int"; of values of that type */

/* A value that can be worked with: base64 becomes bytes. */
struct cel_value cel_ripe(struct arena *a, struct cel_value v);
/* Of a set or a list with keys; NULL: it has an order. */
const struct cel_shape *cel_list_shape(const struct cel_value *list);
/* Where an item stands in a list of SHAPE, by its keys if it has any; -1: nowhere. */
ptrdiff_t cel_list_find(const struct cel_value *list, const struct cel_shape *shape, const struct cel_value *item);

struct cel_value cel_list_at(const struct cel_value *list, size_t i);
size_t cel_list_len(const struct cel_value *list);
struct cel_value cel_list_new(struct arena *a, struct cel_value *items, size_t n); /* kept */
size_t cel_map_len(const struct cel_value *map);
struct cel_entry cel_map_at(const struct cel_value *map, size_t i);
/* False: no such key. */
bool cel_map_find(const struct cel_value *map, const struct cel_value *key, struct cel_value *ret);
struct cel_value cel_map_new(struct arena *a, struct cel_entry *entries, size_t n); /* kept */

/* <0, 0, >0; *ret_ok false: they cannot be compared (also NaN). */
int cel_compare(const struct cel_value *a, const struct cel_value *b, bool *ret_ok);
bool cel_str_is(struct cel_string s, const char *text);
int cel_str_cmp(struct cel_string a, struct cel_string b);
size_t cel_code_points(struct cel_string s);
/* The byte at which code point I starts; s.len at and past the end. */
size_t cel_offset(struct cel_string s, size_t i);

/* "1h2m3.5s" both ways, as Go's time package; false: no duration. */
bool cel_parse_duration(struct cel_string s, int64_t *ret_ns);
const char *cel_duration_text(struct arena *a, int64_t ns);
/* RFC 3339. */
bool cel_parse_timestamp(struct cel_string s, int64_t *ret_seconds, int32_t *ret_nanos);
const char *cel_timestamp_text(struct arena *a, int64_t seconds, int32_t nanos);
/* East of Greenwich at a time, in seconds, by the machine's table of zones ("Europe/Berlin"); false: there is none. */
bool cel_zone_offset(struct cel_string name, int64_t time, int *ret);
/* As Go prints a float64 with 'g' and the fewest digits. */
const char *cel_double_text(struct arena *a, double d);
