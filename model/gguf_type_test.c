/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_type.h"

#include "tests/support/suite.h"

/* Numbers from enum ggml_type of ggml.h. */
START_TEST(types)
{
    static const struct {
        uint32_t type;
        const char *name;
        bool readable;
    } rows[] = {
        {0, "F32", true},     {1, "F16", true},     {2, "Q4_0", true},      {3, "Q4_1", true},
        {6, "Q5_0", true},    {7, "Q5_1", true},    {8, "Q8_0", true},      {9, "Q8_1", false},
        {10, "Q2_K", true},   {11, "Q3_K", true},   {12, "Q4_K", true},     {13, "Q5_K", true},
        {14, "Q6_K", true},   {15, "Q8_K", false},  {16, "IQ2_XXS", false}, {19, "IQ1_S", false},
        {20, "IQ4_NL", true}, {23, "IQ4_XS", true}, {24, "I8", true},       {27, "I64", true},
        {28, "F64", true},    {29, "IQ1_M", false}, {30, "BF16", true},     {34, "TQ1_0", true},
        {35, "TQ2_0", true},  {39, "MXFP4", true},  {21, "IQ3_S", false},   {40, "NVFP4", false},
        {41, "Q1_0", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum tm_dtype dtype;
        bool readable = tm_gguf_type_dtype(rows[i].type, &dtype);
        ck_assert_str_eq(tm_gguf_tensor_type_name(rows[i].type), rows[i].name);
        ck_assert_msg(readable == rows[i].readable, "%s", rows[i].name);
        if (readable) {
            uint32_t type = UINT32_MAX;
            ck_assert_str_eq(tm_dtype_name(dtype), rows[i].name);
            ck_assert(tm_gguf_type_of(dtype, &type));
            ck_assert_uint_eq(type, rows[i].type);
        }
    }
    enum tm_dtype dtype;
    ck_assert(!tm_gguf_type_dtype(UINT32_MAX, &dtype) && !tm_gguf_type_dtype(4, &dtype));
    uint32_t type;
    ck_assert(!tm_gguf_type_of(TM_U8, &type) && !tm_gguf_type_of(TM_F8_E4M3, &type));
    ck_assert_ptr_null(tm_gguf_tensor_type_name(77));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("gguf_type");
    TCase *tcase = tcase_create("gguf_type");
    tcase_add_test(tcase, types);
    suite_add_tcase(suite, tcase);
    return suite;
}
