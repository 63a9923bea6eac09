/* A backend of nnspec in C.
 *
 * The first half speaks the protocol (spec/protocol.md of nnspec) and knows no equation. The second
 * half is yours. It is compiled twice, by way of the #include of this very file: with REAL as float
 * and as double, so that float32 is computed in float and float64 in double.
 */
#ifndef REAL

/* ==================================== the protocol ==================================== */
/* ==================================== the equations ==================================== */

#else

/* Your operations, for REAL: an operation asks for its inputs by name and fills its outputs.
 *
 *     input("x")               the array: axes, shape, count, data
 *     data_of("x")             its data, row-major; NULL where an optional input is not given
 *     size_of('H')             the size that a symbol of the shapes has in this request
 *     output("y", axes, shape) room for an output, zeros
 *     scratch(count, size)     zeros that last until the reply
 *     integer_attribute("axis", -1)   likewise number_, truth_ and text_attribute
 *     unsupported("…")         ends the call: this case cannot be expressed here
 *     fail("…")                ends the call: something is wrong
 *
 * The first operation: take the "//| " away, here and in OPERATIONS.
 */
//| static void OF(softmax)(void)
//| {
//|     const Array *array = input("x");
//|     const size_t size = array->axes ? array->shape[array->axes - 1] : 0;
//|     const REAL *x = array->data;
//|     REAL *y = output("y", array->axes, array->shape);
//|     const long axis = integer_attribute("axis", -1);
//|     if (!size || (axis != -1 && axis != (long)array->axes - 1))
//|         unsupported("softmax is along the last axis only");
//|     for (size_t row = 0; row < array->count; row += size) {
//|         REAL m = x[row], sum = 0;
//|         for (size_t k = row; k < row + size; k++)
//|             m = x[k] > m ? x[k] : m;
//|         for (size_t k = row; k < row + size; k++)
//|             sum += y[k] = exp(x[k] - m);
//|         for (size_t k = row; k < row + size; k++)
//|             y[k] /= sum;
//|     }
//| }

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

/* Names and shapes as in the operation's block in the spec; flags are REQUIRED, OPTIONAL, and with
 * | INTEGER or | BOOLEAN. The names of the attributes stand last. */
#define BOTH(name) name##_float, name##_double

static const Operation OPERATIONS[] = {
    //| {"softmax", BOTH(softmax), {{"x", "...", REQUIRED}}, {"axis"}},
    {0},
};

int main(void)
{
    /* the last argument tells why an operation, a topic, or "vjp" is not here: shown with the
     * verdict */
    return serve("my-backend", "0.1", OPERATIONS, "{}");
}

#endif
