/* OpenAPI as gnostic's protobuf: openapi.v2.Document and openapi.v3.Document, which client-go asks for.
 *
 * What is JSON (v2 a path or a definition at a time, v3 the whole document) is translated by tables: a message is a list
 * of JSON keys, each with its field number and its form. The numbers are of gnostic's OpenAPIv2.proto and OpenAPIv3.proto.
 * Where v3 has a choice between a thing and a reference to it (SchemaOrReference ...), `or_reference` says so. Values of
 * "x-..." keys and defaults travel as text, which their readers parse as YAML; compact JSON is YAML too.
 */
#include "../../lib/base/base.h"
#include "openapi-internal.h"
#include "version.h"

static void put_varint(struct strbuf *out, uint64_t v)
{
        for (; v >= 0x80; v >>= 7)
                strbuf_putc(out, (char)(v | 0x80));
        strbuf_putc(out, (char)v);
}

static void put_bytes(struct strbuf *out, unsigned field, const void *data, size_t len)
{
        put_varint(out, (uint64_t)field << 3 | 2);
        put_varint(out, len);
        strbuf_append(out, data, len);
}

static void put_string(struct strbuf *out, unsigned field, const char *s)
{
        put_bytes(out, field, s, strlen(s));
}

/* Moves a finished message into its parent. */
static void put_message(struct strbuf *out, unsigned field, struct strbuf *message)
{
        put_bytes(out, field, strbuf_str(message), message->len);
        strbuf_deinit(message);
}

static void put_bool(struct strbuf *out, unsigned field, bool b)
{
        if (!b)
                return; /* proto3: false is nothing */
        put_varint(out, (uint64_t)field << 3);
        strbuf_putc(out, 1);
}

static void put_number(struct strbuf *out, unsigned field, const struct json *v, bool integer)
{
        double d = json_to_double(v, 0);
        int64_t i = 0;

        if (integer) {
                if (json_to_int(v, &i) < 0)
                        return;
                put_varint(out, (uint64_t)field << 3);
                put_varint(out, i);
                return;
        }
        put_varint(out, (uint64_t)field << 3 | 1);
        strbuf_append(out, &d, sizeof(d));
}

static void put_strings(struct strbuf *out, unsigned field, const struct json *list)
{
        json_foreach_item(list, item)
                if (json_string(item))
                        put_string(out, field, item->str);
}

/* Any {yaml=2} */
static void put_any(struct strbuf *out, unsigned field, const struct json *v)
{
        struct strbuf any = STRBUF_INIT, text = STRBUF_INIT;

        json_write(&text, v);
        strbuf_putc(&text, '\n');
        put_message(&any, 2, &text);
        put_message(out, field, &any);
}

/* NamedAny {name=1, value=2} for every "x-..." member. */
static void put_extensions(struct strbuf *out, unsigned field, const struct json *obj)
{
        json_foreach_member(obj, m) {
                struct strbuf named = STRBUF_INIT;

                if (!str_has_prefix(m->key, "x-"))
                        continue;
                put_string(&named, 1, m->key);
                put_any(&named, 2, m->value);
                put_message(out, field, &named);
        }
}

/* --- messages --- */

enum form {
        FORM_STRING,
        FORM_BOOL,
        FORM_NUMBER,
        FORM_INTEGER,
        FORM_STRINGS,
        FORM_TYPES,     /* TypeItem {repeated string = 1}: of one or several */
        FORM_ANY,
        FORM_ANYS,
        FORM_MESSAGE,
        FORM_MESSAGES,  /* a list of them */
        FORM_MAP,       /* message {repeated Named... {name=1, value=2} = 1} */
        FORM_RESPONSES, /* the same at 2 */
        FORM_WRAPPED,   /* message {the message = 1, or, a boolean, = 2} */
        FORM_PARAMETERS, /* of v2: put_parameter() */
        FORM_DEFAULT,   /* DefaultType {double = 1, bool = 2, string = 3} */
};

struct message {
        const struct key {
                const char *key;
                unsigned field;
                enum form form;
                const struct message *of;
        } *keys; /* up to one without a name */
        unsigned extensions; /* 0: none */
        bool or_reference, wrapped; /* WRAPPED: values of maps are in a message of their own, at 1 */
};

/* --- v2 --- */

static const struct message schema_v2 = { /* of itself, too */
        .extensions = 31,
        .keys = (const struct key[]){
                { "$ref", 1, FORM_STRING },             { "format", 2, FORM_STRING },
                { "title", 3, FORM_STRING },            { "description", 4, FORM_STRING },
                { "default", 5, FORM_ANY },             { "multipleOf", 6, FORM_NUMBER },
                { "maximum", 7, FORM_NUMBER },          { "exclusiveMaximum", 8, FORM_BOOL },
                { "minimum", 9, FORM_NUMBER },          { "exclusiveMinimum", 10, FORM_BOOL },
                { "maxLength", 11, FORM_INTEGER },      { "minLength", 12, FORM_INTEGER },
                { "pattern", 13, FORM_STRING },         { "maxItems", 14, FORM_INTEGER },
                { "minItems", 15, FORM_INTEGER },       { "uniqueItems", 16, FORM_BOOL },
                { "maxProperties", 17, FORM_INTEGER },  { "minProperties", 18, FORM_INTEGER },
                { "required", 19, FORM_STRINGS },       { "enum", 20, FORM_ANYS },
                { "additionalProperties", 21, FORM_WRAPPED, &schema_v2 }, { "type", 22, FORM_TYPES },
                { "items", 23, FORM_WRAPPED, &schema_v2 }, { "properties", 25, FORM_MAP, &schema_v2 },
                { "example", 30, FORM_ANY },            { NULL },
        },
};

static const struct message body_parameter_v2 = {
        .keys = (const struct key[]){
                { "description", 1, FORM_STRING }, { "name", 2, FORM_STRING }, { "in", 3, FORM_STRING },
                { "required", 4, FORM_BOOL }, { "schema", 5, FORM_MESSAGE, &schema_v2 }, { NULL },
        },
};

static const struct message query_parameter_v2 = {
        .keys = (const struct key[]){
                { "required", 1, FORM_BOOL }, { "in", 2, FORM_STRING }, { "description", 3, FORM_STRING },
                { "name", 4, FORM_STRING }, { "type", 6, FORM_STRING }, { "uniqueItems", 20, FORM_BOOL }, { NULL },
        },
};

static const struct message path_parameter_v2 = {
        .keys = (const struct key[]){
                { "required", 1, FORM_BOOL }, { "in", 2, FORM_STRING }, { "description", 3, FORM_STRING },
                { "name", 4, FORM_STRING }, { "type", 5, FORM_STRING }, { "uniqueItems", 19, FORM_BOOL }, { NULL },
        },
};

static const struct message response_v2 = {
        .wrapped = true, /* ResponseValue {Response = 1, a reference = 2} */
        .keys = (const struct key[]){ { "description", 1, FORM_STRING }, { "schema", 2, FORM_WRAPPED, &schema_v2 }, { NULL } },
};

static const struct message operation_v2 = {
        .extensions = 13,
        .keys = (const struct key[]){
                { "tags", 1, FORM_STRINGS }, { "description", 3, FORM_STRING }, { "operationId", 5, FORM_STRING },
                { "produces", 6, FORM_STRINGS }, { "consumes", 7, FORM_STRINGS }, { "parameters", 8, FORM_PARAMETERS },
                { "responses", 9, FORM_MAP, &response_v2 }, { "schemes", 10, FORM_STRINGS }, { NULL },
        },
};

static const struct message path_item_v2 = {
        .keys = (const struct key[]){
                { "get", 2, FORM_MESSAGE, &operation_v2 }, { "put", 3, FORM_MESSAGE, &operation_v2 },
                { "post", 4, FORM_MESSAGE, &operation_v2 }, { "delete", 5, FORM_MESSAGE, &operation_v2 },
                { "options", 6, FORM_MESSAGE, &operation_v2 }, { "head", 7, FORM_MESSAGE, &operation_v2 },
                { "patch", 8, FORM_MESSAGE, &operation_v2 }, { "parameters", 9, FORM_PARAMETERS }, { NULL },
        },
};

/* --- v3 --- */

static const struct message schema = { /* of itself, too */
        .or_reference = true,
        .extensions = 36,
        .keys = (const struct key[]){
                { "nullable", 1, FORM_BOOL },           { "title", 9, FORM_STRING },
                { "multipleOf", 10, FORM_NUMBER },      { "maximum", 11, FORM_NUMBER },
                { "exclusiveMaximum", 12, FORM_BOOL },  { "minimum", 13, FORM_NUMBER },
                { "exclusiveMinimum", 14, FORM_BOOL },  { "maxLength", 15, FORM_INTEGER },
                { "minLength", 16, FORM_INTEGER },      { "pattern", 17, FORM_STRING },
                { "maxItems", 18, FORM_INTEGER },       { "minItems", 19, FORM_INTEGER },
                { "uniqueItems", 20, FORM_BOOL },       { "maxProperties", 21, FORM_INTEGER },
                { "minProperties", 22, FORM_INTEGER },  { "required", 23, FORM_STRINGS },
                { "enum", 24, FORM_ANYS },              { "type", 25, FORM_STRING },
                { "allOf", 26, FORM_MESSAGES, &schema }, { "oneOf", 27, FORM_MESSAGES, &schema },
                { "anyOf", 28, FORM_MESSAGES, &schema }, { "not", 29, FORM_MESSAGE, &schema },
                { "items", 30, FORM_WRAPPED, &schema },   { "properties", 31, FORM_MAP, &schema },
                { "additionalProperties", 32, FORM_WRAPPED, &schema }, { "default", 33, FORM_DEFAULT },
                { "description", 34, FORM_STRING },     { "format", 35, FORM_STRING },
                { NULL },
        },
};

static const struct message media_type = {
        .extensions = 5,
        .keys = (const struct key[]){ { "schema", 1, FORM_MESSAGE, &schema }, { NULL } },
};

static const struct message parameter = {
        .or_reference = true,
        .extensions = 14,
        .keys = (const struct key[]){
                { "name", 1, FORM_STRING }, { "in", 2, FORM_STRING }, { "description", 3, FORM_STRING },
                { "required", 4, FORM_BOOL }, { "schema", 10, FORM_MESSAGE, &schema }, { NULL },
        },
};

static const struct message request_body = {
        .or_reference = true,
        .extensions = 4,
        .keys = (const struct key[]){
                { "description", 1, FORM_STRING }, { "content", 2, FORM_MAP, &media_type }, { "required", 3, FORM_BOOL },
                { NULL },
        },
};

static const struct message response = {
        .or_reference = true,
        .extensions = 5,
        .keys = (const struct key[]){ { "description", 1, FORM_STRING }, { "content", 3, FORM_MAP, &media_type }, { NULL } },
};

static const struct message operation = {
        .extensions = 13,
        .keys = (const struct key[]){
                { "tags", 1, FORM_STRINGS }, { "description", 3, FORM_STRING }, { "operationId", 5, FORM_STRING },
                { "parameters", 6, FORM_MESSAGES, &parameter }, { "requestBody", 7, FORM_MESSAGE, &request_body },
                { "responses", 8, FORM_RESPONSES, &response }, { NULL },
        },
};

static const struct message path_item = {
        .extensions = 14,
        .keys = (const struct key[]){
                { "get", 4, FORM_MESSAGE, &operation }, { "put", 5, FORM_MESSAGE, &operation },
                { "post", 6, FORM_MESSAGE, &operation }, { "delete", 7, FORM_MESSAGE, &operation },
                { "options", 8, FORM_MESSAGE, &operation }, { "head", 9, FORM_MESSAGE, &operation },
                { "patch", 10, FORM_MESSAGE, &operation }, { "parameters", 13, FORM_MESSAGES, &parameter }, { NULL },
        },
};

static const struct message security_scheme = {
        .or_reference = true,
        .extensions = 9,
        .keys = (const struct key[]){
                { "type", 1, FORM_STRING }, { "description", 2, FORM_STRING }, { "name", 3, FORM_STRING },
                { "in", 4, FORM_STRING }, { NULL },
        },
};

static const struct message components = {
        .extensions = 10,
        .keys = (const struct key[]){
                { "schemas", 1, FORM_MAP, &schema }, { "securitySchemes", 7, FORM_MAP, &security_scheme }, { NULL },
        },
};

static const struct message info = {
        .extensions = 7,
        .keys = (const struct key[]){
                { "title", 1, FORM_STRING }, { "description", 2, FORM_STRING }, { "version", 6, FORM_STRING }, { NULL },
        },
};

static const struct message document_message = {
        .extensions = 9,
        .keys = (const struct key[]){
                { "openapi", 1, FORM_STRING }, { "info", 2, FORM_MESSAGE, &info }, { "paths", 4, FORM_MAP, &path_item },
                { "components", 5, FORM_MESSAGE, &components }, { NULL },
        },
};

/* --- translation --- */

static void write_message(struct strbuf *out, const struct message *m, const struct json *v);

static void put_plain(struct strbuf *out, unsigned field, const struct message *m, const struct json *v)
{
        struct strbuf message = STRBUF_INIT;

        write_message(&message, m, v);
        put_message(out, field, &message);
}

/* V, in the message that leaves the choice between it and Reference {_ref=1} where there is one. */
static void put_value(struct strbuf *out, unsigned field, const struct message *m, const struct json *v)
{
        struct strbuf choice = STRBUF_INIT, reference = STRBUF_INIT;
        const char *ref = json_get_string(v, "$ref");

        if (m->wrapped) {
                put_plain(&choice, 1, m, v);
                put_message(out, field, &choice);
                return;
        }
        if (!m->or_reference) {
                put_plain(out, field, m, v);
                return;
        }
        if (ref) {
                put_string(&reference, 1, ref);
                put_message(&choice, 2, &reference);
        } else {
                put_plain(&choice, 1, m, v);
        }
        put_message(out, field, &choice);
}

static void put_map(struct strbuf *out, unsigned field, unsigned inner, const struct message *m, const struct json *map)
{
        struct strbuf all = STRBUF_INIT;

        json_foreach_member(map, x) {
                struct strbuf named = STRBUF_INIT;

                put_string(&named, 1, x->key);
                put_value(&named, 2, m, x->value);
                put_message(&all, inner, &named);
        }
        put_message(out, field, &all);
}

/* Other values (objects, lists) have no place in it. */
static void put_default(struct strbuf *out, unsigned field, const struct json *v)
{
        struct strbuf message = STRBUF_INIT;

        if (json_is_number(v))
                put_number(&message, 1, v, false);
        else if (json_is_bool(v))
                put_bool(&message, 2, v->boolean);
        else if (json_string(v))
                put_string(&message, 3, v->str);
        else
                return;
        put_message(out, field, &message);
}

static void put_wrapped(struct strbuf *out, const struct key *k, const struct json *v)
{
        struct strbuf wrap = STRBUF_INIT;

        if (json_is_bool(v))
                put_bool(&wrap, 2, v->boolean);
        else
                put_value(&wrap, 1, k->of, v);
        put_message(out, k->field, &wrap);
}

static void put_types(struct strbuf *out, unsigned field, const struct json *type)
{
        struct strbuf item = STRBUF_INIT;

        if (json_string(type))
                put_string(&item, 1, type->str);
        put_strings(&item, 1, type);
        put_message(out, field, &item);
}

/* ParametersItem {parameter=1 Parameter {body_parameter=1 | non_body_parameter=2 {query=3 | path=4}}} */
static void put_parameter(struct strbuf *out, unsigned field, const struct json *p)
{
        struct strbuf kind = STRBUF_INIT, one = STRBUF_INIT, item = STRBUF_INIT;
        const char *in = json_get_string(p, "in");
        bool path = streq(in, "path");

        if (streq(in, "body")) {
                put_plain(&one, 1, &body_parameter_v2, p);
        } else {
                put_plain(&kind, path ? 4 : 3, path ? &path_parameter_v2 : &query_parameter_v2, p);
                put_message(&one, 2, &kind);
        }
        put_message(&item, 1, &one);
        put_message(out, field, &item);
}

static void write_key(struct strbuf *out, const struct key *k, const struct json *v)
{
        switch (k->form) {
        case FORM_STRING:
                if (json_string(v))
                        put_string(out, k->field, v->str);
                break;
        case FORM_BOOL:
                put_bool(out, k->field, json_is_true(v));
                break;
        case FORM_NUMBER:
        case FORM_INTEGER:
                if (json_is_number(v))
                        put_number(out, k->field, v, k->form == FORM_INTEGER);
                break;
        case FORM_STRINGS:
                put_strings(out, k->field, v);
                break;
        case FORM_TYPES:
                put_types(out, k->field, v);
                break;
        case FORM_PARAMETERS:
                json_foreach_item(v, item)
                        put_parameter(out, k->field, item);
                break;
        case FORM_ANY:
                put_any(out, k->field, v);
                break;
        case FORM_ANYS:
                json_foreach_item(v, item)
                        put_any(out, k->field, item);
                break;
        case FORM_MESSAGE:
                if (streq(k->key, "not")) /* the one that may not be a reference */
                        put_plain(out, k->field, k->of, v);
                else
                        put_value(out, k->field, k->of, v);
                break;
        case FORM_MESSAGES:
                json_foreach_item(v, item)
                        put_value(out, k->field, k->of, item);
                break;
        case FORM_MAP:
        case FORM_RESPONSES:
                put_map(out, k->field, k->form == FORM_MAP ? 1 : 2, k->of, v);
                break;
        case FORM_WRAPPED:
                put_wrapped(out, k, v);
                break;
        case FORM_DEFAULT:
                put_default(out, k->field, v);
                break;
        }
}

static void write_message(struct strbuf *out, const struct message *m, const struct json *v)
{
        for (const struct key *k = m->keys; k->key; k++) {
                const struct json *value = json_get(v, k->key);

                if (value)
                        write_key(out, k, value);
        }
        if (m->extensions)
                put_extensions(out, m->extensions, v);
}

/* --- documents --- */

void gnostic_path(struct strbuf *out, const char *path, const struct json *item)
{
        struct strbuf named = STRBUF_INIT;

        put_string(&named, 1, path);
        put_plain(&named, 2, &path_item_v2, item);
        put_message(out, 2, &named);
}

void gnostic_definition(struct strbuf *out, const char *name, const struct json *schema_json)
{
        struct strbuf named = STRBUF_INIT;

        put_string(&named, 1, name);
        put_plain(&named, 2, &schema_v2, schema_json);
        put_message(out, 1, &named);
}

void gnostic_head(struct strbuf *out)
{
        struct strbuf about = STRBUF_INIT;

        put_string(out, 1, "2.0");
        put_string(&about, 1, "Kubernetes");
        put_string(&about, 2, VERSION_GIT);
        put_message(out, 2, &about);
}

/* security: [{BearerToken: []}], securityDefinitions: an API key in the header authorization */
static void put_security(struct strbuf *out)
{
        struct strbuf requirement = STRBUF_INIT, named = STRBUF_INIT, strings = STRBUF_INIT;
        struct strbuf key = STRBUF_INIT, item = STRBUF_INIT, definition = STRBUF_INIT, definitions = STRBUF_INIT;

        put_string(&named, 1, "BearerToken");
        put_message(&named, 2, &strings);
        put_message(&requirement, 1, &named);
        put_message(out, 12, &requirement);
        put_string(&key, 1, "apiKey");
        put_string(&key, 2, "authorization");
        put_string(&key, 3, "header");
        put_string(&key, 4, "A bearer token.");
        put_message(&item, 2, &key);
        put_string(&definition, 1, "BearerToken");
        put_message(&definition, 2, &item);
        put_message(&definitions, 1, &definition);
        put_message(out, 13, &definitions);
}

void gnostic_finish(struct strbuf *out, const struct strbuf *paths, const struct strbuf *definitions)
{
        put_bytes(out, 8, strbuf_str(paths), paths->len);
        put_bytes(out, 9, strbuf_str(definitions), definitions->len);
        put_security(out);
}

void gnostic_v3(struct strbuf *out, const struct json *document)
{
        write_message(out, &document_message, document);
}
