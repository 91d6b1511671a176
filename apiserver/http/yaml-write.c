/* JSON as YAML, by libyaml's emitter, in block style as sigs.k8s.io/yaml writes it. */
#include <stdio.h>
#include <strings.h>
#include <yaml.h>

#include "answer.h"

static int append(void *userdata, unsigned char *data, size_t len)
{
        strbuf_append(userdata, data, len);
        return 1;
}

/* Would a reader take this plain scalar for something other than a string? */
static bool needs_quotes(const char *s)
{
        static const char *const words[] = {"", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "=", "<<"};
        char *end;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strcasecmp(s, words[i]) == 0)
                        return true;
        strtod(s, &end);
        return !*end || strchr("-?:,[]{}#&*!|>'\"%@`+.0123456789", *s) != NULL;
}

static void emit_scalar(yaml_emitter_t *e, const char *s, size_t len, bool string)
{
        yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
        yaml_event_t ev;

        if (string && memchr(s, '\n', len))
                style = YAML_LITERAL_SCALAR_STYLE;
        else if (string && needs_quotes(s))
                style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
        yaml_scalar_event_initialize(&ev, NULL, NULL, (yaml_char_t *)s, len, 1, 1, style);
        yaml_emitter_emit(e, &ev);
}

static int member_cmp(const void *x, const void *y)
{
        return strcmp((*(const struct json_member *const *)x)->key, (*(const struct json_member *const *)y)->key);
}

static void emit(yaml_emitter_t *e, const struct json *j)
{
        yaml_event_t ev;

        switch (j->type) {
        case JSON_OBJECT: {
                _cleanup_free_ const struct json_member **sorted = xcalloc(j->len + 1, sizeof(*sorted));
                yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1,
                                                    j->len ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE);
                yaml_emitter_emit(e, &ev);
                for (size_t i = 0; i < j->len; i++)
                        sorted[i] = &j->members[i];
                qsort(sorted, j->len, sizeof(*sorted), member_cmp);
                for (size_t i = 0; i < j->len; i++) {
                        emit_scalar(e, sorted[i]->key, sorted[i]->key_len, true);
                        emit(e, sorted[i]->value);
                }
                yaml_mapping_end_event_initialize(&ev);
                yaml_emitter_emit(e, &ev);
                break;
        }
        case JSON_ARRAY:
                yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1,
                                                     j->len ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE);
                yaml_emitter_emit(e, &ev);
                json_foreach_item(j, item)
                        emit(e, item);
                yaml_sequence_end_event_initialize(&ev);
                yaml_emitter_emit(e, &ev);
                break;
        case JSON_STRING:
        case JSON_NUMBER:
                emit_scalar(e, j->str, j->len, j->type == JSON_STRING);
                break;
        default: {
                const char *word = j->type == JSON_NULL ? "null" : j->boolean ? "true" : "false";
                emit_scalar(e, word, strlen(word), false);
        }
        }
}

void yaml_write(struct strbuf *out, const struct json *j)
{
        yaml_emitter_t e;
        yaml_event_t ev;

        yaml_emitter_initialize(&e);
        yaml_emitter_set_output(&e, append, out);
        yaml_emitter_set_unicode(&e, 1);
        yaml_emitter_set_width(&e, -1);
        yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING);
        yaml_emitter_emit(&e, &ev);
        yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1);
        yaml_emitter_emit(&e, &ev);
        emit(&e, j);
        yaml_document_end_event_initialize(&ev, 1);
        yaml_emitter_emit(&e, &ev);
        yaml_stream_end_event_initialize(&ev);
        yaml_emitter_emit(&e, &ev);
        yaml_emitter_delete(&e);
}
