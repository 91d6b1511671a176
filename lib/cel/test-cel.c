/* The language by examples: an expression and what comes of it, as JSON or an error's text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cel.h"

static const char object_text[] =
        "{\"a\": 1, \"s\": \"h\\u00e9llo\", \"l\": [3, 1, 2], \"m\": {\"x\": \"1\", \"y\": null}, \"d\": 1.5, \"t\": true, "
        "\"c\": [{\"n\": \"a\", \"v\": 1}, {\"n\": \"b\", \"v\": 2}]}";

static const struct {
        const char *text, *result; /* "!..." : an error when it is evaluated; "?...": when it is compiled, contained in it */
} cases[] = {
        /* literals */
        { "1 + 2 * 3 - -4", "11" },
        { "0x1F", "31" },
        { "7u / 2u", "3" },
        { "1.5e3", "1500" },
        { "'a\\n\\u00e9\\101' + \"b\" + r'\\d' + '''c'd'''", "\"a\\né" "Ab\\\\dc'd\"" },
        { "size(b'\\xff\\x00')", "2" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "9223372036854775808", "?invalid int literal" },
        { "[dyn(1), dyn('a'), dyn(null), dyn(true)][1]", "\"a\"" },
        { "[1, 'a']", "?ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^" },
        { "{'a': dyn(1), 'b': dyn([2])}", "{\"a\":1,\"b\":[2]}" },
        { "{'a': 1, 'a': 2}", "{\"a\":2}" },
        { "[1, ?optional.none(), ?optional.of(2)]", "[1,2]" },
        { "{?'a': optional.none(), ?'b': optional.of(1)}", "{\"b\":1}" },
        { "1 /* */", "?Syntax error" },
        { "1 // a comment", "1" },
        /* errors of compiling, in full */
        { "1 +", "?compilation failed: ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', "
                 "'-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | 1 +\n | ...^" },
        { "", "?ERROR: <input>:1:0: Syntax error: mismatched input '<EOF>'" },
        { "o.a.foo()", "?ERROR: <input>:1:8: undeclared reference to 'foo' (in container '')\n | o.a.foo()\n | .......^" },
        { "true &&\n  x", "?ERROR: <input>:2:3: undeclared reference to 'x' (in container '')\n |   x\n | ..^" },
        { "1 + 'a'", "?found no matching overload for '_+_' applied to '(int, string)'" },
        { "'a' && true", "?ERROR: <input>:1:1: expected type 'bool' but found 'string'\n | 'a' && true\n | ^" },
        { "size(1, 2)", "?found no matching overload for 'size'" },
        { "closed.a == closed.b", "?ERROR: <input>:1:19: undefined field 'b'" },
        { "none.a", "?undefined field 'a'" },
        { "[1].map(x, y)", "?undeclared reference to 'y'" },
        { "[1].all(x.y, true)", "?argument must be a simple name" },
        { "has(o)", "?invalid argument to has() macro" },
        { "'a", "?token recognition error" },
        { "[1 2]", "?1:4: Syntax error: extraneous input '2' expecting {']', ','}\n | [1 2]\n | ...^" },
        { "o.a == @ && 'é' + 1", "?1:8: Syntax error: token recognition error at: '@'" },
        { "true ? 1", "?mismatched input '<EOF>' expecting ':'" },
        { "'é' + 1", "?1:5: found no matching overload for '_+_' applied to '(string, int)'\n | 'é' + 1\n | .\uff0e..^" },
        { "o.l.all(__result__, true)", "?iteration variable overwrites accumulator variable" },
        { "'%d'.format(['a'])", "?1:14: error during formatting: decimal clause can only be used on integers, was given string" },
        { "'%s'.format([1, 'a'])", "?too many arguments supplied to string.format (expected 1, got 2)" },
        { "1 2", "?extraneous input '2' expecting <EOF>" },
        { "for", "?reserved identifier: for" },
        /* fields */
        { "o.a", "1" },
        { "o.nope", "!no such key: nope" },
        { "o.a.b", "!no such key: b" },
        { "o.m.y.z", "!no such key: z" },
        { "has(o.a.b) || has(o.m.y.z)", "false" },
        { "o.?s.?x.orValue(1)", "1" },
        { "o.l['x']", "!unsupported index type 'string' in list" },
        { "o.l[1.5]", "!unsupported index value 1.5 in list" },
        { "has(o.l.x)", "!unsupported index type 'string' in list" },
        { "1e400", "?invalid double literal" },
        { "double('1e400')", "!type conversion error from 'string' to 'double'" },
        { "o.m['x']", "\"1\"" },
        { "o.l[3]", "!index out of bounds: 3" },
        { "has(o.a) && !has(o.b) && has(o.m.y)", "true" },
        { "o.?b.?c.orValue('none')", "\"none\"" },
        { "o.?a.orValue(0)", "1" },
        { "o[?'a'].hasValue()", "true" },
        { "optional.of(1).optMap(x, x + 1).value()", "2" },
        { "optional.none().value()", "!optional.none() dereference" },
        /* logic: what settles wins */
        { "o.nope || true", "true" },
        { "true || o.nope", "true" },
        { "false && o.nope", "false" },
        { "o.nope && false", "false" },
        { "o.nope && true", "!no such key: nope" },
        { "false ? o.nope : 1", "1" },
        /* relations */
        { "1 == dyn(1.0) && dyn(1u) == 1 && 2 > 1.5 && 1 != 2", "true" },
        { "1 == 1.0", "?found no matching overload for '_==_' applied to '(int, double)'" },
        { "9007199254740993 == dyn(9007199254740992.0)", "false" },
        { "'a' < 'b' && 'é' > 'z'", "true" },
        { "[dyn(1), dyn({'a': 2.0})] == [dyn(1.0), dyn({'a': 2})]", "true" },
        { "dyn(1) == 'a'", "false" },
        { "dyn(1) < 'a'", "!no such overload" },
        { "2 in o.l && !(9 in o.l) && 'x' in o.m", "true" },
        { "null == o.m.y", "true" },
        /* arithmetic */
        { "9223372036854775807 + 1", "!integer overflow" },
        { "1 / 0", "!division by zero" },
        { "1 % 0", "!modulus by zero" },
        { "-7 / 2 * 10 + -7 % 2", "-31" },
        { "1.0 / 0.0 > 1e308", "true" },
        /* macros */
        { "o.l.all(x, x > 0) && o.l.exists(x, x == 2) && o.l.exists_one(x, x > 2)", "true" },
        { "o.l.filter(x, x > 1)", "[3,2]" },
        { "o.l.map(x, x * 2)", "[6,2,4]" },
        { "o.l.map(x, x > 1, x * 2)", "[6,4]" },
        { "o.m.all(k, k in ['x', 'y'])", "true" },
        { "[0, 1].exists(x, 1 / x == 1)", "true" },
        { "[0, 2].exists(x, 1 / x == 1)", "!division by zero" },
        { "[0, 2].all(x, 1 / x == 1)", "false" },
        { "o.c.map(x, o.l.map(y, y + x.v))", "[[4,2,3],[5,3,4]]" },
        { "o.l.transformList(i, v, i * v)", "[0,1,4]" },
        { "o.m.transformMap(k, v, k + 'z')", "{\"x\":\"xz\",\"y\":\"yz\"}" },
        { "o.c.transformMapEntry(i, v, {v.n: v.v})", "{\"a\":1,\"b\":2}" },
        { "o.l.all(i, v, i < v + 3)", "true" },
        /* conversions */
        { "string(1) + string(2.5) + string(true) + string(3u)", "\"12.5true3\"" },
        { "int('42') + int(2.9) + int(3u)", "47" },
        { "int('x')", "!type conversion error from 'string' to 'int'" },
        { "double('1e2')", "100" },
        { "string(b'\\xff')", "!invalid UTF-8 in bytes, cannot convert to string" },
        { "type(1) == int && type('') == string && type(o.l) == list && type(null) == null_type && type(int) == type", "true" },
        { "type(timestamp('2020-01-01T00:00:00Z')) == google.protobuf.Timestamp", "true" },
        /* times */
        { "duration('1h30m') == duration('90m') && duration('-1.5s') < duration('0')", "true" },
        { "duration('1' + 'x')", "!type conversion error from 'string' to 'google.protobuf.Duration'" },
        { "duration('1x')", "?ERROR: <input>:1:10: invalid duration argument" },
        { "string(duration('1h1.5s'))", "\"3601.5s\"" },
        { "timestamp('2024-02-29T12:00:00+02:00') + duration('24h')", "\"2024-03-01T10:00:00Z\"" },
        { "timestamp('' + '2024-02-30T12:00:00Z')", "!type conversion error from 'string' to 'google.protobuf.Timestamp'" },
        { "timestamp('2024-03-01T00:00:00Z').getMonth() + timestamp('2024-03-01T23:30:00Z').getHours('+01:00')", "2" },
        /* strings */
        { "size(o.s) + o.s.size()", "10" },
        { "o.s.charAt(1) + o.s.substring(3) + o.s.substring(0, 1)", "\"éloh\"" },
        { "o.s.indexOf('l') * 10 + o.s.lastIndexOf('l')", "23" },
        { "'a,b,,c'.split(',')", "[\"a\",\"b\",\"\",\"c\"]" },
        { "'a,b,c'.split(',', 2)", "[\"a\",\"b,c\"]" },
        { "'aéc'.split('')", "[\"a\",\"é\",\"c\"]" },
        { "['a', 'b'].join('-') + ['c'].join()", "\"a-bc\"" },
        { "'aXa'.replace('a', 'bb') + 'aaa'.replace('a', 'b', 2) + 'ab'.replace('', '_')", "\"bbXbbbba_a_b_\"" },
        { "' x\\t'.trim() + 'Ab'.lowerAscii() + 'Ab'.upperAscii()", "\"xabAB\"" },
        { "'abc'.startsWith('ab') && 'abc'.endsWith('bc') && 'abc'.contains('b')", "true" },
        { "'abc'.substring(2, 1)", "!invalid substring range. start: 2, end: 1" },
        { "'abc'.matches('^a.c$') && matches('xabcx', 'abc') && !'a\\n'.matches('^a$')", "true" },
        { "'a'.matches('(' + '')", "!error parsing regexp" },
        { "'a'.matches('(')", "?invalid matches argument" },
        { "'ab12c345'.find('[0-9]+') + 'x'.find('[0-9]')", "\"12\"" },
        { "'ab12c345'.findAll('[0-9]+')", "[\"12\",\"345\"]" },
        { "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'.matches('^(a+)+$')", "false" },
        /* Kubernetes' own */
        { "o.l.sum() + o.l.min() + o.l.max() + [].sum()", "10" },
        { "[1, 2].isSorted() && !o.l.isSorted() && o.l.indexOf(1) == 1 && [1, 1].lastIndexOf(1) == 1", "true" },
        { "[].min()", "!min called on empty list" },
        { "[].mi", "?ERROR: <input>:1:3: type 'list(_var0)' does not support field selection" },
        { "sets.contains([dyn(1), dyn(2)], [2.0]) && sets.equivalent([1, 1], [1]) && !sets.intersects([1], [2])", "true" },
        { "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('1500m').add(quantity('0.5')).asInteger() == 2", "true" },
        { "quantity('x')", "!quantities must match the regular expression" },
        { "isQuantity('1Ki') && !isQuantity('1Kx') && sign(quantity('-1')) == -1 && !quantity('50m').isInteger()", "true" },
        { "semver('1.2.3-rc.1').isLessThan(semver('1.2.3')) && semver('1.0.0-2').compareTo(semver('1.0.0-10')) == -1", "true" },
        { "isSemver('1.2') || isSemver('01.2.3') || !isSemver('v1.2', true)", "false" },
        { "semver('v1.2', true).minor()", "2" },
        { "url('https://u@a.b:80/x%20y?q=1&q=2&z').getHostname() + url('https://[::1]:8/').getPort()", "\"a.b8\"" },
        { "url('https://a/x?q=1&q=%32&z').getQuery()", "{\"q\":[\"1\",\"2\"],\"z\":[\"\"]}" },
        { "isURL('/a/b') && !isURL('a/b') && isURL('https://x')", "true" },
        { "ip('10.0.0.1').family() + ip('::1').family()", "10" },
        { "ip('::1').isLoopback() && ip('169.254.0.1').isLinkLocalUnicast() && ip('8.8.8.8').isGlobalUnicast()", "true" },
        { "!isIP('1.2.3') && !isIP('::ffff:1.2.3.4') && ip.isCanonical('::1') && !ip.isCanonical('0::1')", "true" },
        { "string(cidr('10.1.0.0/8').masked()) + string(cidr('10.0.0.0/8').ip())", "\"10.0.0.0/810.0.0.0\"" },
        { "cidr('10.0.0.0/8').containsIP('10.9.9.9') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && "
          "!cidr('10.0.0.0/8').containsCIDR('0.0.0.0/0') && !isCIDR('10.0.0.0/33')", "true" },
        { "format.dns1123Label().validate('a-b').hasValue() || !format.dns1123Label().validate('A.b').hasValue()", "false" },
        { "format.named('uuid').value().validate('nope').value()[0]", "\"does not match the UUID format\"" },
        /* extensions */
        { "[3, 1, 2].sort() + ['b', 'a'].map(x, 1).reverse() + [1, 1].distinct() + [1, 2, 3].slice(1, 2)", "[1,2,3,1,1,1,2]" },
        { "o.c.sortBy(x, -x.v).map(x, x.n) + [['z']].flatten()", "[\"b\",\"a\",\"z\"]" },
        { "lists.range(2) + [optional.of(5), optional.none()].unwrapOpt() + [o.l.first().value(), o.l.last().value()]", "[0,1,5,3,2]" },
        { "[1].slice(0, 2)", "!cannot slice(0, 2), list is length 1" },
        { "'%s %d %x %X %b %o %.2f %%'.format(['a', 12, 255, 'hi', 5, 8, 1234.5])", "\"a 12 ff 6869 101 10 1,234.50 %\"" },
        { "'%s'.format([[1, 'a', {'k': 1.5}]])", "\"[1, \\\"a\\\", {\\\"k\\\":1.500000}]\"" },
        { "timestamp('2024-07-01T12:00:00Z').getHours('Nowhere/Land')", "!unknown time zone Nowhere/Land" },
        { "strings.quote('a\"b\\n')", "\"\\\"a\\\\\\\"b\\\\n\\\"\"" },
        { "Object{spec: Object.spec{replicas: 3}}", "{\"spec\":{\"replicas\":3}}" },
        { "[JSONPatch{op: 'remove', path: '/a'}, JSONPatch{op: 'remove', path: '/b'}].size()", "2" },
        { "jsonpatch.escapeKey('a/b~c')", "\"a~1b~0c\"" },
        { "o.a > 100 ? Object{a: 1} : Object{b: 2}", "{\"b\":2}" },
        /* several errors of one text */
        { "if (true) true", "?1:1: reserved identifier: if\n | if (true) true\n | ^\nERROR: <input>:1:11: Syntax error: extraneous input 'true' expecting <EOF>" },
        { "! || true", "?1:3: Syntax error: extraneous input '||'" },
        /* After an error ANTLR goes on before what may follow. */
        { "o.b.all(p, p.c  0 && p.d < 6)", "?expecting ')'\n | o.b.all(p, p.c  0 && p.d < 6)\n | ................^\nERROR: <input>:1:29: Syntax error: "
                                           "extraneous input ')' expecting <EOF>" },
        { "o. .l.size(1)", "?1:4: Syntax error: no viable alternative at input '. .'\n | o. .l.size(1)\n | ...^" },
        { "{{o}}", "?1:4: Syntax error: mismatched input '}' expecting ':'\n | {{o}}\n | ...^\nERROR: <input>:1:5: Syntax error: mismatched input '}'" },
        { "[1  2, 3].size()", "?1:8: Syntax error: extraneous input '3' expecting ']'" },
        { "!has(o.", "?1:6: invalid argument to has() macro\n | !has(o.\n | .....^\nERROR: <input>:1:8: Syntax error: no viable alternative at input '.'" },
        { "has(o.?a)", "?1:6: invalid argument to has() macro" },
        { "o. in [1]", "?1:4: Syntax error: no viable alternative at input '. in'" },
        { "- !o", "?1:3: Syntax error: no viable alternative at input '- !'" },
        { "true ; 1 $", "?1:6: Syntax error: token recognition error at: ';'\n | true ; 1 $\n | .....^\nERROR: <input>:1:8: Syntax error: extraneous input '1' expecting <EOF>" },
        { "[1].map(x, * 2)", "?1:12: Syntax error: extraneous input '*'" },
        { ".zz", "?1:2: undeclared reference to '.zz' (in container '')" },
        /* why a function does not take what it got */
        { "o.t + 1", "!no such overload: _+_" },
        { "o.a + 'x'", "!no such overload" },
        { "o.l < 1", "!no such overload: _<_" },
        { "size(o.a)", "!no such overload: size" },
        { "ip(o.a)", "!no such overload: ip(int)" },
        { "o.l.join()", "!no such overload: join(list)" },
        { "o.s.ip()", "!no such overload: ip(string)" },
        { "o.a.startsWith('a')", "!no such overload" },
        { "o.m.flatten()", "!no such overload: map(dyn, dyn).flatten()" },
        { "duration(o.a)", "!type conversion error from 'int' to 'google.protobuf.Duration'" },
        { "quantity('1') == o.a", "!no such overload" },
        { "quantity('1') != o.a", "true" },
        { "double('NaN') < 1.0", "!NaN values cannot be ordered" },
        { "o.a.transformList(i, v, v)", "!unsupported comprehension range type: types.Int" },
        { "{1.5: 2, [1]: 3}[1.5]", "?expected type 'double' but found 'list(int)'" },
        { "optional.of(1).or(o.nope).value() + o.a.orValue(2)", "2" },
        { "optional.ofNonZeroValue(optional.none()).hasValue()", "true" },
        { "'abc'.substring(2, -1)", "!invalid substring range. start: 2, end: -1" },
        { "-1.5.foo()", "?undeclared reference to 'foo'" },
        { "!-1", "?found no matching overload for '!_' applied to '(int)'" },
        { "'%e'.format([1.5]) + '%5e'.format([2.5])", "?unrecognized formatting clause" },
        { "'%.2e'.format([1.5])", "\"1.500000×10⁰⁰\"" },
        /* addresses and URLs: Go's words */
        { "ip('1.2.3')", "!IP Address \"1.2.3\" parse error during conversion from string: ParseAddr(\"1.2.3\"): IPv4 address too short" },
        { "ip('1.2.3.04')", "!IPv4 field has octet with leading zero" },
        { "ip('1.2.3.256')", "!IPv4 field has value >255" },
        { "ip('1:2')", "!address string too short" },
        { "ip('::1::')", "!multiple :: in address (at \":\")" },
        { "ip('fe80::1%eth0')", "!IP address \"fe80::1%eth0\" with zone value is not allowed" },
        { "ip('::ffff:1.2.3.4')", "!IPv4-mapped IPv6 address \"::ffff:1.2.3.4\" is not allowed" },
        { "string(ip('1:0:0:2::')) + string(ip('::1.2.3.4'))", "\"1:0:0:2::::1.2.3.4\"" },
        { "cidr('10.0.0.0/33')", "!netip.ParsePrefix(\"10.0.0.0/33\"): prefix length out of range" },
        { "cidr('10.0.0.0/x')", "!bad bits after slash: \"x\"" },
        { "url('')", "!parse \"\": empty url" },
        { "url(':x')", "!missing protocol scheme" },
        { "url('http://a:b/')", "!invalid port \":b\" after host" },
        { "url('http://a b/')", "!invalid character \" \" in host name" },
        { "url('/%zz')", "!invalid URL escape \"%zz\"" },
        { "url('HTTP://a').getScheme()", "\"http\"" },
        { "format.dns1123Label().validate('a.b').value()[0]", "\"must not contain dots\"" },
        { "format.qualifiedName().validate('').value().size()", "2" },
        { "format.uri().validate('x').value()[0]", "\"parse \\\"x\\\": invalid URI for request\"" },
        { "format.datetime().validate('2024-01-02t03:04:05z').hasValue()", "false" },
        { "format.date().validate('2024-02-30').value()[0]", "\"invalid date\"" },
};

static struct cel_value resolve(struct cel_run *run, void *userdata, const char *name)
{
        return cel_from_json(userdata);
}

static const char *const names[] = { "o", "closed.a", "none.", NULL };

static struct json *read_object(struct arena *a)
{
        struct json *j = NULL;

        assert_int_equal(json_parse(a, object_text, strlen(object_text), NULL, &j, NULL), 0);
        return j;
}

static const char *result_of(struct arena *a, const char *text)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct cel_run run = { .arena = a, .resolve = resolve, .userdata = read_object(a), .limit = 1000000 };
        struct cel_program *p = NULL;
        struct cel_value v;
        struct json *j;

        if (cel_compile(a, text, names, &p, &err) < 0)
                return arena_printf(a, "?%s", error_text(&err));
        v = cel_eval(p, &run);
        if (v.type == CEL_ERROR)
                return arena_printf(a, "!%s", cel_text(a, &v));
        j = cel_to_json(a, &v);
        assert_non_null(j);
        json_write(&b, j);
        return arena_strdup(a, strbuf_str(&b));
}

static void test_cases(void **state)
{
        size_t failed = 0;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                const char *is = result_of(a, cases[i].text), *wanted = cases[i].result;

                if (strchr("?!", *wanted) ? *is == *wanted && strstr(is, wanted + 1) : streq(is, wanted))
                        continue;
                print_error("%s\n  gives  %s\n  wanted %s\n", cases[i].text, is, wanted);
                failed++;
        }
        assert_int_equal(failed, 0);
}

/* What would take too long ends, and says so. */
static void test_cost(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct cel_run run = { .arena = a, .resolve = resolve, .userdata = read_object(a), .limit = 10000 };
        struct cel_program *p = NULL;
        struct cel_value v;

        assert_int_equal(cel_compile(a, "[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, "
                                        "[0,1,2,3,4,5,6,7,8,9].all(d, a + b + c + d >= 0))))", names, &p, NULL), 0);
        v = cel_eval(p, &run);
        assert_int_equal(v.type, CEL_ERROR);
        assert_string_equal(cel_text(a, &v), "operation cancelled: actual cost limit exceeded");
        assert_true(run.cost < 20000);
}

/* Worked out by hand from the rules at the head of cost.c and eval.c's loops. */
static void test_units(void **state)
{
        static const struct {
                const char *text;
                uint64_t cost;
        } units[] = {
                { "1", 0 },
                { "o.a", 2 },
                { "has(o.m.x)", 2 },
                { "o.l[o.a]", 4 },
                { "o.a == 1 ? o.d : 2.5", 4 },
                { "[1, 2, 3, 4, 5].sum()", 5 },
                { "{'a': 1}.a", 2 },
                { "{'a': o.a}", 32 },
                { "[o.a]", 12 },
                { "duration('1s') < duration('2s')", 1 },
                { "o.s.startsWith('h')", 3 },
                { "o.s in ['a', 'b']", 2 },
                { "1 in o.l", 5 },
                { "o.t && o.a == 1", 5 },
                { "o.t || o.a == 1", 2 },
                { "o.l.all(x, x > 0)", 18 },
                { "o.l.all(x, x < 0)", 2 + 5 + 2 + 1 },
                { "o.l.exists(x, x == 1)", 18 },
                { "o.l.exists_one(x, x == 3)", 12 },
                { "o.l.map(x, x * 2)", 45 },
                { "o.l.map(x, x > 1, x * 2)", 2 + 3 * 2 + 2 * 14 + 1 },
                { "o.l.filter(x, x > 1)", 35 },
                { "o.m.transformMap(k, v, k)", 2 + 2 * 4 + 1 },
                { "optional.of(o.a).optMap(x, x + 1)", 3 + 1 + 3 + 1 + 2 + 1 },
                { "optional.none().optMap(x, x)", 1 + 2 },
                { "url('https:://kubernetes.io/').getHost()", 4 },
                { "ip('192.168.0.1')", 2 },
                { "ip('2001:db8:3333:4444:5555:6666:7777:8888').family()", 5 },
                { "ip.isCanonical('192.168.0.1')", 3 },
                { "cidr('192.168.0.0/16').containsCIDR('192.0.0.0/30')", 7 },
                { "cidr('192.168.0.0/16').containsIP(ip('192.0.0.1'))", 4 },
                { "cidr('2001:db8::/32').containsIP('2001:db8::1')", 5 },
                { "'ABCDEFGHIJ abcdefghij'.lowerAscii() == 'abcdefghij ABCDEFGHIJ'.lowerAscii()", 9 },
                { "strings.quote('ABCDEFGHIJ abcdefghij') == strings.quote('ABCDEFGHIJ abcdefghij')", 9 },
                { "'abc 123 def 123'.replace('123', '456')", 3 },
                { "['aa', 'bb', 'cc', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].join(' ')", 5 },
                { "'abc 123 def 123'.find('123')", 2 },
                { "quantity('200M') == quantity('200M')", 3 },
                { "quantity('50k').add(20).sub(quantity('100k')).asInteger() > 0", 6 },
                { "sets.contains([1, 2, 3, 4], [2, 3])", 9 },
                { "!sets.contains([1], [2])", 3 },
                { "sets.equivalent([1, 2, 3], [3, 2, 1])", 19 },
                { "'0123456789' + '0123456789'", 2 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct cel_run run = { .arena = a, .resolve = resolve, .userdata = read_object(a), .limit = 1000000 };
                _cleanup_error_ struct error err = ERROR_INIT;
                struct cel_program *p = NULL;
                struct cel_value v;

                if (cel_compile(a, units[i].text, names, &p, &err) < 0)
                        fail_msg("%s: %s", units[i].text, error_text(&err));
                v = cel_eval(p, &run);
                if (v.type == CEL_ERROR || run.cost != units[i].cost)
                        print_error("%s costs %llu, not %llu\n", units[i].text, (unsigned long long)run.cost,
                                    (unsigned long long)units[i].cost);
                assert_true(v.type != CEL_ERROR);
                assert_int_equal(run.cost, units[i].cost);
        }
}

/* What the same may cost at most. Nothing is folded here. */
static void test_estimates(void **state)
{
        static const struct {
                const char *text;
                uint64_t cost;
        } most[] = {
                { "[1, 2, 3, 4, 5].sum()", 15 },
                { "url('https:://kubernetes.io/').getHost()", 4 },
                { "ip('192.168.0.1')", 2 },
                { "cidr('192.168.0.0/16').containsCIDR('192.0.0.0/30')", 11 },
                { "cidr('192.168.0.0/16').containsIP('192.0.0.1')", 7 },
                { "'ABCDEFGHIJ abcdefghij'.lowerAscii() == 'abcdefghij ABCDEFGHIJ'.lowerAscii()", 9 },
                { "strings.quote('ABCDEFGHIJ abcdefghij') == strings.quote('ABCDEFGHIJ abcdefghij')", 11 },
                { "'abc 123 def 123'.split(' ', 1)", 3 },
                { "'abc 123 def 123'.findAll('123')", 2 },
                { "quantity('50M').isLessThan(quantity('50Mi'))", 3 },
                { "sets.equivalent([1, 2, 3], [3, 2, 1])", 39 },
                { "!sets.intersects([1], [2])", 23 },
                { "[1, 2].all(x, x > 0)", 10 + 1 + 2 * (2 + 1 + 2) },
                { "[1, 2].map(x, x + 1)", 10 + 10 + 1 + 2 * 14 },
        };
        static const struct cel_variable none[1];

        for (size_t i = 0; i < ARRAY_SIZE(most); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                const struct cel_env env = { .variables = none, .n = 0, .estimate = &cel_shapes[CEL_DYN] };
                struct cel_program *p = NULL;

                assert_int_equal(cel_compile_in(a, most[i].text, &env, &p, NULL), 0);
                if (cel_program_cost(p) != most[i].cost)
                        print_error("%s may cost %llu, not %llu\n", most[i].text, (unsigned long long)cel_program_cost(p),
                                    (unsigned long long)most[i].cost);
                assert_int_equal(cel_program_cost(p), most[i].cost);
        }
}

/* Deep and long texts are refused, not followed. */
static void test_depth(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        static const char *const units[] = { "(", "[", "!", "-", "{1:", "o.", "o[", "true?", "1+" };

        for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
                _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
                struct cel_program *p = NULL;

                for (int k = 0; k < 20000; k++)
                        strbuf_puts(&b, units[i]);
                assert_int_equal(cel_compile(a, b.data, names, &p, NULL), -EINVAL);
        }
}

static void test_program(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct cel_program *p = NULL;

        assert_int_equal(cel_compile(a, "[1].all(x, x == o.a)", names, &p, NULL), 0);
        assert_true(cel_program_uses(p, "o"));
        assert_false(cel_program_uses(p, "x"));
        assert_int_equal(cel_program_type(p), CEL_BOOL);
        assert_int_equal(cel_compile(a, "o.a", names, &p, NULL), 0);
        assert_int_equal(cel_program_type(p), CEL_DYN);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_cost),
                                            cmocka_unit_test(test_units), cmocka_unit_test(test_estimates),
                                            cmocka_unit_test(test_depth), cmocka_unit_test(test_program) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
