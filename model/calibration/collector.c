/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/collector.h"

#include <string.h>

#include "base/mem.h"
#include "model/calibration/jacobian.h"
#include "model/calibration/rounding.h"
#include "model/calibration/slopes.h"

struct tm_collector {
    struct tm_collector_options options;
    const struct tm_arch *arch;
    struct tm_team *team;
    struct tm_cal_input *inputs; /* [layer_count][TM_CAL_KINDS] */
    float **most;                /* alike, [cols]: the largest values of the pilot */
    float *grams;                /* [layer_count][heads][head_dim][head_dim] */

    /* Of the present window. */
    bool pilot;
    uint64_t window;
    enum tm_cal_set set;
    struct tm_hash *hash;
    struct tm_digest *digests; /* [layer_count] */
    tm_status status;

    /* Of the present half of a layer. */
    struct tm_vectors x[TM_POINT_COUNT];
    float *inverse, *sorted; /* [context]; sorted: or the widest input */
    bool *sink;              /* [context] */
    uint32_t sinks;
    float *by_gate, *by_up;           /* [context][hidden] */
    float *query_slopes, *key_slopes; /* [TM_SLOPE_SAMPLES][queries or keys] */
    int16_t *panels;                  /* of the widest input */
    uint32_t *panel_most;             /* [panels of the widest] */
    uint64_t *clipped;                /* alike */
    int16_t *vector;                  /* [widest] */
    float *rooms;                     /* [threads][room_floats] */
    size_t room_floats;
};

/* ---- shapes ---- */

uint32_t tm_collector_cols(const struct tm_arch *arch, enum tm_cal_kind kind)
{
    switch (kind) {
    case TM_CAL_ATTENDED:
    case TM_CAL_QUERY:
        return arch->heads * arch->head_dim;
    case TM_CAL_VALUE:
    case TM_CAL_KEY:
        return arch->kv_heads * arch->head_dim;
    case TM_CAL_GATE:
    case TM_CAL_UP:
    case TM_CAL_DOWN_IN:
        return arch->hidden;
    default:
        return arch->dim;
    }
}

static struct tm_cov_shape shape_of(const struct tm_arch *arch, enum tm_cal_kind kind,
                                    uint32_t width)
{
    return tm_cov_shape_of(tm_collector_cols(arch, kind), tm_cal_kind_whole(kind) ? width : 0);
}

static uint32_t widest(const struct tm_arch *arch)
{
    uint32_t most = 0;
    for (size_t k = 0; k < TM_CAL_KINDS; k++) {
        uint32_t cols = tm_collector_cols(arch, (enum tm_cal_kind)k);
        most = cols > most ? cols : most;
    }
    return most;
}

static size_t gram_floats(const struct tm_arch *arch)
{
    return (size_t)arch->heads * arch->head_dim * arch->head_dim;
}

uint64_t tm_collector_layer_bytes(const struct tm_arch *arch,
                                  const struct tm_collector_options *options)
{
    uint64_t bytes = gram_floats(arch) * sizeof(float);
    for (size_t k = 0; k < TM_CAL_KINDS; k++) {
        enum tm_cal_kind kind = (enum tm_cal_kind)k;
        struct tm_cov_shape shape = shape_of(arch, kind, options->width);
        bytes += tm_cal_input_bytes(&shape, tm_cal_kind_whole(kind)) +
                 tm_collector_cols(arch, kind) * sizeof(float);
    }
    return bytes;
}

/* ---- memory ---- */

struct part {
    void **at;
    uint64_t bytes;
};
#define PARTS 13

static void list_parts(struct tm_collector *c, const struct tm_arch *a, size_t threads,
                       struct part parts[PARTS])
{
    uint64_t context = c->options.context, wide = ((uint64_t)widest(a) + 15) / 16 * 16;
    uint64_t longest = wide > context ? wide : context;
    uint64_t queries = (uint64_t)a->heads * a->head_dim, keys = (uint64_t)a->kv_heads * a->head_dim;
    const struct part all[PARTS] = {
        {(void **)&c->inverse, context * sizeof(float)},
        {(void **)&c->sorted, longest * sizeof(float)},
        {(void **)&c->sink, context * sizeof(bool)},
        {(void **)&c->by_gate, context * a->hidden * sizeof(float)},
        {(void **)&c->by_up, context * a->hidden * sizeof(float)},
        {(void **)&c->query_slopes, TM_SLOPE_SAMPLES * queries * sizeof(float)},
        {(void **)&c->key_slopes, TM_SLOPE_SAMPLES * keys * sizeof(float)},
        {(void **)&c->panels, (context + 1) / 2 * 2 * wide * sizeof(int16_t)},
        {(void **)&c->panel_most, wide / 16 * sizeof(uint32_t)},
        {(void **)&c->clipped, wide / 16 * sizeof(uint64_t)},
        {(void **)&c->vector, wide * sizeof(int16_t)},
        {(void **)&c->rooms, threads * c->room_floats * sizeof(float)},
        {(void **)&c->digests, c->options.layer_count * sizeof(struct tm_digest)},
    };
    memcpy(parts, all, sizeof all);
}

uint64_t tm_collector_shared_bytes(const struct tm_arch *arch,
                                   const struct tm_collector_options *options)
{
    struct tm_collector c = {.options = *options,
                             .room_floats = tm_jacobian_room(arch->head_dim, options->context)};
    struct part parts[PARTS];
    uint64_t bytes = 0;
    list_parts(&c, arch, tm_team_wanted(options->threads), parts);
    for (size_t i = 0; i < PARTS; i++) {
        bytes += parts[i].bytes;
    }
    return bytes;
}

static size_t input_count(const struct tm_collector *c)
{
    return (size_t)c->options.layer_count * TM_CAL_KINDS;
}

static tm_status allocate(struct tm_collector *c)
{
    struct part parts[PARTS];
    list_parts(c, c->arch, tm_team_wanted(c->options.threads), parts);
    for (size_t i = 0; i < PARTS; i++) {
        *parts[i].at = tm_calloc(1, parts[i].bytes);
        if (*parts[i].at == NULL) {
            return TM_E_NOMEM;
        }
    }
    c->inputs = tm_calloc(input_count(c), sizeof *c->inputs);
    c->most = tm_calloc(input_count(c), sizeof *c->most);
    c->grams = tm_calloc(c->options.layer_count, gram_floats(c->arch) * sizeof *c->grams);
    if (c->inputs == NULL || c->most == NULL || c->grams == NULL) {
        return TM_E_NOMEM;
    }
    for (size_t i = 0; i < input_count(c); i++) {
        enum tm_cal_kind kind = (enum tm_cal_kind)(i % TM_CAL_KINDS);
        TM_TRY(tm_cal_input_init(&c->inputs[i], shape_of(c->arch, kind, c->options.width),
                                 tm_cal_kind_whole(kind)));
        c->most[i] = tm_calloc(tm_collector_cols(c->arch, kind), sizeof **c->most);
        if (c->most[i] == NULL) {
            return TM_E_NOMEM;
        }
    }
    return tm_hash_new(&c->hash);
}

tm_status tm_collector_new(const struct tm_collector_options *options, struct tm_collector **out,
                           struct tm_err *err)
{
    const struct tm_arch *arch = &options->weights->arch;
    struct tm_collector *c = tm_calloc(1, sizeof *c);
    tm_status status = c != NULL ? TM_OK : TM_E_NOMEM;
    if (status == TM_OK) {
        c->options = *options;
        c->arch = arch;
        c->pilot = true;
        c->room_floats = tm_jacobian_room(arch->head_dim, options->context);
        status = allocate(c);
    }
    if (status != TM_OK) {
        tm_collector_destroy(&c);
        tm_err_set(err, status, NULL, "cannot calibrate", "give less memory with --memory",
                   "out of memory");
    }
    *out = c;
    return status;
}

void tm_collector_destroy(struct tm_collector **collector)
{
    struct tm_collector *c = *collector;
    if (c == NULL) {
        return;
    }
    struct part parts[PARTS];
    list_parts(c, c->arch, 0, parts);
    for (size_t i = 0; i < PARTS; i++) {
        tm_free(*parts[i].at);
    }
    for (size_t i = 0; i < input_count(c); i++) {
        if (c->inputs != NULL) {
            tm_cal_input_deinit(&c->inputs[i]);
        }
        if (c->most != NULL) {
            tm_free(c->most[i]);
        }
    }
    tm_free(c->inputs);
    tm_free(c->most);
    tm_free(c->grams);
    tm_hash_destroy(&c->hash);
    tm_free(c);
    *collector = NULL;
}

void tm_collector_attach(struct tm_collector *c, struct tm_team *team)
{
    TM_ASSERT(tm_team_threads(team) <= tm_team_wanted(c->options.threads));
    c->team = team;
    for (uint32_t i = 0; i < c->options.layer_count; i++) {
        const struct tm_layer *l = &c->options.weights->layers[c->options.layer_first + i];
        tm_jacobian_grams(team, &l->linear[TM_LINEAR_ATTENTION_OUT], c->arch->head_dim,
                          c->grams + i * gram_floats(c->arch));
    }
}

/* ---- one input ---- */

struct taking {
    struct tm_collector *c;
    struct tm_rounded rounded;
    struct tm_cal_input *input;
    float *most;
    size_t panel_values;
};

static void look_at_panel(void *context, size_t panel, size_t thread)
{
    (void)thread;
    const struct taking *t = context;
    tm_round_look(&t->rounded, panel, t->most + panel * TM_COV_PANEL);
}

static void round_panel(void *context, size_t panel, size_t thread)
{
    (void)thread;
    const struct taking *t = context;
    t->c->clipped[panel] =
        tm_round_panel(&t->rounded, t->input->exponents, panel,
                       t->c->panels + panel * t->panel_values, &t->c->panel_most[panel]);
}

/* A panel's squares alone, when nobody asks for products. */
static void add_squares(struct tm_collector *c, const struct taking *t)
{
    int64_t *sums = t->input->sums[TM_CAL_FIT];
    for (uint32_t i = 0; i < t->input->shape.cols; i++) {
        const int16_t *at = c->panels + i / TM_COV_PANEL * t->panel_values + i % TM_COV_PANEL * 2;
        for (size_t pair = 0; pair * 2 < t->rounded.x.count; pair++, at += 2 * TM_COV_PANEL) {
            sums[i] += (int64_t)at[0] * at[0] + (int64_t)at[1] * at[1];
        }
    }
}

/* The digest is of the bytes in the order of files. */
static void hash_values(struct tm_hash *hash, const int16_t *values, size_t count)
{
    uint8_t bytes[2048];
    for (size_t at = 0; at < count;) {
        size_t n = count - at < sizeof bytes / 2 ? count - at : sizeof bytes / 2;
        for (size_t i = 0; i < n; i++) {
            tm_set_u16(bytes + 2 * i, (uint16_t)values[at + i]);
        }
        tm_hash_update(hash, bytes, 2 * n);
        at += n;
    }
}

static void take_sinks(struct tm_collector *c, const struct taking *t)
{
    const struct tm_rounded *r = &t->rounded;
    for (uint32_t i = 0; i < r->x.count && r->sink != NULL && c->status == TM_OK; i++) {
        if (!r->sink[i]) {
            continue;
        }
        struct tm_cal_sink sink = {.window = c->window, .position = i};
        sink.exponent =
            tm_round_vector(r->x.data + i * r->x.stride, r->inverse[i], r->cols, c->vector);
        uint8_t head[5];
        tm_set_u32(head, i);
        head[4] = (uint8_t)sink.exponent;
        tm_hash_update(c->hash, head, sizeof head);
        hash_values(c->hash, c->vector, r->cols);
        if (c->set == TM_CAL_FIT) {
            c->status = tm_cal_input_sink(t->input, sink, c->vector);
        }
    }
}

static void sum_up(struct tm_collector *c, struct taking *t)
{
    const struct tm_rounded *r = &t->rounded;
    size_t panels = tm_cov_panels(&t->input->shape), pairs = (r->x.count + 1) / 2;
    struct tm_cal_count *count = &t->input->count[c->set];
    t->panel_values = pairs * 2 * TM_COV_PANEL;
    tm_team_run(c->team, panels, (uint64_t)4 * r->cols * r->x.count, round_panel, t);
    hash_values(c->hash, c->panels, panels * t->panel_values);
    uint32_t sinks = r->sink != NULL ? c->sinks : 0;
    count->tokens += r->x.count - sinks;
    count->sinks += sinks;
    for (size_t p = 0; p < panels; p++) {
        count->clipped += c->clipped[p];
    }
    TM_ASSERT(count->tokens <= TM_COV_TOKENS_MAX);
    if (t->input->whole) {
        struct tm_cov_batch batch = {&t->input->shape, pairs, c->panels, c->panel_most};
        tm_cov_add(c->team, &batch, t->input->sums[c->set]);
    } else {
        add_squares(c, t);
    }
    take_sinks(c, t);
}

/* inverse and sink as in struct tm_rounded. */
static void take(struct tm_collector *c, uint32_t layer, enum tm_cal_kind kind, struct tm_vectors x,
                 bool weighted)
{
    size_t index = (size_t)(layer - c->options.layer_first) * TM_CAL_KINDS + kind;
    struct taking t = {.c = c,
                       .rounded = {.x = x,
                                   .cols = tm_collector_cols(c->arch, kind),
                                   .inverse = weighted ? c->inverse : NULL,
                                   .sink = weighted ? c->sink : NULL},
                       .input = &c->inputs[index],
                       .most = c->most[index]};
    if (c->pilot) {
        tm_team_run(c->team, tm_cov_panels(&t.input->shape), (uint64_t)2 * t.rounded.cols * x.count,
                    look_at_panel, &t);
    } else if (t.input->whole || c->set == TM_CAL_FIT) {
        sum_up(c, &t);
    }
}

/* ---- slopes ---- */

struct slopes {
    struct tm_collector *c;
    uint32_t layer;
    uint32_t positions[TM_SLOPE_SAMPLES];
    size_t samples;
};

static void one_head(void *context, size_t index, size_t thread)
{
    const struct slopes *s = context;
    struct tm_collector *c = s->c;
    const struct tm_arch *a = c->arch;
    size_t sample = index / a->kv_heads, kv = index % a->kv_heads;
    size_t queries = (size_t)a->heads * a->head_dim, keys = (size_t)a->kv_heads * a->head_dim;
    uint32_t position = s->positions[sample], first = 0;
    if (tm_arch_has_window(a, s->layer) && position + 1 > a->window) {
        first = position + 1 - a->window;
    }
    struct tm_jacobian j = {
        .heads = a->heads,
        .kv_heads = a->kv_heads,
        .head_dim = a->head_dim,
        .scale = a->attention_scale,
        .gram = c->grams + (s->layer - c->options.layer_first) * gram_floats(a),
        .query = c->x[TM_POINT_Q].data + position * c->x[TM_POINT_Q].stride,
        .keys = c->x[TM_POINT_K].data + first * c->x[TM_POINT_K].stride,
        .values = c->x[TM_POINT_V].data + first * c->x[TM_POINT_V].stride,
        .stride = c->x[TM_POINT_K].stride,
        .count = position + 1 - first,
        .weight = c->inverse[position],
    };
    tm_jacobian_head(&j, (uint32_t)kv, c->rooms + thread * c->room_floats,
                     c->query_slopes + sample * queries + kv * (queries / a->kv_heads),
                     c->key_slopes + sample * keys + kv * a->head_dim);
}

/* At four positions of the window that are no sinks. */
static void take_attention_slopes(struct tm_collector *c, uint32_t layer)
{
    const struct tm_arch *a = c->arch;
    size_t queries = (size_t)a->heads * a->head_dim, keys = (size_t)a->kv_heads * a->head_dim;
    uint32_t count = (uint32_t)c->x[TM_POINT_Q].count;
    struct slopes s = {.c = c, .layer = layer};
    for (uint32_t i = 0; i < TM_SLOPE_SAMPLES; i++) {
        uint32_t position = (2 * i + 1) * count / (2 * TM_SLOPE_SAMPLES);
        if (!c->sink[position]) {
            s.positions[s.samples++] = position;
        }
    }
    uint64_t cost = (uint64_t)s.samples * queries * a->head_dim * count;
    tm_team_run(c->team, s.samples * a->kv_heads, cost, one_head, &s);
    take(c, layer, TM_CAL_QUERY, (struct tm_vectors){c->query_slopes, queries, s.samples}, false);
    take(c, layer, TM_CAL_KEY, (struct tm_vectors){c->key_slopes, keys, s.samples}, false);
}

static void slopes_of_token(void *context, size_t token, size_t thread)
{
    (void)thread;
    struct tm_collector *c = context;
    const struct tm_vectors *gate = &c->x[TM_POINT_GATE], *up = &c->x[TM_POINT_UP];
    size_t hidden = c->arch->hidden;
    tm_slopes(c->arch->gelu, gate->data + token * gate->stride, up->data + token * up->stride,
              hidden, c->by_gate + token * hidden, c->by_up + token * hidden);
}

/* ---- the observer ---- */

static void weigh(struct tm_collector *c, struct tm_vectors stream)
{
    c->sinks =
        tm_round_weights(stream, c->arch->dim, TM_SINK_FACTOR, c->inverse, c->sink, c->sorted);
}

static void end_attention(struct tm_collector *c, uint32_t layer)
{
    weigh(c, c->x[TM_POINT_AFTER_ATTENTION]);
    take(c, layer, TM_CAL_ATTENTION_IN, c->x[TM_POINT_ATTENTION_IN], true);
    take(c, layer, TM_CAL_ATTENDED, c->x[TM_POINT_ATTENDED], true);
    take(c, layer, TM_CAL_VALUE, c->x[TM_POINT_V], true);
    take_attention_slopes(c, layer);
}

static void end_layer(struct tm_collector *c, uint32_t layer)
{
    size_t hidden = c->arch->hidden, count = c->x[TM_POINT_GATE].count;
    weigh(c, c->x[TM_POINT_AFTER_GATE]);
    take(c, layer, TM_CAL_GATE_IN, c->x[TM_POINT_GATE_IN], true);
    take(c, layer, TM_CAL_GATE, (struct tm_vectors){c->by_gate, hidden, count}, true);
    take(c, layer, TM_CAL_UP, (struct tm_vectors){c->by_up, hidden, count}, true);
    take(c, layer, TM_CAL_DOWN_IN, c->x[TM_POINT_DOWN_IN], true);
    if (!c->pilot) {
        c->digests[layer - c->options.layer_first] = tm_hash_final(c->hash);
    }
}

void tm_collector_observe(void *collector, uint32_t layer, enum tm_pass_point point,
                          struct tm_vectors x, uint32_t cols, uint32_t first)
{
    struct tm_collector *c = collector;
    (void)cols;
    if (layer < c->options.layer_first ||
        layer - c->options.layer_first >= c->options.layer_count) {
        return;
    }
    TM_ASSERT(first == 0 && x.count <= c->options.context && c->team != NULL);
    c->x[point] = x;
    if (point == TM_POINT_UP) {
        tm_team_run(c->team, x.count, (uint64_t)16 * x.count * c->arch->hidden, slopes_of_token, c);
    } else if (point == TM_POINT_AFTER_ATTENTION) {
        end_attention(c, layer);
    } else if (point == TM_POINT_AFTER_GATE) {
        end_layer(c, layer);
    }
}

void tm_collector_fix(struct tm_collector *c)
{
    for (size_t i = 0; i < input_count(c); i++) {
        tm_round_exponents(c->most[i], c->inputs[i].shape.cols, TM_PILOT_BITS,
                           c->inputs[i].exponents, c->sorted);
    }
}

void tm_collector_window(struct tm_collector *c, uint64_t window, enum tm_cal_set set)
{
    c->pilot = false;
    c->window = window;
    c->set = set;
    (void)tm_hash_final(c->hash); /* of a run that failed half-way */
}

tm_status tm_collector_end(struct tm_collector *c, struct tm_digest *digests, struct tm_err *err)
{
    if (c->status != TM_OK) {
        return tm_err_set(err, c->status, NULL, "cannot calibrate",
                          "give less memory with --memory", "out of memory");
    }
    memcpy(digests, c->digests, c->options.layer_count * sizeof *digests);
    return TM_OK;
}

struct tm_cal_input *tm_collector_input(struct tm_collector *c, uint32_t layer,
                                        enum tm_cal_kind kind)
{
    return &c->inputs[(size_t)(layer - c->options.layer_first) * TM_CAL_KINDS + kind];
}
