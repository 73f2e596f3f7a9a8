/* The readout's kernels in float32, written once (no include guard: a template).
 *
 * The includer defines RO_NAME(name), RO_TARGET, RO_F32 and RO_I32 (vectors of RO_WIDTH lanes, a register each).
 * All work is by lane but for two sums, which are taken over sixteen lanes whatever the width, so the bits are
 * the same at every level.
 */

#define RO_AT(p) (*(RO_F32 *)(p))
#define RO_READ(p) (*(const RO_F32 *)(p))

RO_TARGET static void RO_NAME(sophia_score_f32)(const float *weights, size_t stride, const uint32_t *positions,
                                                const float *values, size_t n, const float *bias, float *scores)
{
    size_t c = 0;
    for (; c + 4 * RO_WIDTH <= stride; c += 4 * RO_WIDTH) {
        RO_F32 a = RO_READ(bias + c), b = RO_READ(bias + c + RO_WIDTH), d = RO_READ(bias + c + 2 * RO_WIDTH),
               e = RO_READ(bias + c + 3 * RO_WIDTH);
        for (size_t i = 0; i < n; i++) {
            const float *const row = weights + (size_t)positions[i] * stride + c;
            a += values[i] * RO_READ(row);
            b += values[i] * RO_READ(row + RO_WIDTH);
            d += values[i] * RO_READ(row + 2 * RO_WIDTH);
            e += values[i] * RO_READ(row + 3 * RO_WIDTH);
        }
        RO_AT(scores + c) = a;
        RO_AT(scores + c + RO_WIDTH) = b;
        RO_AT(scores + c + 2 * RO_WIDTH) = d;
        RO_AT(scores + c + 3 * RO_WIDTH) = e;
    }
    for (; c < stride; c += RO_WIDTH) {
        RO_F32 sum = RO_READ(bias + c);
        for (size_t i = 0; i < n; i++)
            sum += values[i] * RO_READ(weights + (size_t)positions[i] * stride + c);
        RO_AT(scores + c) = sum;
    }
}

/* e^x for x <= 0, 0 below -86: 2^whole e^r with |r| <= ln 2 / 2, and Taylor's polynomial of degree 6 for e^r.
 * Relative error below 4e-7. */
RO_TARGET static inline RO_F32 RO_NAME(sophia_exp_f32)(RO_F32 x)
{
    const RO_I32 small = x < -86.0f; /* all ones there */
    const RO_F32 held = (RO_F32)((RO_I32)x & ~small);
    const RO_I32 whole = __builtin_convertvector(held * 1.44269504f - 0.5f, RO_I32); /* cut towards 0: the nearest */
    const RO_F32 wholes = __builtin_convertvector(whole, RO_F32);
    const RO_F32 r = (held - wholes * 0.693145751953125f) - wholes * 1.42860677e-6f; /* ln 2 in two parts */
    RO_F32 p = r * (1.0f / 720.0f) + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    const RO_F32 power = (RO_F32)((whole + 127) << 23);
    return (RO_F32)((RO_I32)(p * power) & ~small);
}

RO_TARGET static float RO_NAME(sophia_gradient_f32)(float *scores, size_t classes, size_t stride, size_t target,
                                                    float smoothing)
{
    float lanes[16] = {0}, top = scores[0], total = 0.0f, square = 0.0f;
    for (size_t c = 1; c < classes; c++) top = scores[c] > top ? scores[c] : top;
    for (size_t c = 0; c < stride; c += RO_WIDTH)
        RO_AT(scores + c) = RO_NAME(sophia_exp_f32)(RO_READ(scores + c) - top);
    for (size_t c = classes; c < stride; c++) scores[c] = 0.0f;
    for (size_t c = 0; c < stride; c += 16)
        for (size_t lane = 0; lane < 16; lane += RO_WIDTH) RO_AT(lanes + lane) += RO_READ(scores + c + lane);
    for (size_t lane = 0; lane < 16; lane++) total += lanes[lane];
    const float scale = 1.0f / total, base = smoothing / (float)classes;
    for (size_t c = 0; c < stride; c += RO_WIDTH) RO_AT(scores + c) = RO_READ(scores + c) * scale - base;
    for (size_t c = classes; c < stride; c++) scores[c] = 0.0f;
    scores[target] -= 1.0f - smoothing;
    memset(lanes, 0, sizeof lanes);
    for (size_t c = 0; c < stride; c += 16)
        for (size_t lane = 0; lane < 16; lane += RO_WIDTH)
            RO_AT(lanes + lane) += RO_READ(scores + c + lane) * RO_READ(scores + c + lane);
    for (size_t lane = 0; lane < 16; lane++) square += lanes[lane];
    return square;
}

RO_TARGET static void RO_NAME(sophia_descend_f32)(float *weights, size_t stride, const uint32_t *positions,
                                                  const float *values, size_t n, const float *gradient,
                                                  float square, float rate, float *squares)
{
    for (size_t i = 0; i < n; i++) {
        const float value = values[i];
        squares[positions[i]] += value * value * square;
        const float step = rate * value / __builtin_sqrtf(squares[positions[i]]);
        float *const row = weights + (size_t)positions[i] * stride;
        for (size_t c = 0; c < stride; c += RO_WIDTH) RO_AT(row + c) -= step * RO_READ(gradient + c);
    }
}

#undef RO_AT
#undef RO_READ
#undef RO_NAME
#undef RO_TARGET
#undef RO_F32
#undef RO_I32
#undef RO_WIDTH
