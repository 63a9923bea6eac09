/* The deck's GRU and softmax in C, from spec/gru.md and spec/primitives.md, as a backend of nnspec.
 *
 * The first half speaks the protocol (spec/protocol.md) and knows no equation. The second half has
 * the equations. It is compiled twice, by way of the #include of this very file: with REAL as float
 * and as double, so that float32 is computed in float and float64 in double.
 */
#ifndef REAL

/* ==================================== the protocol ==================================== */

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tgmath.h>
#undef I /* the imaginary unit; here it is the size of the input */

enum {
    MOST_AXES = 32,
    MOST_ARRAYS = 32,      /* in a request, and in a reply */
    MOST_NESTING = 32,     /* of a message */
    LONGEST_LINE = 256000000,
    MOST_ELEMENTS = 10000000
};

typedef enum { FLOAT32, FLOAT64, INT64, BOOL } Dtype;
static const char *const DTYPE_NAMES[] = {"float32", "float64", "int64", "bool"};

typedef struct {
    const char *name;
    Dtype dtype;
    size_t axes, shape[MOST_AXES];
    size_t count; /* of elements */
    void *data;   /* float, double, int64_t or bool, row-major */
} Array;

enum { REQUIRED = 0, OPTIONAL = 1, INTEGER = 2, BOOLEAN = 4 };

/* As in the operation's block in the spec: the shape is "B H+I", or "..." for any. */
typedef struct {
    const char *name, *shape;
    int flags;
} Input;

typedef struct {
    const char *name;
    void (*float32)(void), (*float64)(void);
    Input inputs[MOST_ARRAYS];
    const char *attributes[8];
} Operation;

typedef struct Value Value;
struct Value {
    enum { OBJECT, LIST, STRING, NUMBER, WORD } kind;
    const char *text; /* of a string decoded and ended by NUL; of a number as it stands */
    size_t length;
    const char *key; /* within an object */
    Value *first, *next;
};

/* The one request that is being answered. */
static struct {
    const Value *id, *attributes;
    Array inputs[MOST_ARRAYS], outputs[MOST_ARRAYS];
    size_t input_count, output_count;
    size_t sizes['Z' + 1]; /* that the symbols of the shapes have taken */
    bool known['Z' + 1];
    Dtype dtype; /* of the floating inputs */
    const char *verdict;
    char why[400];
    jmp_buf end;
} now;

_Noreturn static void leave(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(2);
}

_Noreturn static void give_up(const char *verdict, const char *words, va_list values)
{
    now.verdict = verdict;
    vsnprintf(now.why, sizeof now.why, words, values);
    longjmp(now.end, 1);
}

/* Ends the call: the request cannot be answered. */
_Noreturn void fail(const char *words, ...)
{
    va_list values;
    va_start(values, words);
    give_up("error", words, values);
}

/* Ends the call: the operation cannot express this case. A verdict, not an error. */
_Noreturn void unsupported(const char *words, ...)
{
    va_list values;
    va_start(values, words);
    give_up("unsupported", words, values);
}

/* ------------------------------------------------ memory that lasts for one request */

typedef struct Block Block;
struct Block {
    Block *next;
    size_t used, size;
    max_align_t bytes[];
};
static Block *blocks;

static void *take(size_t bytes)
{
    const size_t unit = sizeof(max_align_t), most = SIZE_MAX / 4;
    if (bytes > most)
        leave("out of memory");
    bytes = (bytes + unit - 1) / unit * unit;
    if (!blocks || blocks->size - blocks->used < bytes) {
        const size_t size = bytes > 65536 ? bytes : 65536;
        Block *block = calloc(1, sizeof *block + size);
        if (!block)
            leave("out of memory");
        block->size = size;
        block->next = blocks;
        blocks = block;
    }
    void *taken = (char *)blocks->bytes + blocks->used;
    blocks->used += bytes;
    return taken;
}

static void release(void)
{
    while (blocks) {
        Block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

/* Zeros that last until the reply. */
void *scratch(size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        leave("out of memory");
    return take(count * size);
}

/* ------------------------------------------------ JSON */

static const char *at; /* the next byte of the message, which ends with NUL */
static size_t values_read;

static void skip_spaces(void)
{
    while (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')
        at++;
}

static unsigned read_hex(void)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++, at++) {
        if (!isxdigit((unsigned char)*at))
            leave("a request is no JSON: a bad \\u");
        const char digit = (char)tolower((unsigned char)*at);
        code = code * 16 + (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    return code;
}

static char *put_utf8(char *to, unsigned code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};
    *to++ = (char)(leads[more] | code >> (6 * more));
    for (int i = more - 1; i >= 0; i--)
        *to++ = (char)(0x80 | (code >> (6 * i) & 0x3F));
    return to;
}

/* Reads a string behind its opening quote. */
static const char *read_string(size_t *length)
{
    size_t most = 0; /* an escape is never shorter than what it stands for */
    while (at[most] && at[most] != '"')
        most += at[most] == '\\' && at[most + 1] ? 2 : 1;
    char *text = take(most + 1), *to = text;
    while (*at != '"') {
        if ((unsigned char)*at < 0x20)
            leave("a request is no JSON: a string does not end");
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        at++;
        const char escape = *at ? *at++ : 0;
        static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
        const char *found = escape ? strchr(letters, escape) : NULL;
        if (found) {
            *to++ = meant[found - letters];
        } else if (escape == 'u') {
            unsigned code = read_hex();
            if (code >> 10 == 0x36 && at[0] == '\\' && at[1] == 'u') {
                at += 2;
                const unsigned low = read_hex();
                code = low >> 10 == 0x37 ? 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF) : 0xFFFD;
            }
            to = put_utf8(to, code >> 11 == 0x1B ? 0xFFFD : code); /* half of a pair is no text */
        } else {
            leave("a request is no JSON: an unknown escape");
        }
    }
    at++;
    *to = 0;
    *length = (size_t)(to - text);
    return text;
}

static void skip_digits(void)
{
    if (!isdigit((unsigned char)*at))
        leave("a request is no JSON: a bad number");
    while (isdigit((unsigned char)*at))
        at++;
}

static Value *read_value(int depth)
{
    Value *value = take(sizeof *value);
    skip_spaces();
    value->text = at;
    if (++values_read > MOST_ELEMENTS + 1000)
        leave("a request has too many values");
    if (*at == '{' || *at == '[') {
        const char close = *at++ == '{' ? '}' : ']';
        value->kind = close == '}' ? OBJECT : LIST;
        if (depth == MOST_NESTING)
            leave("a request is nested too deeply");
        Value **last = &value->first;
        skip_spaces();
        if (*at == close) {
            at++;
            return value;
        }
        for (;;) {
            const char *key = NULL;
            size_t length = 0;
            skip_spaces();
            if (close == '}') {
                if (*at++ != '"')
                    leave("a request is no JSON: a key is no string");
                key = read_string(&length);
                skip_spaces();
                if (*at++ != ':')
                    leave("a request is no JSON: a key without a value");
            }
            *last = read_value(depth + 1);
            (*last)->key = key;
            last = &(*last)->next;
            skip_spaces();
            if (*at == close)
                break;
            if (*at++ != ',')
                leave("a request is no JSON: a comma or an end is missing");
        }
        at++;
    } else if (*at == '"') {
        at++;
        value->kind = STRING;
        value->text = read_string(&value->length);
    } else if (*at == '-' || isdigit((unsigned char)*at)) {
        value->kind = NUMBER;
        at += *at == '-';
        if (*at == '0')
            at++;
        else
            skip_digits();
        if (*at == '.') {
            at++;
            skip_digits();
        }
        if (*at == 'e' || *at == 'E') {
            at++;
            at += *at == '+' || *at == '-';
            skip_digits();
        }
        value->length = (size_t)(at - value->text);
    } else {
        value->kind = WORD;
        while (isalpha((unsigned char)*at))
            at++;
        value->length = (size_t)(at - value->text);
        if (!(value->length == 4 && !strncmp(value->text, "true", 4)) &&
            !(value->length == 5 && !strncmp(value->text, "false", 5)) &&
            !(value->length == 4 && !strncmp(value->text, "null", 4)))
            leave("a request is no JSON: no value where one is due");
    }
    return value;
}

/* Of a field that stands twice, the last one counts. */
static const Value *member(const Value *object, const char *key)
{
    const Value *found = NULL;
    if (object && object->kind == OBJECT)
        for (const Value *value = object->first; value; value = value->next)
            if (!strcmp(value->key, key))
                found = value;
    return found;
}

static bool is_text(const Value *value, const char *text)
{
    return value && value->kind == STRING && value->length == strlen(text) &&
           !strcmp(value->text, text);
}

static bool is_whole(const Value *value)
{
    return value->kind == NUMBER && strcspn(value->text, ".eE,]} \t\r\n") == value->length;
}

/* ------------------------------------------------ arrays */

/* The number of elements. A size of 0 does not excuse the others from being sane. */
static size_t elements(const char *name, const size_t *shape, size_t axes)
{
    size_t count = 1, bound = 1;
    for (size_t i = 0; i < axes; i++) {
        if (shape[i] > MOST_ELEMENTS || bound * (shape[i] ? shape[i] : 1) > MOST_ELEMENTS)
            fail("the shape of %.40s is too large", name);
        bound *= shape[i] ? shape[i] : 1;
        count *= shape[i];
    }
    return count;
}

static const size_t DTYPE_BYTES[] = {sizeof(float), sizeof(double), sizeof(int64_t), sizeof(bool)};

/* One element of a message; false where it is none of this dtype. */
static bool read_element(const Value *from, Dtype dtype, void *to)
{
    errno = 0;
    if (dtype == BOOL) {
        *(bool *)to = from->text[0] == 't';
        return from->kind == WORD && from->text[0] != 'n';
    }
    if (dtype == INT64) {
        if (!is_whole(from))
            return false;
        *(int64_t *)to = strtoll(from->text, NULL, 10);
        return errno != ERANGE;
    }
    const bool word = is_text(from, "NaN") || is_text(from, "Infinity") || is_text(from, "-Infinity");
    if (from->kind != NUMBER && !word)
        return false;
    if (dtype == FLOAT32) {
        *(float *)to = strtof(from->text, NULL);
        return word || isfinite(*(float *)to);
    }
    *(double *)to = strtod(from->text, NULL);
    return word || isfinite(*(double *)to);
}

static Array read_array(const Value *sent)
{
    Array array = {.name = sent->key};
    const Value *dtype = member(sent, "dtype");
    const Value *shape = member(sent, "shape"), *data = member(sent, "data");
    while (array.dtype <= BOOL && !is_text(dtype, DTYPE_NAMES[array.dtype]))
        array.dtype++;
    if (array.dtype > BOOL)
        fail("%.40s has an unknown dtype", array.name);
    if (!shape || shape->kind != LIST)
        fail("%.40s has no shape", array.name);
    for (const Value *size = shape->first; size; size = size->next) {
        if (!is_whole(size) || size->text[0] == '-' || array.axes == MOST_AXES)
            fail("the shape of %.40s is no list of sizes", array.name);
        array.shape[array.axes++] = size->length > 9 ? SIZE_MAX : strtoul(size->text, NULL, 10);
    }
    array.count = elements(array.name, array.shape, array.axes);
    if (!data || data->kind != LIST)
        fail("%.40s has no list of data", array.name);
    array.data = scratch(array.count, DTYPE_BYTES[array.dtype]);
    size_t index = 0;
    for (const Value *element = data->first; element; element = element->next, index++) {
        if (index == array.count)
            fail("%.40s has more data than its shape", array.name);
        void *to = (char *)array.data + index * DTYPE_BYTES[array.dtype];
        if (!read_element(element, array.dtype, to))
            fail("%.40s, element %zu, is no %s", array.name, index, DTYPE_NAMES[array.dtype]);
    }
    if (index < array.count)
        fail("%.40s has less data than its shape", array.name);
    return array;
}

/* ------------------------------------------------ what an operation asks for */

/* The input of this name; NULL where an optional one is not given. */
const Array *input(const char *name)
{
    for (size_t i = 0; i < now.input_count; i++)
        if (!strcmp(now.inputs[i].name, name))
            return &now.inputs[i];
    return NULL;
}

/* The data of the input of this name, or NULL. */
const void *data_of(const char *name)
{
    const Array *array = input(name);
    return array ? array->data : NULL;
}

/* The size that a symbol of the shapes, such as 'H', has in this request. */
size_t size_of(char symbol)
{
    return now.sizes[(int)symbol];
}

/* Room for an output of the inputs' dtype, zeros. */
void *output(const char *name, size_t axes, const size_t *shape)
{
    if (now.output_count == MOST_ARRAYS || axes > MOST_AXES)
        fail("too many outputs or axes");
    Array *array = &now.outputs[now.output_count];
    *array = (Array){.name = name, .dtype = now.dtype, .axes = axes};
    if (axes)
        memcpy(array->shape, shape, axes * sizeof *shape);
    array->count = elements(name, shape, axes);
    array->data = scratch(array->count, DTYPE_BYTES[array->dtype]);
    now.output_count++;
    return array->data;
}

/* An attribute of the request, or the spec's default for it. */
long integer_attribute(const char *name, long usual)
{
    const Value *value = member(now.attributes, name);
    if (value && (!is_whole(value) || value->length > 9))
        fail("the attribute %s is no integer", name);
    return value ? strtol(value->text, NULL, 10) : usual;
}

double number_attribute(const char *name, double usual)
{
    const Value *value = member(now.attributes, name);
    if (value && value->kind != NUMBER)
        fail("the attribute %s is no number", name);
    return value ? strtod(value->text, NULL) : usual;
}

bool truth_attribute(const char *name, bool usual)
{
    const Value *value = member(now.attributes, name);
    if (value && (value->kind != WORD || value->text[0] == 'n'))
        fail("the attribute %s is neither true nor false", name);
    return value ? value->text[0] == 't' : usual;
}

const char *text_attribute(const char *name, const char *usual)
{
    const Value *value = member(now.attributes, name);
    if (value && value->kind != STRING)
        fail("the attribute %s is no string", name);
    return value ? value->text : usual;
}

/* ------------------------------------------------ requests against signatures */

/* The value of "H+I" or "2*H" at the cursor, which it moves on. */
static size_t evaluate(const char **cursor)
{
    size_t sum = 0, product = 1;
    for (;; ++*cursor) {
        if (isdigit((unsigned char)**cursor))
            product *= (size_t)(**cursor - '0');
        else if (isupper((unsigned char)**cursor) && now.known[(int)**cursor])
            product *= now.sizes[(int)**cursor];
        else
            fail("a shape of the signature has an unknown symbol");
        ++*cursor;
        if (**cursor == '*')
            continue;
        sum += product;
        product = 1;
        if (**cursor != '+')
            return sum;
    }
}

/* Whether an array has a shape such as "B H+I"; a symbol alone takes its size where it first
 * stands. */
static bool fits(const Array *array, const char *wanted)
{
    size_t axis = 0;
    if (!strcmp(wanted, "..."))
        return true;
    while (*wanted) {
        if (axis == array->axes)
            return false;
        const bool alone = isupper((unsigned char)wanted[0]) && strchr(" ", wanted[1]);
        if (alone && !now.known[(int)*wanted]) {
            now.known[(int)*wanted] = true;
            now.sizes[(int)*wanted] = array->shape[axis];
        }
        if (evaluate(&wanted) != array->shape[axis++])
            return false;
        wanted += *wanted == ' ';
    }
    return axis == array->axes;
}

static void check(const Operation *operation)
{
    bool floating = false;
    size_t found = 0;
    now.dtype = FLOAT64;
    for (const Input *declared = operation->inputs; declared->name; declared++) {
        const Array *array = input(declared->name);
        if (!array && !(declared->flags & OPTIONAL))
            fail("the input '%s' is missing", declared->name);
        if (!array)
            continue;
        found++;
        Dtype wanted = declared->flags & INTEGER ? INT64 : BOOL;
        if (!(declared->flags & (INTEGER | BOOLEAN))) {
            if (!floating && array->dtype <= FLOAT64)
                now.dtype = array->dtype;
            floating = true;
            wanted = now.dtype;
        }
        if (array->dtype != wanted)
            fail("%s has dtype %s", array->name, DTYPE_NAMES[array->dtype]);
        if (!fits(array, declared->shape))
            fail("%s has not the shape (%s)", array->name, declared->shape);
    }
    if (found < now.input_count)
        unsupported("%s has no such inputs", operation->name);
    for (const Value *sent = now.attributes ? now.attributes->first : NULL; sent; sent = sent->next) {
        const char *const *name = operation->attributes;
        while (*name && strcmp(*name, sent->key))
            name++;
        if (!*name)
            unsupported("%s has no attribute '%.40s'", operation->name, sent->key);
    }
}

static void call(const Value *request, const Operation *operations)
{
    const Value *name = member(request, "operation"), *inputs = member(request, "inputs");
    now.attributes = member(request, "attributes");
    if (!name || name->kind != STRING)
        fail("the operation is no string");
    if ((inputs && inputs->kind != OBJECT) ||
        (now.attributes && now.attributes->kind != OBJECT))
        fail("inputs or attributes are no object");
    for (const Value *sent = inputs ? inputs->first : NULL; sent; sent = sent->next) {
        if (member(inputs, sent->key) != sent)
            continue;
        if (now.input_count == MOST_ARRAYS)
            fail("more than %d inputs", MOST_ARRAYS);
        now.inputs[now.input_count++] = read_array(sent);
    }
    if (is_text(name, "echo")) {
        memcpy(now.outputs, now.inputs, sizeof now.inputs);
        now.output_count = now.input_count;
        return;
    }
    for (const Operation *operation = operations; operation->name; operation++)
        if (is_text(name, operation->name)) {
            check(operation);
            (now.dtype == FLOAT32 ? operation->float32 : operation->float64)();
            return;
        }
    unsupported("there is no %.60s here", name->text);
}

/* ------------------------------------------------ replies */

static void write_string(const char *text, size_t length)
{
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if (byte < 0x20 || byte == '"' || byte == '\\')
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

/* A number so that it reads back exactly. */
static void write_number(double value, int digits)
{
    if (isnan(value))
        fputs("\"NaN\"", stdout);
    else if (isinf(value))
        fputs(value > 0 ? "\"Infinity\"" : "\"-Infinity\"", stdout);
    else if (value == 0)
        fputs(signbit(value) ? "-0.0" : "0.0", stdout); /* "-0" may be read as an integer */
    else
        printf("%.*g", digits, value);
}

static void write_array(const Array *array)
{
    write_string(array->name, strlen(array->name));
    printf(":{\"dtype\":\"%s\",\"shape\":[", DTYPE_NAMES[array->dtype]);
    for (size_t i = 0; i < array->axes; i++)
        printf(i ? ",%zu" : "%zu", array->shape[i]);
    fputs("],\"data\":[", stdout);
    for (size_t i = 0; i < array->count; i++) {
        if (i)
            putchar(',');
        if (array->dtype == FLOAT32)
            write_number((double)((const float *)array->data)[i], 9);
        else if (array->dtype == FLOAT64)
            write_number(((const double *)array->data)[i], 17);
        else if (array->dtype == INT64)
            printf("%" PRId64, ((const int64_t *)array->data)[i]);
        else
            fputs(((const bool *)array->data)[i] ? "true" : "false", stdout);
    }
    fputs("]}", stdout);
}

static void send(void)
{
    putchar('\n');
    if (fflush(stdout))
        exit(0); /* nobody reads any more */
}

static void answer(const char *line, size_t length, const Operation *operations)
{
    at = line;
    values_read = 0;
    const Value *request = read_value(0);
    skip_spaces();
    if (at != line + length)
        leave("a request is no JSON: there is more behind it");
    memset(&now, 0, sizeof now);
    now.id = member(request, "id");
    if (!now.id || now.id->kind != STRING)
        leave("a request has no id");
    if (!setjmp(now.end))
        call(request, operations);
    fputs("{\"id\":", stdout);
    write_string(now.id->text, now.id->length);
    if (now.verdict) {
        for (char *byte = now.why; *byte; byte++)
            if ((unsigned char)*byte >= 0x80)
                *byte = '?'; /* it may be cut within a character */
        printf(",\"%s\":", now.verdict);
        write_string(now.why, strlen(now.why));
    } else {
        fputs(",\"outputs\":{", stdout);
        for (size_t i = 0; i < now.output_count; i++) {
            if (i)
                putchar(',');
            write_array(&now.outputs[i]);
        }
        putchar('}');
    }
    putchar('}');
    send();
    release();
}

/* The next line without its end; NULL where there is none. */
static char *read_line(size_t *length)
{
    static char *line;
    static size_t room;
    *length = 0;
    for (int byte; (byte = getchar()) != EOF && byte != '\n';) {
        if (*length + 2 > room) {
            room = room ? 2 * room : 65536;
            line = room > LONGEST_LINE ? NULL : realloc(line, room);
            if (!line)
                leave("a request is too long");
        }
        line[(*length)++] = (char)byte;
    }
    if (feof(stdin) && *length)
        leave("the requests end within a line");
    if (feof(stdin) || ferror(stdin))
        return NULL;
    if (!line)
        return "";
    line[*length] = 0;
    return line;
}

/* Says hello and answers requests until they end. `reasons` is a JSON object: why what is not there
 * is not there. */
static int serve(const char *backend, const char *version, const Operation *operations,
                 const char *reasons)
{
    printf("{\"hello\":\"nnspec\",\"protocol\":1,\"backend\":\"%s\",\"version\":\"%s\","
           "\"operations\":[", backend, version);
    for (const Operation *operation = operations; operation->name; operation++)
        printf(operation == operations ? "\"%s\"" : ",\"%s\"", operation->name);
    printf("],\"dtypes\":[\"float32\",\"float64\"],\"unsupported\":%s}", reasons);
    send();
    size_t length;
    for (char *line; (line = read_line(&length));)
        answer(line, length, operations);
    return 0;
}

/* ==================================== the equations ==================================== */

#else

static REAL OF(logistic)(REAL x)
{
    const REAL e = exp(-fabs(x)); /* at most 1: nothing overflows, and the tail is e^x */
    return (x < 0 ? e : 1) / (1 + e); /* primitives.sigmoid */
}

static void OF(sigmoid)(void)
{
    const Array *array = input("x");
    const REAL *x = array->data;
    REAL *y = output("y", array->axes, array->shape);
    for (size_t i = 0; i < array->count; i++)
        y[i] = OF(logistic)(x[i]);
}

static void OF(tanh)(void)
{
    const Array *array = input("x");
    const REAL *x = array->data;
    REAL *y = output("y", array->axes, array->shape);
    for (size_t i = 0; i < array->count; i++)
        y[i] = tanh(x[i]); /* primitives.tanh */
}

static void OF(affine)(void)
{
    const size_t B = size_of('B'), I = size_of('I'), O = size_of('O');
    const REAL *x = data_of("x"), *W = data_of("W"), *b = data_of("b");
    REAL *y = output("y", 2, (size_t[]){B, O});
    for (size_t n = 0; n < B; n++)
        for (size_t o = 0; o < O; o++) {
            REAL sum = 0;
            for (size_t i = 0; i < I; i++)
                sum += x[n * I + i] * W[o * I + i];
            y[n * O + o] = b ? sum + b[o] : sum; /* primitives.affine */
        }
}

/* The rows along the attribute `axis`: `size` elements, `step` apart. */
static void OF(each_row)(const Array *x, void (*act)(size_t, size_t, const REAL *, const REAL *, REAL *),
                         const REAL *other, REAL *result)
{
    const long sent = integer_attribute("axis", -1), axes = (long)x->axes;
    const long axis = sent < 0 ? sent + axes : sent;
    if (axis < 0 || axis >= axes)
        fail("axis %ld is none of an array with %ld axes", sent, axes);
    const size_t size = x->shape[axis];
    if (!size)
        fail("axis %ld has no element", sent);
    size_t step = 1;
    for (long a = axis + 1; a < axes; a++)
        step *= x->shape[a];
    for (size_t begin = 0; begin < x->count; begin += size * step)
        for (size_t i = begin; i < begin + step; i++)
            act(size, step, (const REAL *)x->data + i, other ? other + i : NULL, result + i);
}

static void OF(softmax_row)(size_t size, size_t step, const REAL *x, const REAL *none, REAL *y)
{
    (void)none;
    REAL m = x[0], sum = 0;
    for (size_t k = 0; k < size; k++)
        m = x[k * step] > m ? x[k * step] : m;
    for (size_t k = 0; k < size; k++)
        sum += y[k * step] = exp(x[k * step] - m);
    for (size_t k = 0; k < size; k++)
        y[k * step] /= sum; /* primitives.softmax */
}

static void OF(softmax_vjp_row)(size_t size, size_t step, const REAL *x, const REAL *dy, REAL *dx)
{
    OF(softmax_row)(size, step, x, NULL, dx); /* y, until dx takes its place */
    REAL sum = 0;
    for (size_t k = 0; k < size; k++)
        sum += dy[k * step] * dx[k * step];
    for (size_t k = 0; k < size; k++)
        dx[k * step] *= dy[k * step] - sum; /* primitives.softmax */
}

static void OF(softmax)(void)
{
    const Array *x = input("x");
    OF(each_row)(x, OF(softmax_row), NULL, output("y", x->axes, x->shape));
}

static void OF(softmax_vjp)(void)
{
    const Array *x = input("x"), *dy = input("dy");
    if (x->axes != dy->axes || memcmp(x->shape, dy->shape, sizeof x->shape))
        fail("dy has not the shape of x");
    OF(each_row)(x, OF(softmax_vjp_row), dy->data, output("dx", x->axes, x->shape));
}

/* The weights of a GRU, and the quantities of one step of one example by their names in the spec. */
typedef struct {
    size_t H, I;
    const REAL *W_z, *W_r, *W, *b_z, *b_r, *b;
    REAL *z, *r, *reset, *candidate;
} OF(Gru);

static OF(Gru) OF(gru)(void)
{
    const size_t H = size_of('H');
    REAL *room = scratch(4 * H, sizeof(REAL));
    return (OF(Gru)){
        .H = H, .I = size_of('I'),
        .W_z = data_of("W_z"), .W_r = data_of("W_r"), .W = data_of("W"),
        .b_z = data_of("b_z"), .b_r = data_of("b_r"), .b = data_of("b"),
        .z = room, .r = room + H, .reset = room + 2 * H, .candidate = room + 3 * H,
    };
}

/* Row k of W [h, x] + b: the columns of the state come first. */
static REAL OF(row)(const OF(Gru) *g, const REAL *W, size_t k, const REAL *h, const REAL *x,
                    const REAL *b)
{
    const REAL *W_k = W + k * (g->H + g->I);
    REAL a = 0;
    for (size_t j = 0; j < g->H; j++)
        a += W_k[j] * h[j];
    for (size_t i = 0; i < g->I; i++)
        a += W_k[g->H + i] * x[i];
    return b ? a + b[k] : a; /* gru.bias */
}

static void OF(gates)(const OF(Gru) *g, const REAL *x, const REAL *h_prev)
{
    for (size_t k = 0; k < g->H; k++) {
        g->z[k] = OF(logistic)(OF(row)(g, g->W_z, k, h_prev, x, g->b_z)); /* gru.update_gate */
        g->r[k] = OF(logistic)(OF(row)(g, g->W_r, k, h_prev, x, g->b_r)); /* gru.reset_gate */
        g->reset[k] = g->r[k] * h_prev[k];
    }
    for (size_t k = 0; k < g->H; k++) /* it needs every r */
        g->candidate[k] = tanh(OF(row)(g, g->W, k, g->reset, x, g->b)); /* gru.candidate */
}

static void OF(step)(const OF(Gru) *g, const REAL *x, const REAL *h_prev, REAL *h)
{
    OF(gates)(g, x, h_prev);
    for (size_t k = 0; k < g->H; k++)
        h[k] = (1 - g->z[k]) * h_prev[k] + g->z[k] * g->candidate[k]; /* gru.state */
}

static void OF(gru_step)(void)
{
    const size_t B = size_of('B'), H = size_of('H'), I = size_of('I');
    const OF(Gru) g = OF(gru)();
    const REAL *x = data_of("x"), *h_prev = data_of("h_prev");
    REAL *h = output("h", 2, (size_t[]){B, H});
    for (size_t n = 0; n < B; n++)
        OF(step)(&g, x + n * I, h_prev + n * H, h + n * H);
}

/* dW += daᵀ [h, x], and db += da where it is wanted. */
static void OF(gather)(const OF(Gru) *g, const REAL *da, const REAL *h, const REAL *x, REAL *dW,
                       REAL *db)
{
    for (size_t k = 0; k < g->H; k++) {
        REAL *dW_k = dW + k * (g->H + g->I);
        for (size_t j = 0; j < g->H; j++)
            dW_k[j] += da[k] * h[j];
        for (size_t i = 0; i < g->I; i++)
            dW_k[g->H + i] += da[k] * x[i];
        if (db)
            db[k] += da[k];
    }
}

/* Column j of da W. */
static REAL OF(column)(const OF(Gru) *g, const REAL *da, const REAL *W, size_t j)
{
    REAL sum = 0;
    for (size_t k = 0; k < g->H; k++)
        sum += da[k] * W[k * (g->H + g->I) + j];
    return sum;
}

static void OF(gru_step_vjp)(void)
{
    const size_t B = size_of('B'), H = size_of('H'), I = size_of('I');
    const OF(Gru) g = OF(gru)();
    const REAL *xs = data_of("x"), *states = data_of("h_prev"), *dhs = data_of("dh");
    const size_t weights[] = {H, H + I};
    REAL *dx = output("dx", 2, (size_t[]){B, I}), *dh_prev = output("dh_prev", 2, (size_t[]){B, H});
    REAL *dW_z = output("dW_z", 2, weights), *dW_r = output("dW_r", 2, weights);
    REAL *dW = output("dW", 2, weights);
    REAL *db_z = g.b_z ? output("db_z", 1, &H) : NULL, *db_r = g.b_r ? output("db_r", 1, &H) : NULL;
    REAL *db = g.b ? output("db", 1, &H) : NULL;
    REAL *da_z = scratch(H, sizeof(REAL)), *da_r = scratch(H, sizeof(REAL));
    REAL *da_n = scratch(H, sizeof(REAL));

    for (size_t n = 0; n < B; n++, dx += I, dh_prev += H) {
        const REAL *x = xs + n * I, *h_prev = states + n * H, *dh = dhs + n * H;
        const REAL *z = g.z, *r = g.r, *candidate = g.candidate;
        OF(gates)(&g, x, h_prev);
        for (size_t k = 0; k < H; k++) {
            da_z[k] = dh[k] * (candidate[k] - h_prev[k]) * z[k] * (1 - z[k]); /* gru.update_gate */
            da_n[k] = dh[k] * z[k] * (1 - candidate[k] * candidate[k]); /* gru.candidate */
        }
        for (size_t j = 0; j < H; j++) {
            const REAL dreset = OF(column)(&g, da_n, g.W, j);
            da_r[j] = dreset * h_prev[j] * r[j] * (1 - r[j]); /* gru.reset_gate */
            dh_prev[j] = dh[j] * (1 - z[j]) + dreset * r[j]; /* gru.step, and below */
        }
        for (size_t j = 0; j < H; j++)
            dh_prev[j] += OF(column)(&g, da_z, g.W_z, j) + OF(column)(&g, da_r, g.W_r, j);
        for (size_t i = 0; i < I; i++)
            dx[i] = OF(column)(&g, da_n, g.W, H + i) + OF(column)(&g, da_z, g.W_z, H + i) +
                    OF(column)(&g, da_r, g.W_r, H + i);
        OF(gather)(&g, da_z, h_prev, x, dW_z, db_z);
        OF(gather)(&g, da_r, h_prev, x, dW_r, db_r);
        OF(gather)(&g, da_n, g.reset, x, dW, db);
    }
}

static void OF(gru_sequence)(void)
{
    const size_t T = size_of('T'), B = size_of('B'), H = size_of('H'), I = size_of('I');
    const OF(Gru) g = OF(gru)();
    const REAL *X = data_of("X"), *h_0 = data_of("h_0");
    const int64_t *lengths = data_of("lengths");
    REAL *h = output("h", 3, (size_t[]){T, B, H}), *h_T = output("h_T", 2, (size_t[]){B, H});
    for (size_t n = 0; n < B; n++) {
        const REAL *state = h_0 ? h_0 + n * H : h_T + n * H; /* gru.initial_state */
        for (size_t t = 0; t < T && (!lengths || (int64_t)t < lengths[n]); t++) { /* gru.lengths */
            OF(step)(&g, X + (t * B + n) * I, state, h + (t * B + n) * H); /* gru.sequence */
            state = h + (t * B + n) * H;
        }
        memmove(h_T + n * H, state, H * sizeof(REAL));
    }
}

#endif
#ifndef REAL /* the equations, twice */

#define REAL float
#define OF(name) name##_float
#include "backend.c"
#undef REAL
#undef OF
#define REAL double
#define OF(name) name##_double
#include "backend.c"

/* ------------------------------------------------ signatures, as in the spec */

#define BOTH(name) name##_float, name##_double
#define GRU_WEIGHTS {"W_z", "H H+I", REQUIRED}, {"W_r", "H H+I", REQUIRED}, {"W", "H H+I", REQUIRED}
#define GRU_BIASES {"b_z", "H", OPTIONAL}, {"b_r", "H", OPTIONAL}, {"b", "H", OPTIONAL}
#define GRU_STEP {"x", "B I", REQUIRED}, {"h_prev", "B H", REQUIRED}, GRU_WEIGHTS, GRU_BIASES

static const Operation OPERATIONS[] = {
    {"sigmoid", BOTH(sigmoid), {{"x", "...", REQUIRED}}, {NULL}},
    {"tanh", BOTH(tanh), {{"x", "...", REQUIRED}}, {NULL}},
    {"affine", BOTH(affine),
     {{"x", "B I", REQUIRED}, {"W", "O I", REQUIRED}, {"b", "O", OPTIONAL}}, {NULL}},
    {"softmax", BOTH(softmax), {{"x", "...", REQUIRED}}, {"axis"}},
    {"softmax.vjp", BOTH(softmax_vjp),
     {{"x", "...", REQUIRED}, {"dy", "...", REQUIRED}}, {"axis"}},
    {"gru_step", BOTH(gru_step), {GRU_STEP}, {NULL}},
    {"gru_step.vjp", BOTH(gru_step_vjp), {GRU_STEP, {"dh", "B H", REQUIRED}}, {NULL}},
    {"gru_sequence", BOTH(gru_sequence),
     {{"X", "T B I", REQUIRED}, GRU_WEIGHTS, GRU_BIASES,
      {"h_0", "B H", OPTIONAL}, {"lengths", "B", OPTIONAL | INTEGER}}, {NULL}},
    {0},
};

int main(void)
{
    return serve("example-c", "1", OPERATIONS,
                 "{\"vjp\":\"the example has gru_step.vjp and softmax.vjp only\","
                 "\"gru_reset_after_step\":\"the example has the deck's form only\","
                 "\"gru_reset_after_sequence\":\"the example has the deck's form only\"}");
}

#endif
