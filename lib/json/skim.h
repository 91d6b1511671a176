/* JSON text read from front to back without a tree: for text that this process or its like has written, where
 * few of the values matter, or each of them only once.
 *
 * Nothing is checked but what keeps the reader inside the text: who skims text that is not JSON gets values
 * that mean nothing, or a failure. White space is allowed wherever JSON has it.
 *
 *      for (r = json_skim_begin(&s, '}'); r > 0; r = json_skim_next(&s, '}')) {
 *              if (!json_skim_key(&s, &key))
 *                      return false;
 *              ... exactly one value from s.p on ...
 *      }
 *      return r == 0;
 */
#pragma once

#include "json.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct json_skim {
        const char *p, *end;
};

/* A string as it stands between its quotes. */
struct json_skimmed {
        const char *p;
        size_t len;
        bool escaped; /* holds backslashes: json_skim_unescape() */
};

static inline void json_skim_space(struct json_skim *s)
{
        while (s->p < s->end && (unsigned char)*s->p <= ' ')
                s->p++;
}

/* Into the object or list at s->p, which CLOSE ends. 1: s->p is at its first key or item; 0: it was empty, and
 * s->p is behind it; -1: it is none, or the text ends. */
static inline int json_skim_begin(struct json_skim *s, char close)
{
        if (s->p >= s->end || *s->p != (close == '}' ? '{' : '['))
                return -1;
        s->p++;
        json_skim_space(s);
        if (s->p >= s->end)
                return -1;
        if (*s->p != close)
                return 1;
        s->p++;
        return 0;
}

/* Behind a value: the same of the next one. */
static inline int json_skim_next(struct json_skim *s, char close)
{
        json_skim_space(s);
        if (s->p >= s->end || (*s->p != ',' && *s->p != close))
                return -1;
        if (*s->p++ == close)
                return 0;
        json_skim_space(s);
        return 1;
}

/* Over the value at s->p. */
bool json_skim_value(struct json_skim *s);
bool json_skim_long_string(struct json_skim *s, struct json_skimmed *ret);
/* Over the string at s->p. False: there is none, or it has no end. */
static inline bool json_skim_string(struct json_skim *s, struct json_skimmed *ret)
{
#ifdef __SSE2__
        if (s->end - s->p > 16 && *s->p == '"') { /* most are short, and without escapes */
                __m128i x = _mm_loadu_si128((const __m128i *)(s->p + 1));
                int found = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
                                                           _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'))));
                int len = __builtin_ctz((unsigned)found | 1u << 16);

                if (found && s->p[1 + len] == '"') {
                        *ret = (struct json_skimmed){ .p = s->p + 1, .len = (size_t)len };
                        s->p += len + 2;
                        return true;
                }
        }
#endif
        return json_skim_long_string(s, ret);
}
/* Over a key and its colon. */
bool json_skim_key(struct json_skim *s, struct json_skimmed *ret);
/* What T means, as a string value in A; NULL: it means nothing. */
struct json *json_skim_unescape(struct arena *a, const struct json_skimmed *t);

/* --- trees of some of the text --- */

/* Which members of an object are wanted; a list's items are all treated alike. Zeroed: none. */
struct json_want {
        const char *key; /* NULL of the root */
        size_t len;
        uint32_t tag;    /* json_tag() of it */
        bool all;        /* with all that is below it */
        struct json_want *below;
        unsigned n;
        uint32_t names;  /* json_tag_bit() of each below */
        /* Of the root's members: where its value stood in the text that was selected from last; NULL: not there. */
        const char *text;
        size_t text_len;
};

/* Wants PATH ("status.conditions.type", through lists as if they were not there) besides what ROOT wants. What it
 * needs comes from A. LEN: of PATH; 0 wants everything. "spec.containers." wants to know that, and how many, they are. */
void json_want_path(struct arena *a, struct json_want *root, const char *path, size_t len);
/* The member KEY that is wanted; NULL: none. */
struct json_want *json_want_member(const struct json_want *w, const char *key, size_t len);
/* The object in TEXT with what ROOT wants of it, in A; its keys stay where ROOT has them. Of equal keys the last
 * counts. False: TEXT is no object. */
bool json_select(struct arena *a, const char *text, size_t len, struct json_want *root, struct json **ret);
